"""`import opnorm`: light, and with all modules that other people's code uses."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import opnorm


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_after_the_import_every_public_module_is_there() -> None:
    names = run("import opnorm; print(opnorm.weights.load_model.__name__, *(opnorm.lp.__all__[:1]))")
    assert names.split() == ["load_model", "dual_exponent"]


def test_the_import_alone_imports_nothing() -> None:
    code = """
import sys
before = set(sys.modules)
import opnorm
dir(opnorm)
loaded = set(sys.modules) - before
print(*(name for name in loaded if name.startswith("opnorm.") or name in ("torch", "numpy", "pandas")))
"""
    assert not run(code).split()


@pytest.mark.parametrize("name", opnorm._MODULES)
def test_what_is_listed_is_a_module_of_the_package(name: str) -> None:
    assert name in {module.name for module in pkgutil.iter_modules(opnorm.__path__)}
    assert getattr(opnorm, name).__name__ == f"opnorm.{name}"
    assert name in dir(opnorm)


def test_any_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'opnorm' has no attribute 'lpp'"):
        opnorm.lpp  # noqa: B018
    with pytest.raises(ImportError):
        from opnorm import lpp  # noqa: F401
