"""Architectures, one file each, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_origin

from opnorm.errors import SettingsError
from opnorm.options import check_value, options_of, resolve, suggest

if TYPE_CHECKING:
    from opnorm.models.classifier import Classifier

REGISTRY = {
    "cnn5": "opnorm.models.cnn5:CNN5",
    "cnn7": "opnorm.models.cnn7:CNN7",
    "wide_resnet": "opnorm.models.wide_resnet:WideResNet",
}


def build(
    name: str,
    *,
    channels: int = 3,
    classes: int = 10,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    **options: Any,
) -> Classifier:
    """A freshly initialised network, by its registry name.

    Args:
        name: "cnn5" or "cnn7" (option width), "wide_resnet" (options depth, widen_factor).
        channels: of the images.
        classes: number of logits d.
        mean, std: per channel, of images in [0, 1]; the first layer normalises with them. None: no normalisation.
        options: the architecture's own.

    Returns:
        A network with `forward(x)` -> logits (B, d) and `features(x)` -> phi^{L-1} (B, m).

    Raises:
        SettingsError: no such name, no such option, or one out of its range.
    """
    constructor = resolve(REGISTRY, "model", name)
    known = options_of(REGISTRY[name])
    for option, value in options.items():
        if option not in known:
            raise SettingsError(f"model {name}: unknown option {option!r}{suggest(option, known)}")
        # Choices are what an experiment file may ask for; a constructor may take more.
        if get_origin(known[option].annotation) is not Literal:
            options[option] = check_value(value, known[option].annotation, f"model {name}.{option}")
    network: Classifier = constructor(
        channels=channels,
        classes=classes,
        mean=tuple(mean) if mean is not None else (0.0,) * channels,
        std=tuple(std) if std is not None else (1.0,) * channels,
        **options,
    )
    return network
