"""The README's table of claims: all that is committed, and for each statement the number that speaks for it least."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from opnorm.claims.claim import OWN
from opnorm.errors import FileError
from opnorm.reference import table
from opnorm.reference.__main__ import main
from opnorm.reference.statements import STATEMENTS, Statement
from opnorm.report.claims import COLUMNS

ROOT = Path(__file__).parents[1]
REFERENCE = "results/reference"
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMITTED = {
    name: list(csv.DictReader((ROOT / REFERENCE / name / "claims.csv").read_text(encoding="utf-8").splitlines()))
    for name in table.EXPERIMENTS
    if (ROOT / REFERENCE / name).is_dir()
}
IN_TABLE = [family for statement in STATEMENTS for family in (*statement.decides, *statement.also)]


def row(claim, estimate, low, high, criterion, verdict, figure="spectrum"):
    numbers = {"estimate": str(estimate), "low": str(low), "high": str(high)}
    return {"claim": claim, **numbers, "criterion": criterion, "verdict": verdict, "figure": figure}


def test_the_readmes_table_is_that_of_the_committed_claims():
    written = table.claims_table(ROOT / REFERENCE, REFERENCE)
    assert table.with_table(README, written) == README, f"README.md is out of date: run {table.COMMAND}"
    assert table.COMMAND in README.replace(table.BEGIN, "").replace(table.END, "")


def test_each_claim_of_the_main_text_is_in_one_row():
    # Of the logits' Jacobian Sec. 4.3 speaks, and no other. What other attacks show of the claims is a row, too.
    main_text = {
        table.family(found["claim"])
        for rows in COMMITTED.values()
        for found in rows
        if found["section"] == "4.3"
        or found["claim"].startswith("attacked_")
        or (re.match(r"abstract|4\.3|5\.", found["section"]) and not found["claim"].startswith("logit_"))
    }
    assert len(IN_TABLE) == len(set(IN_TABLE))
    assert set(IN_TABLE) == main_text


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.words)
def test_numbers_of_one_statement_have_one_criterion(statement):
    criteria = {
        found["criterion"]
        for rows in COMMITTED.values()
        for found in rows
        if table.family(found["claim"]) in statement.decides
    }
    assert len(criteria) == 1


def test_every_picture_and_link_of_the_readme_is_there():
    targets = re.findall(r'src="(.*?)"|^\[[^\]]+\]: (.*)$', README, re.M)
    assert len(targets) > 10
    for target in targets:
        assert (ROOT / "".join(target)).is_file(), target
    links = set(re.findall(r"^\[([^\]]+)\]: ", README, re.M))
    used = re.findall(r"\| \[([^\]]+)\](?= \|)", README)
    assert links == set(used)


@pytest.mark.parametrize(("criterion", "weakest"), [("below 0.9", "b"), ("above 0.9", "a"), ("between 0 and 1.3", "b")])
def test_the_number_shown_is_that_for_which_a_statement_holds_least(criterion, weakest):
    rows = [row("a", 0.5, 0.4, 0.6, criterion, "supported"), row("b", 1.0, 0.7, 1.2, criterion, "inconclusive")]
    assert min(rows, key=table.margin)["claim"] == weakest
    unknown = row("c", "", "", "", criterion, "inconclusive")
    assert min([*rows, unknown], key=table.margin)["claim"] == "c"


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0.0803, 0.0783, 0.0825), "0.080 [0.078, 0.083]"),
        ((-0.03, -0.046, -0.014), "−0.030 [−0.046, −0.014]"),
        ((0.0085, -0.00885, 0.0265), "0.009 [−0.009, 0.026]"),
        ((12.9, 11.7, 14.1), "12.9 [11.7, 14.1]"),
        ((54.1, 49.8, 58.8), "54 [50, 59]"),
        ((-0.001, -0.02, 0.04), "0.00 [−0.02, 0.04]"),
        ((143267.6, 29142.9, 196611.4), "140,000 [29,000, 200,000]"),
        ((123.4, 12.1, 3240.2), "120 [12, 3,200]"),
        ((1.0, 1.0, 1.0), "1"),
        ((1.25, "", ""), "1.25 [nan, nan]"),
    ],
)
def test_numbers_have_the_digits_that_their_interval_knows(numbers, expected):
    assert table.interval(row("a", *numbers, "above 0", "supported")).replace("\u00a0", " ") == expected


@pytest.fixture
def reference(tmp_path, monkeypatch):
    """Two experiments with one statement, the first without what decides it."""
    monkeypatch.setattr(table, "EXPERIMENTS", {"one": "First", "two": "Second"})
    monkeypatch.setattr(table, "STATEMENTS", (Statement("5.2", "It is small", ("small",), ("smaller",)),))
    write(tmp_path / "one", {**row("smaller.a", 1, 1, 1, "below 2", "supported"), "section": OWN})
    write(
        tmp_path / "two",
        row("other", 0.5, 0.4, 0.6, "above -1", "supported"),
        row("small.a", 0.5, 0.4, 0.6, "below 0.9", "supported", "theorem_distance"),
        row("small.b", 1.0, 0.6, 1.4, "below 0.9", "inconclusive", "theorem_distance"),
        row("smaller.a", 3.0, 2.5, 3.5, "below 2", "refuted"),
    )
    return tmp_path


def write(folder, *rows):
    folder.mkdir()
    with (folder / "claims.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def test_all_of_a_statement_is_counted_and_its_figure_is_where_it_was_judged(reference):
    lines = table.claims_table(reference, "there").replace("\u00a0", " ").splitlines()
    assert lines[0] == "| Sec. | the paper says | wanted | [First] | [Second] | figure |"
    assert lines[2] == "| 5.2 | It is small | < 0.9 | – | 1 ✓ 1 ? (+ 1 ✗)<br>1.0 [0.6, 1.4] | [theorem distance] |"
    assert lines[4] == (
        "All claims of the paper: Second 2 ✓ 1 ✗ 1 ? of 4. Beyond it, mostly checks of the attacks: First 1 ✓ of 1."
    )
    assert lines[6:] == [
        "[First]: there/one/README.md",
        "[Second]: there/two/README.md",
        "[theorem distance]: there/two/figures/theorem_distance.png",
    ]


def test_a_statement_that_nothing_judges_is_an_error(reference, monkeypatch):
    monkeypatch.setattr(table, "STATEMENTS", (Statement("5.2", "It is small", ("renamed",)),))
    with pytest.raises(FileError, match="no experiment of one, two has a claim called renamed"):
        table.claims_table(reference, "there")


def test_the_command_writes_between_its_lines_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{table.BEGIN}what was here\n{table.END}after\n", encoding="utf-8")
    assert main(["table", "--readme", str(readme)]) == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{table.BEGIN}| Sec. |")
    assert text.endswith(f"\n{table.END}after\n")
    assert "what was here" not in text
    readme.write_text(f"{table.END}{table.BEGIN}", encoding="utf-8")
    assert main(["table", "--readme", str(readme)]) == 1
    assert "no place for the table: add these lines" in capsys.readouterr().err
    assert main(["table", "--readme", str(tmp_path / "none.md")]) == 1
    assert "none.md: not a readable text" in capsys.readouterr().err
