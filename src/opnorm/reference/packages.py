"""The packages that an experiment needs, looked for before anything is made."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from opnorm import datasets
from opnorm.errors import OpnormError

if TYPE_CHECKING:
    from opnorm.settings import Experiment

# By the name that is imported, the name that is installed.
ALWAYS = {
    "torch": "torch",
    "numpy": "numpy",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "safetensors": "safetensors",
    "matplotlib": "matplotlib",
    "tqdm": "tqdm",
    "yaml": "pyyaml",
    "scipy": "scipy",
}
_ATTACKS = "pyautoattack"


def refuse_missing(experiment: Experiment | None = None) -> None:
    """Look for what every experiment needs, or for all that the steps of this one import.

    Raises:
        OpnormError: packages are missing; says how to install them.
    """
    needed = ALWAYS if experiment is None else needed_by(experiment)
    missing = [package for module, package in needed.items() if not _is_there(module)]
    if missing:
        without = "" if _ATTACKS not in missing else f" ({_ATTACKS}: or set autoattack: false in evaluation and sanity)"
        raise OpnormError(f"packages are missing: pip install {' '.join(missing)}{without}")


def needed_by(experiment: Experiment) -> dict[str, str]:
    """Modules and their packages."""
    found = ALWAYS | datasets.PACKAGES.get(experiment.dataset, {})
    attacking = [experiment.analyses[name] for name in ("evaluation", "sanity") if name in experiment.analyses]
    if any(options.get("autoattack", True) for options in attacking):
        found[_ATTACKS] = _ATTACKS
    return found


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:
        return False
