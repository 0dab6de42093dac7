"""Snakemake's lock is removed when its owner is gone, and only then."""

import json
import os
import socket
import subprocess
import sys

from opnorm import locks


def locked(folder):
    (folder / "locks").mkdir()
    (folder / "locks" / "0.input.lock").write_text("file")
    return folder


def owned_by_a_dead_process(folder):
    code = f"from pathlib import Path; from opnorm import locks; locks.claim(Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_lock_of_a_dead_owner_goes(tmp_path):
    owned_by_a_dead_process(locked(tmp_path))
    assert locks.release_if_stale(tmp_path)
    assert not (tmp_path / "locks").exists()
    assert not locks.release_if_stale(tmp_path)


def test_the_lock_of_a_living_owner_stays(tmp_path):
    locks.claim(locked(tmp_path))
    assert not locks.release_if_stale(tmp_path)
    assert (tmp_path / "locks").exists()


def test_a_number_that_went_to_another_process_is_not_the_owner(tmp_path):
    locks.claim(locked(tmp_path))
    owner = json.loads((tmp_path / "owner.json").read_text())
    assert owner["pid"] == os.getpid()
    (tmp_path / "owner.json").write_text(json.dumps({**owner, "started": 1.0}))
    assert locks.release_if_stale(tmp_path)


def test_an_owner_on_another_machine_or_unknown_keeps_the_lock(tmp_path):
    owned_by_a_dead_process(locked(tmp_path))
    owner = json.loads((tmp_path / "owner.json").read_text())
    assert owner["host"] == socket.gethostname()
    (tmp_path / "owner.json").write_text(json.dumps({**owner, "host": "elsewhere"}))
    assert not locks.release_if_stale(tmp_path)
    (tmp_path / "owner.json").write_text("{")
    assert not locks.release_if_stale(tmp_path)
    (tmp_path / "owner.json").unlink()
    assert not locks.release_if_stale(tmp_path)
    assert (tmp_path / "locks").exists()


def test_a_lock_that_another_process_has_just_taken_stays(tmp_path):
    (tmp_path / "locks").mkdir()
    owned_by_a_dead_process(tmp_path)
    lock = tmp_path / "locks" / "0.input.lock"
    lock.write_text("file")
    later = (tmp_path / "owner.json").stat().st_mtime_ns + 1_000_000
    os.utime(lock, ns=(later, later))
    assert not locks.release_if_stale(tmp_path)
    assert lock.exists()


def test_an_empty_folder_of_locks_is_no_lock(tmp_path):
    (tmp_path / "locks").mkdir()
    owned_by_a_dead_process(tmp_path)
    assert not locks.release_if_stale(tmp_path)


def test_without_a_lock_there_is_nothing_to_do(tmp_path):
    assert not locks.release_if_stale(tmp_path)
