"""All measurements, one after the other."""

from benchmarks import digits, operator_norms, planning, training_step

for benchmark in (training_step, operator_norms, planning, digits):
    print(f"\n# {benchmark.__name__}: {benchmark.__doc__.splitlines()[0]}\n")
    benchmark.main()
