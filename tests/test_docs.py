"""What the texts say is there: keys, options and their defaults, links, tests, and code that runs."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from opnorm import analysis, datasets, figures, models, objectives, selection
from opnorm.options import options_of, resolve
from opnorm.selection_settings import RULE_KEYS
from opnorm.settings import Optimization
from opnorm.threat_model import ThreatModel

ROOT = Path(__file__).parents[1]
TEXTS = [ROOT / "README.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]
README, KEYS, THEORY, EXTENDING = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "config/README.md", "docs/theory.md", "docs/extending.md")
)
# Files of docs/extending.md, each as (path, content).
EXAMPLES = re.findall(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```$", EXTENDING, re.S | re.M)
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/experiment.schema.yaml").read_text(encoding="utf-8"))

each_text = pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))


def section(title: str) -> str:
    """The part of config/README.md under the heading `title`, up to the next heading."""
    found = re.search(rf"^##+ {title}\n(.*?)(?=^##|\Z)", KEYS, re.S | re.M)
    assert found, title
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in `text`, without the rules under their headings."""
    lines = re.findall(r"^\|(.*)\|$", text, re.M)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines if set(line) - set("|- ")]


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def explained(table: list[list[str]]) -> dict[str, str]:
    """Key -> default as written, of rows that begin with keys and end with their defaults."""
    found = {}
    for keys, *_, default in table:
        values = default.split(", ") if len(names(keys)) > 1 and default else [default] * len(names(keys))
        found |= dict(zip(names(keys), values, strict=True))
    return found


def explained_options(title: str) -> dict[str, dict[str, str]]:
    """Registry name -> option -> default as written."""
    found: dict[str, dict[str, str]] = {}
    name = ""
    for entry, *rest in rows(section(title)):
        if len(rest) == 3:
            name = next(iter(names(entry)), name)
            if name:
                found.setdefault(name, {}).update(explained([rest]))
    return found


def value(written: str) -> Any:
    found = yaml.safe_load(written.strip("`"))
    return tuple(found) if isinstance(found, list) else found


def constructor_defaults(entry: str) -> dict[str, Any]:
    made = resolve({"it": entry}, "entry", "it")
    parameters = inspect.signature(made.__init__ if inspect.isclass(made) else made).parameters
    return {name: parameter.default for name, parameter in parameters.items()}


@pytest.mark.parametrize(("title", "registry"), [
    ("methods", objectives.REGISTRY), ("models", models.REGISTRY), ("analyses", analysis.REGISTRY),
])  # fmt: skip
def test_every_option_is_explained_with_its_default(title: str, registry: dict[str, str]) -> None:
    written = explained_options(title)
    assert set(written) == set(registry)
    for name, entry in registry.items():
        options, defaults = options_of(entry), constructor_defaults(entry)
        assert set(written[name]) == set(options), name
        for key, option in options.items():
            assert (written[name][key] == "") == option.required, (name, key)
            assert option.required or value(written[name][key]) == defaults[key], (name, key)


@pytest.mark.parametrize(("title", "made", "properties"), [
    ("training", Optimization, SCHEMA["properties"]["training"]["properties"]),
    ("threat", ThreatModel, SCHEMA["$defs"]["threat"]["properties"]),
])  # fmt: skip
def test_every_key_of_a_section_is_explained_with_its_default(title: str, made: type, properties: Any) -> None:
    written = explained(rows(section(title))[1:])
    assert set(written) == set(properties) == {field.name for field in fields(made)}
    for field in fields(made):
        assert (written[field.name] == "") == (field.default is MISSING), field.name
        assert field.default is MISSING or value(written[field.name]) == field.default, field.name


def test_every_key_of_a_rule_is_explained() -> None:
    given = SCHEMA["properties"]["selection"]["properties"]
    written = explained([row for row in rows(section("selection")) if len(row) == 3][1:])
    assert set(written) == set(given)
    assert value(written["validation"]) == selection.VALIDATION
    keys = {*SCHEMA["$defs"]["threat"]["properties"]["epsilon"]["properties"], *RULE_KEYS}
    assert not [key for key in keys if not re.search(rf"`[^`\n]*\b{key}\b[^`\n]*`", section("selection"))]
    assert f"`share` ({selection.SHARE} where" in section("selection")


def test_every_other_key_is_explained() -> None:
    top = explained(rows(section("Keys"))[1:])
    assert set(top) == set(SCHEMA["properties"])
    assert {key for key, default in top.items() if not default} == set(SCHEMA["required"])
    method = SCHEMA["properties"]["methods"]["additionalProperties"]["properties"]
    assert set(method) <= set(explained([row for row in rows(section("methods")) if len(row) == 3]))
    assert set(datasets.REGISTRY) <= set(names(section("Keys")))


def test_every_experiment_file_is_listed() -> None:
    assert set(re.findall(r"\[(\w+\.yaml)\]\(\1\)", KEYS)) == {path.name for path in (ROOT / "config").glob("*.yaml")}


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_text
def test_links_lead_somewhere(text: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (text.parent / name).resolve() if name else text
        assert path.exists(), target
        assert path.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(path), target


@each_text
def test_tests_that_are_named_exist(text: Path) -> None:
    for file, function in re.findall(r"(test_\w+\.py)::(\w+)", text.read_text(encoding="utf-8")):
        tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, function


def test_every_equation_has_an_implementation_and_a_test() -> None:
    equations = {row[0]: row for row in rows(THEORY) if len(row) == 4}
    found = {int(number) for cell in equations for number in re.findall(r"Eq\. (\d+)", cell)}
    assert found == set(range(1, 19))
    assert {"Lemma 2", "Theorem 1", "Table 1"} <= set(equations)
    for cell, (_, _, implementation, test) in equations.items():
        assert cell == "paper" or (implementation and "::test_" in test), cell


def test_what_theory_names_is_in_the_file_that_it_links() -> None:
    found = re.findall(r"`(\w+)[^`]*`[^`|;]* in \[\w+\.py\]\(([^)]+)\)", THEORY)
    assert len(found) > 15
    for name, path in found:
        source = (ROOT / "docs" / path).read_text(encoding="utf-8")
        assert re.search(rf"(def|class) {name}\b", source), (name, path)


def test_the_readmes_figures_are_the_registrys() -> None:
    found = [row for row in rows(README) if len(row) == 3]
    table = {names(row[0])[0]: tuple(names(row[1])) for row in found[1:]}
    assert table == {name: entry.paper for name, entry in figures.REGISTRY.items()}


def test_the_readmes_python_runs() -> None:
    norms, network, measured = re.findall(r"^```python\n(.*?)^```$", README, re.S | re.M)
    # Each block goes on where the one before it ends.
    variables = {"__name__": "readme"}
    for block, lines in ((norms, 9), (network, 1), (measured, 4)):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, "README.md", "exec"), variables)
        assert len(printed.getvalue().splitlines()) >= lines


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """A copy of the project with everything that docs/extending.md adds."""
    for name in ("Snakefile", "workflow", "config", "profiles", "src"):
        copy: Callable[..., Any] = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    assert len(EXAMPLES) == 6
    for name, content in EXAMPLES:
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(content, encoding="utf-8")
    lines = re.findall(r"`src/opnorm/(\w+)/__init__\.py`.*?\n\n    (.*?)\n", EXTENDING, re.S)
    assert len(lines) == 5
    for package, line in lines:
        path = tmp_path / "src/opnorm" / package / "__init__.py"
        changed, count = re.subn(
            r"(REGISTRY.*?)^\}", rf"\1    {line}\n}}", path.read_text(), count=1, flags=re.S | re.M
        )
        assert count == 1
        path.write_text(changed, encoding="utf-8")
    return tmp_path


@pytest.mark.workflow
def test_the_examples_of_extending_make_an_experiment(extended: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "snakemake", "-n", "--configfile", "config/mine.yaml"],
        cwd=extended,
        env={**os.environ, "PYTHONPATH": str(extended / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", output, re.M))
    assert jobs == {"data": "1", "train": "2", "attack": "2", "analyze": "4", "spectrum": "1", "stable_rank": "1",
                    "claims": "1", "report": "1", "default": "1", "total": "14"}  # fmt: skip


@pytest.mark.workflow
def test_the_examples_of_extending_can_be_imported_and_linted(extended: Path) -> None:
    code = (
        "from opnorm import analysis, datasets, figures, models, objectives\n"
        "from opnorm.options import resolve\n"
        "for registry in (analysis, datasets, models, objectives):\n"
        "    for name in registry.REGISTRY: resolve(registry.REGISTRY, 'entry', name)\n"
        "import opnorm.figures.stable_rank\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(extended / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ruff = Path(sys.executable).parent / "ruff"
    for command in (["check"], ["format", "--check"]):
        modules = [name for name, _ in EXAMPLES if name.endswith(".py")]
        arguments = [ruff, *command, "--config", ROOT / "pyproject.toml", *modules]
        done = subprocess.run(arguments, cwd=extended, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
