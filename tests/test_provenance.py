"""Code digests change with what can change a result, and with nothing else."""

import importlib
import sys

import pytest

from opnorm import provenance

FILES = {
    "__init__.py": "",
    "base.py": '"""Prose."""\n\n\ndef f():\n    """More prose."""\n    return 1\n',
    "user.py": "from toy.base import f\n\n\ndef g():\n    return f()\n",
    "other.py": "x = 1\n",
    "lazy.py": "def h():\n    from toy.other import x\n    return x\n",
    "typed.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toy.other import x\ny = 1\n",
    "plugins/__init__.py": 'REGISTRY = {"a": "toy.plugins.a:A"}\n\n\ndef build(name):\n    return name\n',
    "plugins/a.py": "from toy import base\n\nA = base.f\n",
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
    for function in ("_closure", "_imports", "_source_digest", "_tree", "_path"):
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
    assert {"python", "numpy", "opnorm"} <= found.keys()
