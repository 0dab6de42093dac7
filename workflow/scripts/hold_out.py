"""Hold a part of the training split out, to compare candidates on."""

from opnorm.job import running

with running(snakemake.log[0]):
    from opnorm.validation import hold_out

    hold_out(
        snakemake.input.train,
        snakemake.params.dataset,
        snakemake.params.fraction,
        train=snakemake.output.train,
        validation=snakemake.output.validation,
    )
