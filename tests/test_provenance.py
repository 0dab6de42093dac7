"""Code digests change with what can change a result, and with nothing else; records name what made it."""

import importlib
import importlib.metadata
import json
import math
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from opnorm import provenance
from opnorm.errors import FileError

FILES = {
    "__init__.py": "",
    "base.py": '"""Prose."""\n\n\ndef f():\n    """More prose."""\n    return 1\n',
    "user.py": "from toy.base import f\n\n\ndef g():\n    return f()\n",
    "other.py": "x = 1\n",
    "lazy.py": "def h():\n    from toy.other import x\n    return x\n",
    "typed.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toy.other import x\ny = 1\n",
    "plugins/__init__.py": 'REGISTRY = {"a": "toy.plugins.a:A"}\nUSED_OF_THREAT: dict = {"a": ()}\n\n\n'
    "def build(name):\n    return name\n",
    "plugins/a.py": "from toy import base\n\nA = base.f\n",
    "plugins/b.py": "from ._helper import penalty\nfrom .. import base\n",
    "plugins/_helper.py": "def penalty():\n    return 0\n",
    "relative/__init__.py": "from . import part\n",
    "relative/part.py": "from ..plugins import _helper\n",
}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield Toy(tmp_path / "toy")
    sys.modules.pop("toy", None)
    forget()


def forget():
    for function in ("code_digest", "_closure", "_imports", "_source_digest", "_tree", "_path"):
        getattr(provenance, function).cache_clear()


class Toy:
    def __init__(self, folder):
        self.folder = folder

    def changes(self, module, file, old, new):
        """Whether replacing `old` by `new` in `file` changes the digest of `module`."""
        forget()
        before = provenance.code_digest(module)
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        forget()
        after = provenance.code_digest(module)
        path.write_text(text)
        return before != after


def test_code_counts_wherever_it_is_imported_from(toy):
    assert toy.changes("toy.base", "base.py", "return 1", "return 2")
    assert toy.changes("toy.user", "base.py", "return 1", "return 2")
    assert toy.changes("toy.plugins.a", "base.py", "return 1", "return 2")
    assert toy.changes("toy.lazy", "other.py", "x = 1", "x = 2")


def test_relative_imports_are_found_from_modules_and_from_packages(toy):
    assert toy.changes("toy.plugins.b", "plugins/_helper.py", "return 0", "return 1")
    assert toy.changes("toy.plugins.b", "base.py", "return 1", "return 2")
    assert toy.changes("toy.relative", "plugins/_helper.py", "return 0", "return 1")
    assert not toy.changes("toy.plugins.b", "relative/part.py", "import _helper", "import b")


def test_other_code_does_not_count(toy):
    assert not toy.changes("toy.user", "other.py", "x = 1", "x = 2")
    assert not toy.changes("toy.base", "user.py", "return f()", "return 2")


def test_prose_and_layout_do_not_count(toy):
    assert not toy.changes("toy.base", "base.py", "Prose", "Other words")
    assert not toy.changes("toy.base", "base.py", "More prose", "Other words")
    assert not toy.changes("toy.base", "base.py", "return 1", "return 1  # a comment")
    assert not toy.changes("toy.base", "base.py", "    return 1", "\n\n    return (1)")


def test_imports_for_type_checking_do_not_count(toy):
    assert not toy.changes("toy.typed", "other.py", "x = 1", "x = 2")


def test_a_registrys_entries_do_not_count_but_its_code_does(toy):
    assert not toy.changes("toy.plugins", "plugins/__init__.py", "toy.plugins.a:A", "toy.plugins.b:B")
    assert not toy.changes("toy.plugins", "plugins/__init__.py", '"a": ()', '"a": ("epsilon",)')
    assert toy.changes("toy.plugins", "plugins/__init__.py", "return name", "return 2")


def test_an_unknown_module_is_an_error(toy):
    with pytest.raises(ModuleNotFoundError):
        provenance.code_digest("toy.none")


def closure(module):
    return provenance._closure(module)


def test_what_trainings_and_figures_go_through():
    training = closure("opnorm.training")
    assert {"opnorm.checkpoint", "opnorm.data", "opnorm.weights", "opnorm.modes"} <= training
    assert "opnorm.settings" not in training
    assert not any("figures" in name or "analysis" in name for name in training)
    assert "opnorm.lp" in closure("opnorm.objectives.data_dependent_snr")
    assert "opnorm.lp" in closure("opnorm.objectives.adversarial")
    assert "opnorm.attacks" not in closure("opnorm.objectives.data_dependent_snr")
    assert not any("torch" in name or "models" in name for name in closure("opnorm.figures.spectrum"))


def test_versions_name_what_results_depend_on():
    found = provenance.versions()
    assert found["torch"].startswith("2.")
    assert {"python", "numpy", "opnorm", "scikit-learn"} <= found.keys()


def test_the_attack_of_others_has_its_version():
    pytest.importorskip("pyautoattack")
    assert provenance.versions()["pyautoattack"] == importlib.metadata.version("pyautoattack")


@pytest.fixture
def repository(tmp_path):
    """A file under version control, one that is ignored, and one of another folder."""
    for name, text in {"code.py": "x = 1\n", ".gitignore": "ignored.py\n", "ignored.py": ""}.items():
        (tmp_path / name).write_text(text)
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "-m", "Begin"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_the_commit_and_what_differs_from_it(repository):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True)
    assert provenance.commit(repository / "code.py") == {"hash": head.stdout.strip(), "changed": []}
    (repository / "code.py").write_text("x = 2\n")
    (repository / "method.py").write_text("")
    (repository / "ignored.py").write_text("x = 3\n")
    assert provenance.commit(repository / "code.py")["changed"] == ["code.py", "method.py"]


def test_no_commit_for_a_file_that_git_does_not_know(repository, tmp_path_factory, monkeypatch):
    assert provenance.commit(repository / "ignored.py") is None
    assert provenance.commit(tmp_path_factory.mktemp("elsewhere") / "code.py") is None
    monkeypatch.setenv("PATH", "")
    assert provenance.commit(repository / "code.py") is None


def test_the_hardware_is_this_machines():
    found = provenance.hardware()
    assert found["processor"]
    assert found["cores"] in range(1, os.cpu_count() + 1)
    assert found["memory_gib"] == pytest.approx(psutil.virtual_memory().total / 2**30, abs=0.06)


def test_gpus_are_those_that_the_driver_lists(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho NVIDIA A100\necho NVIDIA H100\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert provenance.hardware()["gpus"] == ["NVIDIA A100", "NVIDIA H100"]
    assert provenance.machine().endswith("NVIDIA A100, NVIDIA H100")


def test_machines_are_found_in_the_logs_that_jobs_begin(tmp_path):
    logs = {
        "a": f"train.py: process 1\n{provenance.machine()}\ndone\n",
        "b": "x\nmachine: Other, 8 cores\n",
        "c": "y\n",
    }
    for name, text in logs.items():
        (tmp_path / name).write_text(text)
    expected = sorted(["Other, 8 cores", provenance.machine().removeprefix("machine: ")])
    assert provenance.machines([tmp_path / name for name in ("a", "b", "c", "a")]) == expected


def test_stages_add_up_the_jobs_of_a_stage(tmp_path):
    jobs = {
        "data": ("1.5", "0:00:01", "100.0"),
        "train/standard": ("10", "0:00:10", "300"),
        "train/dd_snr": ("20", "0:00:20", "400"),
        "analyze/spectrum/standard": ("2", "0:00:02", "250"),
        "analyze/spectrum/dd_snr": ("3", "0:00:03", "200"),
        "figures/spectrum": ("0.2", "0:00:00", "NA"),
    }
    for name, values in jobs.items():
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("s\th:m:s\tmax_rss\n" + "\t".join(values) + "\n")
    found = {row.pop("stage"): row for row in provenance.stages(tmp_path)}
    assert {*found} == {"data", "train standard", "train dd_snr", "analyze spectrum", "figures"}
    assert found["analyze spectrum"] == {"jobs": 2, "seconds": 5.0, "memory_mib": 250.0}
    assert found["figures"] == {"jobs": 1, "seconds": 0.2, "memory_mib": 0.0}


def test_a_record_is_json_that_names_everything(tmp_path):
    (tmp_path / "train").write_bytes(b"abc")
    config = {"experiment": "e", "seeds": (0, 1), "threat": {"step_size": math.inf}}
    provenance.write(provenance.record(config, data={"train": tmp_path / "train"}), tmp_path / "provenance.json")
    found = json.loads((tmp_path / "provenance.json").read_text())
    assert found["config"] == {"experiment": "e", "seeds": [0, 1], "threat": {"step_size": "inf"}}
    assert found["data"] == {"train": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
    assert found["versions"] == provenance.versions()
    assert found["hardware"] == provenance.hardware()
    assert abs(datetime.now(UTC) - datetime.fromisoformat(found["time"])) < timedelta(minutes=1)
    assert {"commit", "machines", "stages"} <= found.keys()


def test_a_missing_data_file_is_named(tmp_path):
    with pytest.raises(FileError, match=r"none: cannot be read"):
        provenance.file_digest(tmp_path / "none")
