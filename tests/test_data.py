"""Splits, batches, augmentation and prepared files."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from opnorm import data, files
from opnorm.errors import FileError, SettingsError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def content(images: Tensor, labels: Tensor) -> Counter[tuple[bytes, int]]:
    return Counter((image.numpy().tobytes(), int(label)) for image, label in zip(images, labels, strict=True))


def test_digits_are_split_completely_and_stratified() -> None:
    (train, train_labels), (test, test_labels) = (data.load("digits", "", split) for split in data.SPLITS)
    assert train.shape == (1297, 1, 8, 8)
    assert test.shape == (500, 1, 8, 8)
    assert train.dtype == test.dtype == torch.uint8
    assert train_labels.dtype == test_labels.dtype == torch.int64
    bunch = load_digits()
    grey = np.array([round(level * 255 / 16) for level in range(17)], dtype=np.uint8)
    everything = torch.from_numpy(grey[bunch.images.astype(int)][:, None])
    # Each sample of the bundle once, in one of the two: complete and disjoint.
    expected = content(everything, torch.from_numpy(bunch.target))
    assert content(train, train_labels) + content(test, test_labels) == expected
    for digit in range(10):
        share = 500 * float((bunch.target == digit).mean())
        assert abs(int((test_labels == digit).sum()) - share) <= 1.0


def test_digits_are_the_same_on_every_call() -> None:
    np.random.seed(1)  # noqa: NPY002
    first = data.Split(*data.load("digits", "", "test")).digest()
    np.random.seed(2)  # noqa: NPY002
    assert data.Split(*data.load("digits", "elsewhere", "test")).digest() == first
    assert data.Split(*data.load("digits", "", "train")).digest() != first


def test_an_unknown_dataset_is_named_with_its_neighbour() -> None:
    with pytest.raises(SettingsError, match="unknown dataset 'digit'; did you mean digits"):
        data.load("digit", "", "test")


@pytest.mark.parametrize("name", ["digits", "cifar10", "svhn"])
def test_another_word_for_a_split_is_not_the_test_split(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="split: 'validation' is not train or test"):
        data.load(name, tmp_path, "validation")


def test_to_unit_spans_zero_to_one() -> None:
    unit = data.to_unit(torch.arange(256, dtype=torch.uint8))
    assert unit.dtype == torch.float32
    assert unit[0] == 0.0
    assert unit[255] == 1.0
    # One rounding of a number below one.
    torch.testing.assert_close(unit.double() * 255.0, torch.arange(256.0).double(), rtol=6e-8, atol=0.0)


def test_statistics_are_per_channel() -> None:
    images = torch.randint(256, (5, 2, 3, 4), generator=generator(), dtype=torch.uint8)
    means, deviations = data.statistics(images)
    for channel in range(2):
        pixels = [int(pixel) / 255.0 for pixel in images[:, channel].flatten()]
        mean = sum(pixels) / len(pixels)
        variance = sum((pixel - mean) ** 2 for pixel in pixels) / (len(pixels) - 1)
        assert means[channel] == pytest.approx(mean, rel=1e-12)
        assert deviations[channel] == pytest.approx(math.sqrt(variance), rel=1e-12)


def test_digest_tells_pixels_labels_and_order(digits: dict[str, data.Split]) -> None:
    split = digits["test"]
    changed = split.images.clone()
    changed[3, 0, 2, 2] += 1
    variants = [
        split,
        data.Split(changed, split.labels),
        data.Split(split.images, split.labels.roll(1)),
        data.Split(split.images.flip(0), split.labels.flip(0)),
    ]
    assert len({variant.digest() for variant in variants}) == 4
    assert data.Split(split.images.clone(), split.labels.clone()).digest() == split.digest()
    assert split.to("cpu").digest() == split.digest()
    assert split.classes == int(split.labels.max()) + 1


def test_a_split_is_walked_in_order_to_its_end(digits: dict[str, data.Split]) -> None:
    split = digits["test"]
    parts = list(split.batches(15))
    assert [len(labels) for _, labels in parts] == [15, 15, 10]
    assert torch.equal(torch.cat([images for images, _ in parts]), data.to_unit(split.images))
    assert torch.equal(torch.cat([labels for _, labels in parts]), split.labels)


@pytest.mark.parametrize(("n", "size", "count"), [(10, 4, 2), (12, 4, 3), (3, 4, 1), (4, 4, 1), (5, 1, 5)])
def test_batches_are_a_permutation_without_the_incomplete_one(n: int, size: int, count: int) -> None:
    parts = list(data.batches(n, size, generator()))
    assert [len(part) for part in parts] == [min(size, n)] * count
    indices = torch.cat(parts).tolist()
    assert len(set(indices)) == len(indices)
    assert set(indices) <= set(range(n))


def test_batches_are_shuffled_by_the_generator_alone() -> None:
    def order(seed: int) -> list[int]:
        return torch.cat(list(data.batches(100, 10, generator(seed)))).tolist()

    state = torch.get_rng_state()
    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0) != list(range(100))
    assert torch.equal(state, torch.get_rng_state())


def test_augmentation_off_is_the_identity() -> None:
    images = torch.rand(5, 3, 4, 6, generator=generator())
    assert torch.equal(data.augment(images, crop_padding=0, horizontal_flip=False, generator=generator()), images)


@pytest.mark.parametrize("padding", [1, 2])
def test_crops_are_windows_of_the_padded_image_all_equally_often(padding: int) -> None:
    count, channels, height, width = 1500, 2, 4, 5
    # Positive, so that no window equals another.
    images = 0.1 + torch.rand(count, channels, height, width, generator=generator())
    cropped = data.augment(images, crop_padding=padding, horizontal_flip=False, generator=generator(1))
    assert cropped.shape == images.shape
    found: Counter[tuple[int, int]] = Counter()
    for image, crop in zip(images, cropped, strict=True):
        padded = torch.zeros(channels, height + 2 * padding, width + 2 * padding)
        padded[:, padding : padding + height, padding : padding + width] = image
        matching = [
            (top, left)
            for top in range(2 * padding + 1)
            for left in range(2 * padding + 1)
            if torch.equal(padded[:, top : top + height, left : left + width], crop)
        ]
        assert len(matching) == 1
        found[matching[0]] += 1
    windows = (2 * padding + 1) ** 2
    assert len(found) == windows
    # Five binomial deviations.
    deviation = math.sqrt(count / windows * (1.0 - 1.0 / windows))
    assert all(abs(number - count / windows) < 5.0 * deviation for number in found.values())


def test_the_81_crops_of_cifar_are_equally_likely() -> None:
    count = 81 * 200
    images = torch.zeros(count, 1, 32, 32)
    images[:, 0, 16, 16] = 1.0
    cropped = data.augment(images, crop_padding=4, horizontal_flip=False, generator=generator())
    # Where the one bright pixel has gone says where the window was.
    places = cropped.flatten(1).argmax(1)
    offsets = (20 - places // 32) * 9 + (20 - places % 32)
    found = offsets.bincount(minlength=81).double()
    assert len(found) == 81
    # Chi squared with 80 degrees of freedom, whose deviation is sqrt(160); five of those.
    assert float(((found - 200.0).square() / 200.0).sum()) < 80.0 + 5.0 * math.sqrt(160.0)


def test_the_memory_layout_of_a_batch_does_not_change_what_is_drawn() -> None:
    images = torch.rand(20, 3, 32, 32, generator=generator())
    layouts = (images, images.contiguous(memory_format=torch.channels_last))
    plain, permuted = (data.augment(x, crop_padding=4, horizontal_flip=True, generator=generator(1)) for x in layouts)
    assert torch.equal(plain, permuted)


def test_half_of_the_images_are_mirrored() -> None:
    images = torch.rand(2000, 2, 3, 4, generator=generator())
    augmented = data.augment(images, crop_padding=0, horizontal_flip=True, generator=generator(1))
    mirrored = torch.tensor([torch.equal(new, old.flip(2)) for new, old in zip(augmented, images, strict=True)])
    kept = torch.tensor([torch.equal(new, old) for new, old in zip(augmented, images, strict=True)])
    assert (mirrored ^ kept).all()
    # Four binomial deviations.
    assert mirrored.double().mean().item() == pytest.approx(0.5, abs=4.0 * math.sqrt(0.25 / 2000))


def test_augmentation_comes_from_the_generator_alone() -> None:
    images = torch.rand(20, 1, 8, 8, generator=generator())

    def augmented(seed: int) -> Tensor:
        return data.augment(images, crop_padding=1, horizontal_flip=True, generator=generator(seed))

    state, before = torch.get_rng_state(), images.clone()
    assert torch.equal(augmented(0), augmented(0))
    assert not torch.equal(augmented(0), augmented(1))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(images, before)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    path = tmp_path / "test.safetensors"
    data.prepare("digits", "", {"test": path})
    return path


def test_a_prepared_split_is_read_as_it_was_written(prepared: Path) -> None:
    images, labels = data.load("digits", "", "test")
    for dataset in ("digits", None):
        split = data.read_split(prepared, dataset)
        assert torch.equal(split.images, images)
        assert torch.equal(split.labels, labels)
        assert split.images.dtype == torch.uint8


def test_another_datasets_file_is_refused_by_name(prepared: Path) -> None:
    with pytest.raises(FileError) as caught:
        data.read_split(prepared, "cifar10")
    assert all(word in str(caught.value) for word in (str(prepared), "digits", "cifar10"))


@pytest.mark.parametrize("size", [0, 5, 1000, -1])
def test_a_truncated_file_is_refused_by_name(prepared: Path, size: int) -> None:
    prepared.write_bytes(prepared.read_bytes()[:size])
    with pytest.raises(FileError, match="damaged or incomplete") as caught:
        data.read_split(prepared, "digits")
    assert str(prepared) in str(caught.value)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file") as caught:
        data.read_split(tmp_path / "train.safetensors", "digits")
    assert str(tmp_path / "train.safetensors") in str(caught.value)


def test_a_file_that_holds_no_split_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    files.save_tensors(path, {"weight": torch.zeros(1)}, {})
    with pytest.raises(FileError) as caught:
        data.read_split(path)
    assert str(path) in str(caught.value)
