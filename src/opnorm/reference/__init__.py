"""An experiment with the library alone, where Snakemake cannot be installed, and its results in a form for git.

`python -m opnorm.reference run` makes the same files by the same functions as the workflow, in slices of time that go
on where the last one stopped. `python -m opnorm.reference collect` gathers tables, figures and provenance, and
`python -m opnorm.reference table` writes what they say of the paper's statements in the README.
"""
