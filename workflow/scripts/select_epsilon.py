"""Choose the radius on the standard model."""

from opnorm.job import device, running

with running(snakemake.log[0]):
    from opnorm.selection_run import select_epsilon

    select_epsilon(
        snakemake.input.models,
        snakemake.output[0],
        test=snakemake.input.test,
        dataset=snakemake.params.dataset,
        seeds=snakemake.params.seeds,
        threat=snakemake.params.threat,
        rule=snakemake.params.rule,
        architecture=snakemake.params.architecture,
        device=device(snakemake.resources.device),
        threads=snakemake.threads,
    )
