"""Attack the analysed samples on one method's networks."""

from opnorm.job import device, running

with running(snakemake.log[0]):
    from opnorm.analysis.run import attack_runs
    from opnorm.threat_model import ThreatModel

    attack_runs(
        snakemake.input.models,
        snakemake.output,
        test=snakemake.input.test,
        dataset=snakemake.params.dataset,
        samples=snakemake.params.samples,
        seeds=snakemake.params.seeds,
        threat=ThreatModel(**snakemake.params.threat),
        architecture=snakemake.params.architecture,
        device=device(snakemake.resources.device),
        threads=snakemake.threads,
    )
