"""Experiment files, read without Snakemake."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from opnorm.errors import FileError, SettingsError
from opnorm.settings import Experiment

SCHEMA = Path(__file__).parents[3] / "workflow/schemas/experiment.schema.yaml"


def read_experiment(path: Path, changes: Iterable[str] = ()) -> tuple[Experiment, dict[str, Any]]:
    """An experiment file as values, and as it is written.

    Args:
        path: of the file.
        changes: "key=value" as Snakemake's --config takes them: the value is YAML, a mapping changes single keys.

    Raises:
        FileError: no such file, or no YAML.
        SettingsError: names the key, what is wrong and what is known.
    """
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise FileError(f"{path}: cannot be read ({error})") from error
    if not isinstance(config, dict):
        raise SettingsError(f"{path}: no mapping of keys to values")
    source = str(path)
    for change in changes:
        source = f"{path} and --config"
        key, separator, value = change.partition("=")
        if not separator:
            raise SettingsError(f"{change}: not of the form key=value")
        try:
            _update(config, {key: yaml.safe_load(value)})
        except yaml.YAMLError as error:
            raise SettingsError(f"{change}: what follows the = is no YAML ({error})") from error
    return Experiment.from_config(config, _schema(), source), config


def _schema() -> dict[str, Any] | None:
    if find_spec("jsonschema") is None or not SCHEMA.is_file():
        print("The experiment file's names and options are checked, its other keys are not: that needs jsonschema.")
        return None
    return dict(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))


def _update(config: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            _update(config[key], value)
        else:
            config[key] = value
