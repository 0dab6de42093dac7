"""What a reader calls the attacks of the analysis `evaluation`, how they are ordered, and which are compared."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise

GAIN = 0.02
"""Of the accuracy: what a stronger attack may gain before it counts as a reason for doubt."""

BLACK_BOX_ALONE = 0.002
"""Share of samples that the black-box attack alone may break, as in AutoAttack."""

_NAMES = {
    "clean": "clean",
    "apgd_ce": "APGD-CE",
    "apgd_t": "APGD-T",
    "fab_t": "FAB-T",
    "square": "Square",
    "autoattack": "AutoAttack",
    "worst_case": "all attacks together",
}


AFTER = "_after_"
"""Between two attacks: the first on what the second leaves."""


def attack_label(attack: str) -> str:
    """What a reader calls the attack "pga_200x5": "PGA-200, 5 starts"; "pga_50_after_pga_10": "PGA-50 after PGA-10".
    Any other word stays as it is."""
    if AFTER in attack:
        return " after ".join(map(attack_label, attack.split(AFTER)))
    if not attack.startswith("pga_"):
        return _NAMES.get(attack, attack)
    iterations, starts = _parts(attack)
    return f"PGA-{iterations}" + (f", {starts} starts" if starts > 1 else "")


def attack_order(attack: str) -> tuple[int, int, int]:
    """To sort by: no attack, projected gradient ascent by its length, AutoAttack's parts, all of them together."""
    if attack in _NAMES:
        return (0 if attack == "clean" else 2, list(_NAMES).index(attack), 0)
    return (1, *_parts(attack))


def longest_ascent(attacks: Iterable[str]) -> str:
    """From one start, of those that were run; every evaluation has one."""
    return max((attack for attack in attacks if attack.startswith("pga_") and "x" not in attack), key=attack_order)


def ladder(attacks: Collection[str]) -> list[tuple[str, str]]:
    """A weaker and a stronger attack, of those that were run: each longer ascent after the shorter one, the one with
    restarts after its first start, AutoAttack beside the longest, and the black-box attack after all others."""
    ascents = sorted((attack for attack in attacks if attack.startswith("pga_")), key=attack_order)
    pairs = [*pairwise(ascents), *((ascent, "autoattack") for ascent in ascents[-1:]), ("fab_t", "square")]
    return [(weaker, stronger) for weaker, stronger in pairs if {weaker, stronger} <= set(attacks)]


def gain_allowed(stronger: str) -> float:
    """What an attack may gain over a weaker one without a reason for doubt."""
    return BLACK_BOX_ALONE if stronger == "square" else GAIN


def _parts(attack: str) -> tuple[int, int]:
    """Iterations and starts of "pga_200x5"."""
    iterations, _, starts = attack.removeprefix("pga_").partition("x")
    return int(iterations), int(starts or 1)
