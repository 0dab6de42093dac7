"""Side-by-side measurements: `make bench`, or one of them with `python -m benchmarks.training_step`."""
