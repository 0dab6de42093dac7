"""Downloaded datasets: read as published, and what is missing or damaged is named. No test uses the network."""

from __future__ import annotations

import hashlib
import io
import pickle
import socket
import subprocess
import sys
import tarfile
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets

from opnorm import data, datasets
from opnorm.datasets import cifar10_small
from opnorm.errors import FileError

REAL = Path(__file__).parents[1] / "data"
PER_BATCH = 4

Server = Callable[..., Any]


class Response(io.BytesIO):
    """What `urlopen` answers: `content`, and an error in place of its end where there is one."""

    def __init__(self, content: bytes, error: Exception | None = None) -> None:
        super().__init__(content)
        self.length, self.url, self.error = len(content), None, error

    def read(self, size: int | None = -1) -> bytes:
        part = super().read(size)
        if not part and self.error is not None:
            raise self.error
        return part


def no_network(*_: Any, **__: Any) -> Any:
    raise urllib.error.URLError("no route to host")


@pytest.fixture(autouse=True)
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Server], None]:
    """Sets what `urlopen` does; without a call there is no network."""

    def answer(server: Server) -> None:
        monkeypatch.setattr("urllib.request.urlopen", server)

    answer(no_network)
    return answer


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class FakeCifar:
    """A tiny archive in the layout of CIFAR-10 or CIFAR-100, whose MD5s torchvision is told to expect."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dataset: Any, labels_key: str, seed: int) -> None:
        self.dataset, self.folder = dataset, dataset.base_folder
        random = np.random.default_rng(seed)
        names = {"train": [name for name, _ in dataset.train_list], "test": [name for name, _ in dataset.test_list]}
        self.images: dict[str, np.ndarray] = {}
        self.labels: dict[str, list[int]] = {}
        self.files: dict[str, bytes] = {}
        for split, batches in names.items():
            self.images[split] = random.integers(256, size=(len(batches) * PER_BATCH, 3, 32, 32), dtype=np.uint8)
            self.labels[split] = random.integers(10, size=len(batches) * PER_BATCH).tolist()
            for i, name in enumerate(batches):
                part = slice(i * PER_BATCH, (i + 1) * PER_BATCH)
                batch = {
                    "data": self.images[split][part].reshape(PER_BATCH, 3072),
                    labels_key: self.labels[split][part],
                }
                self.files[name] = pickle.dumps(batch)
        self.meta = dataset.meta["filename"]
        self.files[self.meta] = pickle.dumps({dataset.meta["key"]: list("abcdefghij")})
        self.archive = self._packed()
        for split in names:
            monkeypatch.setattr(dataset, f"{split}_list", [[name, md5(self.files[name])] for name in names[split]])
        monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": md5(self.files[self.meta])})
        monkeypatch.setattr(dataset, "tgz_md5", md5(self.archive))

    def _packed(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for name, content in self.files.items():
                entry = tarfile.TarInfo(f"{self.folder}/{name}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()

    def unpack(self, root: Path) -> Path:
        """The files in their folder; returns the folder."""
        folder = root / self.folder
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder

    def put_archive(self, root: Path) -> None:
        (root / self.dataset.filename).write_bytes(self.archive)

    def check(self, name: str, root: Path) -> None:
        """`data.load` gives exactly the images and labels that were made up."""
        for split in data.SPLITS:
            images, labels = data.load(name, root, split)
            assert images.dtype == torch.uint8
            assert labels.dtype == torch.int64
            assert images.is_contiguous()
            assert images.shape == (len(self.labels[split]), 3, 32, 32)
            assert np.array_equal(images.numpy(), self.images[split])
            assert labels.tolist() == self.labels[split]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCifar:
    return FakeCifar(monkeypatch, torchvision.datasets.CIFAR10, "labels", 0)


def refusal(name: str, root: Path, split: str = "train") -> str:
    with pytest.raises(FileError) as caught:
        data.load(name, root, split)
    return str(caught.value)


def test_files_that_are_there_are_used_as_they_are(fake: FakeCifar, tmp_path: Path) -> None:
    folder = fake.unpack(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    fake.check("cifar10", tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == [fake.folder]


def test_cifar100_has_its_fine_labels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = FakeCifar(monkeypatch, torchvision.datasets.CIFAR100, "fine_labels", 1)
    fake.unpack(tmp_path)
    fake.check("cifar100", tmp_path)


def test_an_archive_is_unpacked_without_a_network(fake: FakeCifar, tmp_path: Path) -> None:
    fake.put_archive(tmp_path)
    fake.check("cifar10", tmp_path)


def test_what_is_not_there_is_downloaded(fake: FakeCifar, tmp_path: Path, serve: Callable[[Server], None]) -> None:
    asked: list[str] = []

    def server(request: Any) -> Response:
        asked.append(request.full_url)
        return Response(fake.archive)

    serve(server)
    fake.check("cifar10", tmp_path / "new")
    assert set(asked) == {fake.dataset.url}
    # One look for a redirection and one download, for both splits together.
    assert len(asked) == 2


def test_without_files_and_network_the_message_says_what_to_put_where(fake: FakeCifar, tmp_path: Path) -> None:
    message = refusal("cifar10", tmp_path)
    for words in (fake.dataset.filename, fake.dataset.tgz_md5, fake.dataset.url, str(tmp_path), "no route to host"):
        assert words in message
    assert all(f"{fake.folder}/{name}" in message for name in fake.files)


FAULTS: dict[str, Callable[[Path], Any]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "changed": lambda path: path.write_bytes(path.read_bytes()[:-5] + b"?" + path.read_bytes()[-4:]),
    "folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("file", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_bad_file_is_named_and_no_other(fake: FakeCifar, tmp_path: Path, file: str, fault: str) -> None:
    FAULTS[fault](fake.unpack(tmp_path) / file)
    message = refusal("cifar10", tmp_path)
    words = "missing" if fault in ("missing", "folder") else "damaged"
    assert f"{fake.folder}/{file} {words}" in message
    assert not any(f"{fake.folder}/{name}" in message for name in fake.files if name != file)
    assert f"put {fake.dataset.filename} (MD5 {fake.dataset.tgz_md5})" in message
    assert f"delete the folder {fake.folder}" in message


@pytest.mark.parametrize("fault", ["missing", "cut"])
def test_doing_as_the_message_says_helps(fake: FakeCifar, tmp_path: Path, fault: str) -> None:
    folder = fake.unpack(tmp_path)
    FAULTS[fault](folder / fake.meta)
    refusal("cifar10", tmp_path)
    fake.put_archive(tmp_path)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    fake.check("cifar10", tmp_path)


def test_a_damaged_batch_is_unpacked_again(fake: FakeCifar, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (fake.unpack(tmp_path) / "data_batch_2").write_bytes(b"half")
    fake.put_archive(tmp_path)
    fake.check("cifar10", tmp_path)
    assert f"{fake.folder}/data_batch_2 damaged" in capsys.readouterr().out


def test_a_root_that_is_a_file_is_refused(fake: FakeCifar, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.write_text("not a folder")
    assert str(root) in refusal("cifar10", root)


BROKEN: dict[str, Callable[[bytes], Response]] = {
    "broken off": lambda archive: Response(archive[:-200], ConnectionResetError("reset by peer")),
    "cut": lambda archive: Response(archive[:-200]),
    "another page": lambda _: Response(b"<html>Please log in</html>"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_half_a_download_is_never_believed(
    fake: FakeCifar, tmp_path: Path, serve: Callable[[Server], None], how: str
) -> None:
    serve(lambda _request: BROKEN[how](fake.archive))
    assert fake.dataset.filename in refusal("cifar10", tmp_path)
    assert not (tmp_path / fake.folder).exists()
    serve(no_network)
    assert f"{fake.dataset.filename} damaged or incomplete" in refusal("cifar10", tmp_path)
    serve(lambda _request: Response(fake.archive))
    fake.check("cifar10", tmp_path)


def test_a_silent_server_is_given_up(fake: FakeCifar, tmp_path: Path, serve: Callable[[Server], None]) -> None:
    limits: list[float | None] = []

    def server(_request: Any) -> Any:
        limits.append(socket.getdefaulttimeout())
        raise TimeoutError("timed out")

    serve(server)
    before = socket.getdefaulttimeout()
    assert "timed out" in refusal("cifar10", tmp_path)
    assert all(limit is not None and 0 < limit <= 60 for limit in limits)
    assert limits
    assert socket.getdefaulttimeout() == before


class Harmful:
    """A pickle of this makes a file where it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("file", ["data_batch_1", "test_batch", "batches.meta"])
def test_a_file_with_another_md5_is_not_opened(fake: FakeCifar, tmp_path: Path, file: str) -> None:
    (fake.unpack(tmp_path) / file).write_bytes(pickle.dumps(Harmful(tmp_path / "opened")))
    for split in data.SPLITS:
        refusal("cifar10", tmp_path, split)
    assert not (tmp_path / "opened").exists()


def test_the_small_one_is_the_beginning(fake: FakeCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.unpack(tmp_path)
    sizes = {"train": 7, "test": 3}
    monkeypatch.setattr(cifar10_small, "SIZES", sizes)
    for split, size in sizes.items():
        images, labels = data.load("cifar10_small", tmp_path, split)
        assert np.array_equal(images.numpy(), fake.images[split][:size])
        assert labels.tolist() == fake.labels[split][:size]


def test_a_prepared_part_is_not_taken_for_the_whole(fake: FakeCifar, tmp_path: Path) -> None:
    fake.unpack(tmp_path)
    path = tmp_path / "train.safetensors"
    data.prepare("cifar10_small", tmp_path, {"train": path})
    assert data.read_split(path, "cifar10_small").images.dtype == torch.uint8
    with pytest.raises(FileError, match="cifar10_small, but the experiment asks for cifar10"):
        data.read_split(path, "cifar10")


@pytest.fixture
def house_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Tiny SVHN files in `tmp_path`: images (H, W, C, N) and labels 1 to 10 as they are in them."""
    savemat = pytest.importorskip("scipy.io").savemat
    random, contents, entries = np.random.default_rng(0), {}, {}
    for split, n in (("train", 12), ("test", 5)):
        X = random.integers(256, size=(32, 32, 3, n), dtype=np.uint8)
        y = (np.arange(n) % 10 + 1).astype(np.uint8)[:, None]
        url, file, _ = torchvision.datasets.SVHN.split_list[split]
        savemat(tmp_path / file, {"X": X, "y": y})
        contents[split], entries[split] = (X, y), [url, file, md5((tmp_path / file).read_bytes())]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", entries)
    return contents


def test_svhn(house_numbers: dict[str, tuple[np.ndarray, np.ndarray]], tmp_path: Path) -> None:
    for split, (X, y) in house_numbers.items():
        images, labels = data.load("svhn", tmp_path, split)
        assert images.dtype == torch.uint8
        assert labels.dtype == torch.int64
        assert images.is_contiguous()
        for n in range(len(labels)):
            assert np.array_equal(images[n].numpy(), X[..., n].transpose(2, 0, 1))
            # The files call a zero 10.
            assert int(labels[n]) == int(y[n, 0]) % 10


@pytest.mark.usefixtures("house_numbers")
def test_svhn_needs_only_the_splits_own_file(tmp_path: Path) -> None:
    (tmp_path / "train_32x32.mat").unlink()
    assert len(data.load("svhn", tmp_path, "test")[1]) == 5
    message = refusal("svhn", tmp_path)
    assert "train_32x32.mat missing" in message
    assert torchvision.datasets.SVHN.split_list["train"][2] in message
    assert "delete" not in message


def test_torchvision_is_imported_only_to_read() -> None:
    modules = ", ".join(sorted({entry.split(":")[0] for entry in datasets.REGISTRY.values()}))
    code = f"import sys, {modules}; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(
    not (REAL / "cifar-10-batches-py").is_dir(), reason="CIFAR-10 itself is not in data/cifar-10-batches-py"
)
def test_the_real_cifar10() -> None:
    train, test = (data.Split(*data.load("cifar10", REAL, split)) for split in data.SPLITS)
    assert train.images.shape == (50_000, 3, 32, 32)
    assert test.images.shape == (10_000, 3, 32, 32)
    assert train.labels.bincount().tolist() == [5000] * 10
    assert test.labels.bincount().tolist() == [1000] * 10
    # The first are a frog and two trucks; a cat and two ships.
    assert train.labels[:3].tolist() == [6, 9, 9]
    assert test.labels[:3].tolist() == [3, 8, 8]
    mean, std = data.statistics(train.images)
    # As everybody rounds them.
    assert mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=5e-5)
    assert std == pytest.approx((0.2470, 0.2435, 0.2616), abs=5e-5)
    images, labels = data.load("cifar10_small", REAL, "test")
    assert torch.equal(images, test.images[:2_000])
    assert torch.equal(labels, test.labels[:2_000])
