"""Prepare a dataset's splits."""

from opnorm.job import running

with running(snakemake.log[0]):
    from opnorm.data import prepare

    prepare(
        snakemake.params.dataset,
        snakemake.params.root,
        {"train": snakemake.output.train, "test": snakemake.output.test},
    )
