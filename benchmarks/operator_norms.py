"""Seconds and tightness of all nine (p,q) norms of 64 Jacobians of 10 x 3072: `python benchmarks/operator_norms.py`."""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor

from opnorm.operator_norm import operator_norm

BATCH, OUTPUTS, INPUTS = 64, 10, 3072


def main() -> None:
    """Print a table for Gaussian matrices and one for a spectrum that decays as 1 / rank."""
    generator = torch.Generator().manual_seed(0)
    gaussian = torch.randn(BATCH, OUTPUTS, INPUTS, generator=generator)
    for name, matrices in {"gaussian": gaussian, "decaying spectrum": _decaying(gaussian)}.items():
        _print_table(name, matrices)


def _decaying(matrices: Tensor) -> Tensor:
    U, S, Vh = torch.linalg.svd(matrices, full_matrices=False)
    return (U * (S[:, :1] / torch.arange(1, OUTPUTS + 1))[:, None, :]) @ Vh


def _print_table(name: str, matrices: Tensor) -> None:
    print(f"{name}: {BATCH} Jacobians of {OUTPUTS} x {INPUTS}, {torch.get_num_threads()} threads")
    print(f"{'p':>5} {'q':>5} {'seconds':>9} {'exact':>6} {'upper/value':>12}")
    total = 0.0
    for p in (1.0, 2.0, math.inf):
        for q in (1.0, 2.0, math.inf):
            start = time.perf_counter()
            result = operator_norm(matrices, p, q)
            seconds = time.perf_counter() - start
            total += seconds
            ratio = float((result.upper / result.value).max())
            print(f"{p:>5g} {q:>5g} {seconds:>9.3f} {result.exact!s:>6} {ratio:>12.4f}")
    print(f"{'all':>11} {total:>9.3f}\n")


if __name__ == "__main__":
    main()
