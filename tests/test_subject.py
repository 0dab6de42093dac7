"""What is drawn for the analysed samples."""

from __future__ import annotations

import pytest
import torch

from opnorm.analysis.subject import draw_samples


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_directions_are_of_the_type_of_the_images_and_the_same_for_each(dtype: torch.dtype) -> None:
    x = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    found, in_float32 = (draw_samples(torch.arange(3), images, images) for images in (x.to(dtype), x))
    assert found.random_direction.dtype == found.uniform.dtype == dtype
    # Lengths round in float32.
    torch.testing.assert_close(found.random_direction.float(), in_float32.random_direction, rtol=1e-5, atol=0.0)
    assert torch.equal(found.uniform.float(), in_float32.uniform)


def test_directions_are_on_the_device_of_the_images() -> None:
    x = torch.empty(3, 1, 4, 4, device="meta")
    found = draw_samples(torch.arange(3), x, x)
    assert found.random_direction.device == found.uniform.device == x.device
