"""The tests here start a SLURM cluster and install Debian's packages for it, so they run only when asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import machine
import pytest
from cluster import Cluster, cluster
from project import Project

HERE = Path(__file__).parent
WANTED = "a SLURM cluster was not asked for: `pytest tests/slurm --slurm`, or OPNORM_SLURM=1"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slurm", action="store_true", help="run the tests that start a SLURM cluster (as root)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave a run of the whole suite in peace; a run of this directory says why it skips."""
    return None if _is_asked_for(config) or _is_named(config) else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reason = machine.unavailable() if _is_asked_for(config) else WANTED
    for item in items:
        if item.path.is_relative_to(HERE) and reason:
            item.add_marker(pytest.mark.skip(reason=reason))


def _is_asked_for(config: pytest.Config) -> bool:
    return config.getoption("--slurm", default=False) or os.environ.get("OPNORM_SLURM") == "1"


def _is_named(config: pytest.Config) -> bool:
    named = [config.invocation_params.dir / argument.split("::")[0] for argument in config.args]
    return any(path.resolve().is_relative_to(HERE) for path in named)


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture
def slurm(shared_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster that the tests share, without a job and with all daemons running; os.environ leads to it."""
    shared_cluster.clear()
    yield shared_cluster
    shared_cluster.clear()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that has trained two seeds of the long experiment without interruption."""
    made = Project(tmp_path_factory.mktemp("project"))
    made.uninterrupted(seeds=2)
    return made
