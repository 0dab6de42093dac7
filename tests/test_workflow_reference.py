"""Collected figures are drawn again by the workflow, from their tables alone."""

import json
import os
import re
import shutil

import pandas as pd
import pytest

from opnorm.figures.context import FigureContext, write_contexts
from opnorm.figures.render import redraw
from test_workflow import Project

pytestmark = pytest.mark.workflow

STATISTICS = {"standard_error": 0.1, "n": 5, "seed_std": 0.01}
CONTEXT = FigureContext(("a", "b"), {"a": "Method A"}, 2.0, 0.5, "digits")
TABLES = {
    "linearity": [
        {
            "method": method,
            "direction": direction,
            "distance": distance,
            "mean": distance + len(direction),
            **STATISTICS,
        }
        for method in "ab"
        for direction in ("random", "adversarial")
        for distance in (0.0, 0.5, 1.0)
    ],
    "accuracies": [
        {"method": method, "epsilon": epsilon, "mean": 0.9 - epsilon, **STATISTICS}
        for method in "ab"
        for epsilon in (0.0, 0.5)
    ],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a collected experiment, no data, no models, and a torch that cannot be imported."""
    found = Project(tmp_path_factory.mktemp("project"))
    folder = found.folder / "results/reference/elsewhere"
    (folder / "figures").mkdir(parents=True)
    for name, rows in TABLES.items():
        pd.DataFrame(rows).to_csv(folder / f"figures/{name}.csv", index=False)
    write_contexts({**dict.fromkeys(TABLES, CONTEXT), "of_an_older_version": CONTEXT}, folder / "figures.json")
    broken = found.folder / "without"
    broken.mkdir()
    (broken / "torch.py").write_text("raise ImportError('torch is not needed')\n")
    found.environment["PYTHONPATH"] = os.pathsep.join([str(broken), found.environment["PYTHONPATH"]])
    assert found.planned("reference_figures") == {"redraw": 2, "reference_figures": 1}
    done = found.run("reference_figures")
    assert done.returncode == 0, done.stdout + done.stderr
    return found


def test_they_are_drawn_from_the_tables_alone(project, tmp_path):
    folder = project.folder / "results"
    assert {path.name for path in folder.iterdir()} == {"reference", "redrawn"}
    for name in TABLES:
        redraw(
            name,
            folder / f"reference/elsewhere/figures/{name}.csv",
            CONTEXT,
            pdf=tmp_path / "a.pdf",
            png=tmp_path / "a.png",
        )
        for suffix in ("pdf", "png"):
            again = (folder / f"redrawn/elsewhere/{name}.{suffix}").read_bytes()
            assert again == (tmp_path / f"a.{suffix}").read_bytes()


def test_they_follow_code_table_and_labels(project):
    folder = project.folder / "results/reference/elsewhere"
    assert project.planned("reference_figures") == {}
    code = project.folder / "src/opnorm/figures/linearity.py"
    for path, old, new, drawn in (
        (code, "annotations\n", "annotations\n\nEXTRA = 1\n", 1),
        (folder / "figures/accuracies.csv", "0.9", "0.8", 1),
        (folder / "figures.json", "Method A", "A", 2),
    ):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        try:
            assert project.planned("reference_figures") == {"redraw": drawn, "reference_figures": 1}, path
        finally:
            path.write_text(text)


def test_results_of_the_library_alone_are_not_taken_over(project):
    folder = project.folder / "results/smoke"
    folder.mkdir()
    (folder / "made.json").write_text("{}")
    try:
        done = project.run("-n")
        assert project.planned("reference_figures") == {}
    finally:
        shutil.rmtree(folder)
    assert done.returncode != 0
    output = done.stdout + done.stderr
    assert "Error: results/smoke has results of `python -m opnorm.reference run`" in output
    assert "Traceback" not in output


THREADS = """
include: "workflow/Snakefile"

rule many_threads:
    output: "many_threads"
    threads: 1000
    shell: "touch {output}"
"""


def test_this_machine_limits_the_threads_of_its_own_jobs_but_not_of_a_clusters(project):
    (project.folder / "threads.smk").write_text(THREADS)
    planned = [
        project.run("-n", "-s", "threads.smk", "many_threads", "--profile", name) for name in ("none", "profiles/slurm")
    ]
    here, cluster = (re.search(r"threads: (\d+)", done.stdout + done.stderr) for done in planned)
    assert here is None or int(here[1]) < 1000
    assert cluster[1] == "1000"


def test_a_damaged_list_is_named(project):
    path = project.folder / "results/reference/elsewhere/figures.json"
    text = path.read_text()
    path.write_text(json.dumps([]))
    try:
        done = project.run("-n", "reference_figures")
    finally:
        path.write_text(text)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Error: results/reference/elsewhere/figures.json: not a readable list of figures" in output
    assert "Traceback" not in output
