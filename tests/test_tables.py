"""Files appear whole or not at all."""

import errno
import os
import subprocess
import sys
import textwrap

import pandas as pd
import pytest

from opnorm import tables
from opnorm.errors import FileError


def test_atomic_path_replaces_the_target_only_at_the_end(tmp_path):
    target = tmp_path / "folder" / "table.csv"
    with tables.atomic_path(target) as path:
        path.write_text("new")
        assert path.suffix == ".csv"
        assert path.parent == target.parent
        assert not target.exists()
    assert target.read_text() == "new"
    assert os.listdir(target.parent) == ["table.csv"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), tables.atomic_path(target) as path:
        path.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_named_with_the_file_and_what_to_do(tmp_path, number):
    target = tmp_path / "table.csv"
    with pytest.raises(FileError, match="disk is full") as caught, tables.atomic_path(target):
        raise OSError(number, os.strerror(number))
    assert str(target) in str(caught.value)
    assert "Free some space" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_file_that_outgrows_its_limit_keeps_the_old_one(tmp_path):
    """A real write that fails in the middle: the system refuses to let any file grow past 4 KiB."""
    target = tmp_path / "table.csv"
    target.write_text("old")
    code = """
        import resource, signal, sys
        import pandas as pd
        from opnorm import tables
        from opnorm.errors import FileError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            tables.write_csv(pd.DataFrame({"x": range(10_000)}), sys.argv[1])
        except FileError as error:
            sys.exit(str(error))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(target)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "disk is full" in done.stderr
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be written"):
        tables.write_text("text", tmp_path / "file" / "below")


def test_tables_round_trip(tmp_path):
    frame = pd.DataFrame({"sample": [0, 1], "value": [0.1, 1e-30], "method": ["a", "b"]})
    tables.write_parquet(frame, tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(tables.read_parquet(tmp_path / "t.parquet"), frame, check_dtype=False)
    tables.write_csv(frame, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), frame, check_dtype=False)


def test_a_truncated_table_is_named(tmp_path):
    path = tmp_path / "t.parquet"
    tables.write_parquet(pd.DataFrame({"x": range(100)}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FileError, match=r"t\.parquet: not a readable table"):
        tables.read_parquet(path)
    with pytest.raises(FileError, match="missing"):
        tables.read_parquet(tmp_path / "missing")
