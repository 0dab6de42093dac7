"""Take one measurement on one method's networks."""

from opnorm.job import device, running

with running(snakemake.log[0]):
    from opnorm.analysis.run import measure_runs
    from opnorm.threat_model import ThreatModel

    measure_runs(
        snakemake.wildcards.analysis,
        snakemake.output,
        models=snakemake.input.models,
        adversarial=snakemake.input.adversarial,
        test=snakemake.input.test,
        dataset=snakemake.params.dataset,
        seeds=snakemake.params.seeds,
        threat=ThreatModel(**snakemake.params.threat),
        architecture=snakemake.params.architecture,
        options=snakemake.params.options,
        device=device(snakemake.resources.device),
        threads=snakemake.threads,
    )
