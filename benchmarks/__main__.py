"""All measurements, one after the other."""

from benchmarks import digits, operator_norms, training_step

for benchmark in (training_step, operator_norms, digits):
    print(f"\n# {benchmark.__name__}: {benchmark.__doc__.splitlines()[0]}\n")
    benchmark.main()
