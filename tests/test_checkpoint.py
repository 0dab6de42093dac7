"""Checkpoints: whole, found again, never mixed up."""

import subprocess
import sys
import textwrap
import time

import pytest
import torch

from opnorm import checkpoint
from opnorm.errors import FileError, MemoryShortageError

FINGERPRINT = {"settings": {"epochs": 3, "method": {"weight": 0.5}}, "seed": 0}


def state(value):
    return {"x": torch.full((10,), float(value)), "history": [{"loss": 0.5}]}


def test_the_newest_checkpoint_is_found(tmp_path):
    for step in (9, 10, 11):
        checkpoint.write(tmp_path, step, state(step), FINGERPRINT)
    found = checkpoint.newest(tmp_path, FINGERPRINT)
    torch.testing.assert_close(found["x"], state(11)["x"])
    assert found["history"] == [{"loss": 0.5}]
    assert len(list(tmp_path.glob("step-*.pt"))) == checkpoint.KEEP


def test_nothing_is_found_in_an_empty_folder(tmp_path):
    assert checkpoint.newest(tmp_path, FINGERPRINT) is None
    assert checkpoint.last_written(tmp_path / "none") is None


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path, keep):
    checkpoint.write(tmp_path, 1, state(1), FINGERPRINT)
    damaged = checkpoint.write(tmp_path, 2, state(2), FINGERPRINT)
    damaged.write_bytes(damaged.read_bytes()[:keep])
    said = []
    found = checkpoint.newest(tmp_path, FINGERPRINT, said.append)
    torch.testing.assert_close(found["x"], state(1)["x"])
    assert len(said) == 1
    assert f"{damaged}: damaged" in said[0]
    # It neither counts as the last one nor takes the place of a good one.
    assert checkpoint.last_written(tmp_path).name == "step-000000001.pt"


@pytest.mark.parametrize(("error", "raised", "words"), [
    (OSError(5, "Input/output error"), FileError, "cannot be read .Input/output error.; run again"),
    (PermissionError(13, "Permission denied"), FileError, "Permission denied"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp] can't allocate memory"), MemoryShortageError, "too little memory"),
])  # fmt: skip
def test_what_cannot_be_read_for_other_reasons_is_kept(tmp_path, monkeypatch, error, raised, words):
    def load(*args, **kwargs):
        raise error

    paths = [checkpoint.write(tmp_path, step, state(step), FINGERPRINT) for step in (1, 2)]
    with monkeypatch.context() as patched:
        patched.setattr(torch, "load", load)
        with pytest.raises(raised, match=words) as found:
            checkpoint.newest(tmp_path, FINGERPRINT, pytest.fail)
    assert str(paths[1]) in str(found.value)
    torch.testing.assert_close(checkpoint.newest(tmp_path, FINGERPRINT, pytest.fail)["x"], state(2)["x"])


@pytest.mark.parametrize(("words", "raised"), [
    ("CUDA error: an illegal memory access was encountered", RuntimeError),
    ("[enforce fail at inline_container.cc:862] . PytorchStreamWriter failed writing file data/0", FileError),
])  # fmt: skip
def test_only_what_the_writer_says_is_a_full_disk(tmp_path, monkeypatch, words, raised):
    def save(*args, **kwargs):
        raise RuntimeError(words)

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(raised, match="CUDA error" if raised is RuntimeError else "the disk is full"):
        checkpoint.write(tmp_path, 1, state(1), FINGERPRINT)


def test_a_checkpoint_of_other_settings_is_not_resumed_but_named(tmp_path):
    path = checkpoint.write(tmp_path, 1, state(1), FINGERPRINT)
    said = []
    other = {"settings": {"epochs": 4, "method": {"weight": 0.5}}, "seed": 0}
    assert checkpoint.newest(tmp_path, other, said.append) is None
    assert said == [f"{path}: made with other settings (settings.epochs: 3 there, 4 now), so it is not resumed from"]


def test_no_code_in_a_checkpoint_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("executed",))

    torch.save({"fingerprint": FINGERPRINT, "state": Evil()}, tmp_path / "step-000000001.pt")
    said = []
    assert checkpoint.newest(tmp_path, FINGERPRINT, said.append) is None
    assert "damaged" in said[0]


def test_a_full_disk_keeps_the_older_checkpoint(tmp_path):
    checkpoint.write(tmp_path, 1, state(1), FINGERPRINT)
    code = """
        import resource, signal, sys
        from pathlib import Path
        import torch
        from opnorm import checkpoint
        from opnorm.errors import FileError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        try:
            checkpoint.write(Path(sys.argv[1]), 2, {"x": torch.zeros(100_000)}, {})
        except FileError as error:
            sys.exit(str(error))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "disk is full" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001.pt"]
    assert checkpoint.newest(tmp_path, FINGERPRINT) is not None


def test_unwritable_folder_is_an_error_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be written"):
        checkpoint.write(tmp_path / "file", 1, state(1), FINGERPRINT)


def test_a_second_process_waits_until_the_first_one_is_gone(tmp_path):
    code = """
        import sys, time
        from pathlib import Path
        from opnorm import checkpoint
        with checkpoint.exclusive(Path(sys.argv[1])):
            print("held", flush=True)
            time.sleep(60)
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    said = []

    def say(text):
        said.append(text)
        holder.kill()

    start = time.monotonic()
    with checkpoint.exclusive(tmp_path, say):
        waited = time.monotonic() - start
    holder.wait()
    holder.stdout.close()
    assert len(said) == 1
    assert "waiting" in said[0]
    assert waited < 30


def test_leftovers_of_a_killed_write_are_removed(tmp_path):
    (tmp_path / ".step-000000005.pt.123.pt").write_bytes(b"half")
    with checkpoint.exclusive(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]
