"""What is kept of an experiment's results in git, and that it is enough to draw its figures again."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from opnorm.errors import FileError
from opnorm.figures.context import FigureContext, figure_context, read_contexts, write_contexts
from opnorm.figures.render import render
from opnorm.plan import Files
from opnorm.reference import collect as collecting
from opnorm.reference.collect import collect, histories
from opnorm.settings import Experiment
from opnorm.tables import write_csv, write_parquet

SMOKE = yaml.safe_load((Path(__file__).parents[1] / "config/smoke.yaml").read_text())
ANALYSES = {"linearity": {"distances": [0.0, 1.0]}, "robustness": {"l2": [1.0], "linf": [0.1]}}
EXPERIMENT = Experiment.from_config(SMOKE | {"analyses": ANALYSES}, None, "smoke.yaml")
RUNS = EXPERIMENT.runs("main")
CAPTIONS = {"linearity": "", "robustness": "Robust", "accuracies": "Correct ``x``\n"}
MADE_BY = {
    "time": "2020-12-06T00:00:00+00:00",
    "commit": {"hash": "0123abcd", "changed": ["src/opnorm/lp.py"]},
    "config": SMOKE,
    "versions": {"python": "3.11.7", "torch": "2.12.0", "snakemake": "9"},
    "machines": ["A processor, 2 cores", "A processor, 16 cores, A GPU"],
    "stages": [{"stage": "data", "jobs": 1, "seconds": 1.5}, {"stage": "train standard", "jobs": 2, "seconds": 60.04}],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Made-up results of two methods and two seeds: tables, figures, histories, claims, and a selection."""
    files = Files(str(tmp_path_factory.mktemp("results") / "smoke"))
    for method, seed in RUNS:
        history = {"epoch": [1, 2], "loss": [2.0, 1.0 + seed], "accuracy": [0.4, 0.5], "test_accuracy": [0.3, 0.45]}
        write_csv(
            pd.DataFrame({**history, "seconds": [1.0, 3.0], "images_per_second": [100.0, 200.0]}),
            files.history(method, seed),
        )
        write_parquet(_linearity(seed), files.table("linearity", method, seed))
        write_parquet(_robustness(seed), files.table("robustness", method, seed))
    for name, analysis in (("linearity", "linearity"), ("robustness", "robustness"), ("accuracies", "robustness")):
        tables = [(*run, files.table(analysis, *run)) for run in RUNS]
        paths = {suffix: files.figure(name, suffix) for suffix in ("pdf", "png", "csv")}
        render(name, tables, figure_context(EXPERIMENT, "main"), **paths)
    claim = {"claim": "c1", "section": "5.1", "statement": "a | b", "statistic": "ratio", "estimate": 0.51234}
    write_csv(
        pd.DataFrame(
            [
                {**claim, "low": 0.4, "high": 0.6, "verdict": "supported", "figure": "linearity"},
                {
                    **claim,
                    "claim": "c2",
                    "estimate": 1.0,
                    "low": 1.0,
                    "high": 1.0,
                    "verdict": "supported",
                    "figure": "sanity",
                },
            ]
        ),
        f"{files.folder}/claims.csv",
    )
    write_csv(pd.DataFrame({"weight": [0.1, 0.25], "chosen": [True, False]}), f"{files.folder}/selection/dd_snr.csv")
    return files


def _linearity(seed):
    rows = [
        (sample, direction, distance, distance * (1 + sample + seed))
        for sample in range(3)
        for direction in ("random", "adversarial")
        for distance in (0.0, 1.0)
    ]
    return pd.DataFrame(rows, columns=["sample", "direction", "distance", "deviation"])


def _robustness(seed):
    rows = [
        (sample, norm, epsilon, sample + seed > 1 + epsilon)
        for sample in range(4)
        for norm, epsilon in ((2.0, 0.0), (2.0, 1.0), (math.inf, 0.0), (math.inf, 0.1))
    ]
    return pd.DataFrame(rows, columns=["sample", "norm", "epsilon", "correct"])


@pytest.fixture
def collected(results, tmp_path):
    """The folder of what was collected of them."""
    collect(EXPERIMENT, results, tmp_path / "reference/smoke", MADE_BY, captions=CAPTIONS)
    return tmp_path / "reference/smoke"


def test_tables_and_pictures_are_kept_and_no_weights(results, collected):
    kept = {str(path.relative_to(collected)) for path in collected.rglob("*") if path.is_file()}
    figures = {
        f"figures/{name}.{suffix}"
        for name in ("linearity", "robustness", "accuracies")
        for suffix in ("csv", "png", "pdf")
    }
    texts = {"README.md", "claims.csv", "figures.json", "history.csv", "provenance.json", "selection/dd_snr.csv"}
    assert kept == figures | texts
    for name in [*figures, "claims.csv", "selection/dd_snr.csv"]:
        assert (collected / name).read_bytes() == (Path(results.folder) / name).read_bytes()
    assert json.loads((collected / "provenance.json").read_text())["stages"] == MADE_BY["stages"]


def test_collecting_again_leaves_nothing_behind(results, collected):
    (collected / "figures/old.csv").touch()
    collect(EXPERIMENT, results, collected, MADE_BY, captions=CAPTIONS)
    assert not (collected / "figures/old.csv").exists()
    assert [path.name for path in collected.parent.iterdir()] == ["smoke"]


def test_how_rules_chose_stays_where_their_numbers_were_taken_as_recorded(results, tmp_path):
    rule = {"match": "standard", "grid": [0.1, 0.25], "chosen": 0.25}
    methods = {**SMOKE["methods"], "dd_snr": {**SMOKE["methods"]["dd_snr"], "weight": rule}}
    ruled = Experiment.from_config(
        SMOKE | {"analyses": ANALYSES, "methods": methods, "selection": {"validation": 0.2}}, None, "smoke.yaml"
    )
    folder, again = tmp_path / "reference/smoke", tmp_path / "smoke"
    collect(ruled, results, folder, MADE_BY, captions=CAPTIONS)
    chosen = (folder / "selection/dd_snr.csv").read_bytes()
    (folder / "figures/selection.png").write_bytes(b"drawn")
    assert "| `methods.dd_snr.weight` | 0.25 | 0.1 |" in (folder / "README.md").read_text()
    shutil.copytree(results.folder, again, ignore=shutil.ignore_patterns("selection*"))
    collect(ruled, Files(str(again)), folder, MADE_BY, captions=CAPTIONS)
    assert (folder / "selection/dd_snr.csv").read_bytes() == chosen
    assert (folder / "figures/selection.png").read_bytes() == b"drawn"
    page = (folder / "README.md").read_text()
    assert "| `methods.dd_snr.weight` | 0.25 | 0.1 |" in page
    assert "![selection](figures/selection.png)" in page
    # Without a rule there is nothing that they would belong to.
    collect(EXPERIMENT, Files(str(again)), folder, MADE_BY, captions=CAPTIONS)
    assert not (folder / "selection").exists()


def test_each_training_has_a_row(results):
    found = histories(EXPERIMENT, results)
    assert list(zip(found["method"], found["seed"], strict=True)) == RUNS
    row = found[(found["method"] == "dd_snr") & (found["seed"] == 1)].iloc[0]
    assert (row["epochs"], row["loss"], row["test_accuracy"], row["seconds"]) == (2, 2.0, 0.45, 4.0)
    # 100 images in the first second and 600 in the other three.
    assert row["images_per_second"] == 175.0


def test_the_page_has_the_facts(collected):
    page = (collected / "README.md").read_text()
    facts = (
        "# Reference results: smoke",
        "make reference EXPERIMENT=smoke",
        "Standard (2 seeds), d.d. SNR (2 seeds). Threat: l2, epsilon = 1, 2 iterations.",
        "0123abcd, with changes in src/opnorm/lp.py",
        "A processor, 2 cores; A processor, 16 cores, A GPU",
        "python 3.11.7, torch 2.12.0",
        "| train standard | 2 | 60.0 |",
        "| all | 3 | 61.5 |",
        "| method | clean | l2, epsilon = 1 |",
        # 2.5 of 4 samples on average: those above 1 and above 0; attacked 1.5.
        "| Standard | 62.5 ± 23.9 (17.7) | 37.5 ± 23.9 (17.7) |",
        r"| c1 | 5.1 | a \| b | 0.512 [0.4, 0.6] | supported |",
        r"| c2 | 5.1 | a \| b | 1 | supported |",
        "### accuracies (table2)\n\n![accuracies](figures/accuracies.png)\n\nCorrect `x`\n",
        "![linearity](figures/linearity.png)\n\n### ",
    )
    for fact in facts:
        assert fact in page, fact
    assert "Not made" not in page


def test_a_missing_figure_is_named_and_none_at_all_refused(results, tmp_path):
    whole = replace(EXPERIMENT, analyses={**EXPERIMENT.analyses, "spectrum": {}})
    collect(whole, results, tmp_path / "kept", MADE_BY, captions=CAPTIONS)
    assert "Not made: spectrum." in (tmp_path / "kept/README.md").read_text()
    with pytest.raises(FileError, match="no figures there; run the experiment first"):
        collect(EXPERIMENT, Files(str(tmp_path / "nothing")), tmp_path / "kept", MADE_BY, captions=CAPTIONS)
    assert (tmp_path / "kept/README.md").exists()


def test_too_much_for_git_is_refused(results, collected, monkeypatch):
    before = (collected / "README.md").read_bytes()
    monkeypatch.setattr(collecting, "LARGEST", 1000)
    with pytest.raises(FileError, match=r"MiB would be kept, more than 0; the largest is figures/\w+\.png"):
        collect(EXPERIMENT, results, collected, MADE_BY, captions=CAPTIONS)
    assert (collected / "README.md").read_bytes() == before


def test_a_large_pdf_is_left_out(results, tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "_LARGEST_PDF", 10)
    collect(EXPERIMENT, results, tmp_path / "kept", MADE_BY, captions=CAPTIONS)
    assert not list(tmp_path.glob("kept/figures/*.pdf"))
    assert len(list(tmp_path.glob("kept/figures/*.png"))) == 3


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_contexts_are_read_as_they_were_written(norm, tmp_path):
    contexts = {"spectrum": FigureContext(("a", "b"), {"a": "Ä"}, norm, 0.1, "digits")}
    write_contexts(contexts, tmp_path / "figures.json")
    assert read_contexts(tmp_path / "figures.json") == contexts
    json.loads((tmp_path / "figures.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("text", ["{", "[]", '{"spectrum": {"norm": "2", "methods": []}}', '{"spectrum": 1}'])
def test_a_damaged_list_of_figures_is_named(text, tmp_path):
    (tmp_path / "figures.json").write_text(text)
    with pytest.raises(FileError, match=r"figures\.json: not a readable list of figures"):
        read_contexts(tmp_path / "figures.json")


REDRAW = """
import sys
sys.modules["torch"] = None
from opnorm.figures.context import read_contexts
from opnorm.figures.render import redraw
folder, name = sys.argv[1:]
context = read_contexts(f"{folder}/figures.json")[name]
redraw(name, f"{folder}/figures/{name}.csv", context, pdf="again.pdf", png="again.png")
"""


def test_a_figure_is_drawn_again_from_what_is_kept_without_torch(collected, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", REDRAW, str(collected), "linearity"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for suffix in ("pdf", "png"):
        assert (tmp_path / f"again.{suffix}").read_bytes() == (collected / f"figures/linearity.{suffix}").read_bytes()
