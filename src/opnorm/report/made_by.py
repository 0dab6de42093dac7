"""What made the results: commit, data, versions, machines, times, and the experiment file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from opnorm.report.contents import Contents
from opnorm.report.html import Child, Html, element, join, table
from opnorm.report.tables import NOTHING

# Of a stage, with the digits that are shown; what was not measured may be missing.
_MEASURED = {"seconds": 1, "memory_mib": 0}


def section(contents: Contents) -> Html:
    """Everything of `provenance.record`."""
    found = contents.provenance
    return join(
        [
            _facts(found),
            element("h3", "Wall time"),
            _stages(found["stages"]),
            element("h3", "Versions"),
            table(
                ["Package", "Version"],
                list(found["versions"].items()),
                caption="What the report was made with",
                words=2,
            ),
            element("h3", "Experiment file, as run"),
            element("pre", element("code", experiment_file(found["config"])), class_="scroll", tabindex=0),
        ]
    )


def experiment_file(config: Mapping[str, Any]) -> str:
    """`config` as YAML that Snakemake takes again."""
    return "\n".join(_lines(config, "")) + "\n"


def _facts(found: Mapping[str, Any]) -> Html:
    seeds = ", ".join(map(str, found["config"].get("seeds", ())))
    facts: list[tuple[str, Child]] = [
        ("Commit", _commit(found["commit"])),
        ("Seeds", seeds or NOTHING),
        ("Jobs ran on", join(element("div", name) for name in found["machines"]) or NOTHING),
        ("Report written on", _hardware(found["hardware"])),
        ("Report written at", found["time"]),
        *((f"Data, {name}", element("code", f"sha256:{digest}")) for name, digest in found["data"].items()),
    ]
    items = [join([element("dt", term), element("dd", description)]) for term, description in facts]
    return element("dl", *items)


def _commit(commit: Mapping[str, Any] | None) -> Child:
    if commit is None:
        return "unknown: the library is not a git checkout"
    changed = commit["changed"]
    if not changed:
        return join([element("code", commit["hash"]), ", nothing changed since"])
    files = element("details", element("summary", f"{len(changed)} changed since"), *map(_item, changed))
    return join([element("code", commit["hash"]), files])


def _item(name: str) -> Html:
    return element("div", element("code", name))


def _hardware(found: Mapping[str, Any]) -> str:
    gpus = ", ".join(found["gpus"]) or "no GPU"
    return f"{found['processor']}, {found['cores']} cores, {found['memory_gib']} GiB of memory, {gpus}"


def _stages(stages: Sequence[Mapping[str, Any]]) -> Html:
    if not stages:
        return element("p", "There are no records of it.")
    columns = {key: [row[key] for row in stages if key in row] for key in ("jobs", *_MEASURED)}
    total: dict[str, Any] = {"stage": "all", **{key: sum(values) for key, values in columns.items() if values}}
    if columns["memory_mib"]:
        total["memory_mib"] = max(columns["memory_mib"])
    rows = [
        (row["stage"], str(row["jobs"]), *(_number(row.get(key), digits) for key, digits in _MEASURED.items()))
        for row in (*stages, total)
    ]
    return table(
        ("Stage", "Jobs", "Seconds", "MiB"),
        rows,
        caption="Wall time by stage, summed over its jobs, some of which ran at once; memory of the largest job.",
    )


def _number(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def _lines(value: Mapping[str, Any], indent: str) -> list[str]:
    lines = []
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            lines += [f"{indent}{key}:", *_lines(item, f"{indent}  ")]
        else:
            lines.append(f"{indent}{key}: {_value(item)}")
    return lines


def _value(item: Any) -> str:
    if isinstance(item, list | tuple):
        return f"[{', '.join(map(_value, item))}]"
    written = json.dumps(item, ensure_ascii=False)
    # YAML takes 1e-05 for a word.
    return re.sub(r"^(-?\d+)e", r"\1.0e", written) if isinstance(item, float) else written
