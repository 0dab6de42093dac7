"""What made a result: a digest of the library code behind it; the commit, versions, machine and time of a run."""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import math
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from opnorm import tables
from opnorm.errors import FileError

StrPath = str | os.PathLike[str]

_PACKAGES = (
    "opnorm", "torch", "torchvision", "numpy", "pandas", "scikit-learn", "pyautoattack", "matplotlib", "safetensors",
    "snakemake",
)  # fmt: skip
# Whoever looks something up in these names the module that was found, or has what was found in a run's settings.
_TABLES = ("REGISTRY", "USED_OF_THREAT")


@cache
def code_digest(*modules: str) -> str:
    """A digest of the code in `modules` and in everything of this package that they import, directly or not.

    Comments, docstrings, formatting, imports for type checking, and the entries of a `REGISTRY` or of `USED_OF_THREAT`
    do not count: what cannot change a result causes no rerun. A registry's user names the modules of the entries that
    it uses.
    """
    closure = sorted(set().union(*(_closure(module) for module in modules)))
    text = "\n".join(f"{module} {_source_digest(module)}" for module in closure)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: StrPath) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        FileError: it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror or error})") from error


def versions() -> dict[str, str]:
    """Python, platform and the packages that results depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit(file: StrPath = __file__) -> dict[str, Any] | None:
    """The commit of the repository that `file` is a part of, the library's own by default.

    Returns:
        `hash`, and `changed`: the files that differ from that commit, or that it lacks and git does not ignore. None
        where `file` is not under version control, or git is not there.
    """
    folder = Path(file).absolute().parent
    if _git(folder, "ls-files", "--error-unmatch", Path(file).name) is None:
        return None
    name, status = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain")
    if name is None or status is None:
        return None
    return {"hash": name.strip(), "changed": [line[3:] for line in status.splitlines()]}


def hardware() -> dict[str, Any]:
    """This machine: `processor`, `cores` that this process may use, `memory_gib`, and `gpus` by name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "gpus": (_output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader") or "").splitlines(),
    }


def machine() -> str:
    """`hardware` in one line, as logs begin with it."""
    found = hardware()
    parts = (found["processor"], f"{found['cores']} cores", f"{found['memory_gib']} GiB", *found["gpus"])
    return f"machine: {', '.join(parts)}"


def machines(logs: Iterable[StrPath]) -> list[str]:
    """The machines that jobs ran on, from what `machine` left in their logs, each once."""
    texts = (Path(log).read_text(encoding="utf-8", errors="replace") for log in logs)
    return sorted({name for text in texts for name in re.findall(r"^machine: (.+)$", text, re.M)})


def stages(folder: StrPath) -> list[dict[str, Any]]:
    """Where the time went, from the benchmark files that Snakemake left in `folder`.

    Returns:
        For each stage, and in it each analysis and each training by its name: `stage`; the number of `jobs`; `seconds`
        by the clock, summed over them; `memory_mib`, the highest of a process. Jobs that run at once are counted one
        after the other. Of a training on a cluster these are the launcher's, which waits for its jobs.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(Path(folder).glob("**/*.tsv")):
        parts = path.relative_to(folder).with_suffix("").parts
        stage = " ".join(parts[: 2 if parts[0] in ("analyze", "train") else 1])
        total = found.setdefault(stage, {"stage": stage, "jobs": 0, "seconds": 0.0, "memory_mib": 0.0})
        for job in csv.DictReader(path.read_text(encoding="utf-8").splitlines(), delimiter="\t"):
            total["jobs"] += 1
            total["seconds"] += _number(job["s"])
            total["memory_mib"] = max(total["memory_mib"], _number(job["max_rss"]))
    return list(found.values())


def record(
    config: Mapping[str, Any],
    *,
    data: Mapping[str, StrPath],
    benchmarks: StrPath | None = None,
    logs: Iterable[StrPath] = (),
) -> dict[str, Any]:
    """All that is to be known of how results were made, now and on this machine.

    Args:
        config: the experiment as it was run.
        data: the files that it was run on, by name.
        benchmarks: folder of Snakemake's benchmark files, for `stages`.
        logs: of the jobs, for `machines`.

    Returns:
        Plain values for `write`: `time` (UTC), `commit`, `config`, `data` (SHA-256 of each file), `versions`,
        `hardware`, `machines`, `stages`.

    Raises:
        FileError: a data file cannot be read.
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "config": _plain(config),
        "data": {name: file_digest(path) for name, path in data.items()},
        "versions": versions(),
        "hardware": hardware(),
        "machines": machines(logs),
        "stages": stages(benchmarks) if benchmarks is not None else [],
    }


def write(found: Mapping[str, Any], path: StrPath) -> None:
    """Write what `record` found as JSON, whole or not at all."""
    tables.write_text(json.dumps(_plain(found), indent=2, allow_nan=False, ensure_ascii=False) + "\n", path)


def _git(folder: Path, *arguments: str) -> str | None:
    return _output("git", "-C", str(folder), *arguments)


def _output(*command: str) -> str | None:
    """What `command` prints; None where there is no such program, or it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _processor() -> str:
    """Its name as Linux or macOS gives it, or else its kind."""
    information = Path("/proc/cpuinfo")
    text = information.read_text(encoding="utf-8", errors="replace") if information.is_file() else ""
    named = re.search(r"^model name\s*: (.+)$", text, re.M)
    return named[1] if named else (_output("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()).strip()


def _number(field: str) -> float:
    """A field of a benchmark file; what could not be measured counts nothing."""
    try:
        value = float(field)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def _plain(value: Any) -> Any:
    """The same as JSON has it: lists for tuples, and words for what is not finite, as experiment files take them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@cache
def _closure(module: str) -> frozenset[str]:
    found, todo = set[str](), [module]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(_imports(name))
    return frozenset(found)


@cache
def _imports(module: str) -> tuple[str, ...]:
    package = module.split(".")[0]
    names = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), _package(module))
            names += [f"{origin}.{alias.name}" for alias in node.names] + [origin]
    return tuple(name for name in names if name.startswith(f"{package}.") and _path(name) is not None)


def _package(module: str) -> str:
    """What its relative imports begin at."""
    path = _path(module)
    return module if path is not None and path.name == "__init__.py" else module.rpartition(".")[0]


@cache
def _source_digest(module: str) -> str:
    return hashlib.sha256(ast.dump(_tree(module)).encode()).hexdigest()


@cache
def _tree(module: str) -> ast.Module:
    path = _path(module)
    if path is None:
        raise ModuleNotFoundError(module)
    return _WithoutProse().visit(ast.parse(path.read_text(encoding="utf-8")))  # type: ignore[no-any-return]


@cache
def _path(module: str) -> Path | None:
    """The file of `module`, found without importing it or its parents' contents."""
    root = find_spec(module.split(".")[0])
    if root is None or not root.submodule_search_locations:
        return None
    base = Path(root.submodule_search_locations[0]).joinpath(*module.split(".")[1:])
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


class _WithoutProse(ast.NodeTransformer):
    """Drops docstrings, imports for type checking, and the values of `_TABLES`."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            node.body = body[1:]  # type: ignore[attr-defined]
        return node

    def visit_If(self, node: ast.If) -> ast.AST | None:  # noqa: N802
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:  # noqa: N802
        return None if _is_table(node.target) else self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:  # noqa: N802
        return None if _is_table(node.targets[0]) else self.generic_visit(node)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_table(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in _TABLES
