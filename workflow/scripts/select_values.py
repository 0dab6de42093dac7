"""Choose the options by which methods match others."""

from opnorm.job import running

with running(snakemake.log[0]):
    from opnorm.selection_run import select_values

    runs = zip(snakemake.params.runs, snakemake.input, strict=True)
    select_values([(*run, path) for run, path in runs], snakemake.output, rules=snakemake.params.rules)
