"""sigma_1 of CNN7's feature Jacobians by Lanczos, beside full spectra.

python -m benchmarks.dominant_singular_value [width] [points] [rounds] [model file]
"""

from __future__ import annotations

import sys

import torch

from benchmarks.networks import cifar10, cnn7
from benchmarks.side_by_side import device, hardware, seconds
from opnorm import weights
from opnorm.analysis.subject import features
from opnorm.jacobian import InputJacobian
from opnorm.lanczos import DominantSingularValue, dominant_singular_value
from opnorm.modes import prepare_torch
from opnorm.operator_norm import singular_values


def main() -> None:
    """Print the table."""
    prepare_torch(1)
    gpu = device() == "cuda"
    defaults = ["128", "200", "5"] if gpu else ["16", "16", "3"]
    width, points, rounds = (int(given) for given in [*sys.argv[1:4], *defaults[len(sys.argv[1:4]) :]])
    model = weights.load_model(sys.argv[4]).to(device()) if len(sys.argv) > 4 else cnn7(width)
    model.requires_grad_(False)
    x, _ = cifar10(points)
    start = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).to(x.device)
    # A pass more than it takes: the products' first call also builds what the others use.
    u, v = torch.ones(points, model.linear.in_features, device=x.device), start
    function = features(model)
    jacobian = InputJacobian(function, x)

    def lanczos() -> DominantSingularValue:
        return dominant_singular_value(InputJacobian(function, x), start=start, tolerance=1e-3)

    found = seconds(
        {
            "J v": lambda: jacobian.matvec(v),
            "J^T u": lambda: jacobian.rmatvec(u),
            "Lanczos": lanczos,
            "full spectra": lambda: singular_values(InputJacobian(function, x)),
        },
        rounds=rounds,
    )
    result, exact = lanczos(), singular_values(jacobian)[:, 0]
    error = float(((result.value - exact) / exact).abs().max())
    print(hardware())
    print(f"CNN7, {model.linear.in_features} x 3072 Jacobians at {points} points")
    for name, value in found.items():
        print(f"  {name:14} {1e3 * value:10.1f} ms")
    residual = float(result.residual.max())
    print(f"  {result.iterations} iterations, residual {residual:.1e}, error {error:.1e} (both relative)")
    ratio = found["full spectra"] / found["Lanczos"]
    print(f"  full spectra / Lanczos: {ratio:.1f} (target 10)")


if __name__ == "__main__":
    main()
