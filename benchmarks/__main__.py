"""The measurements that need nothing but this machine and CIFAR-10 in ./data, one after the other."""

from benchmarks import (
    digits,
    dominant_singular_value,
    operator_norms,
    planning,
    spectrum,
    training_step,
    utilisation,
)

for benchmark in (
    training_step,
    utilisation,
    spectrum,
    dominant_singular_value,
    operator_norms,
    planning,
    digits,
):
    print(f"\n# {benchmark.__name__}: {benchmark.__doc__.splitlines()[0]}\n")
    benchmark.main()
