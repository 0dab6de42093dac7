"""Train the seeds of one method."""

from opnorm.job import running

with running(snakemake.log[0], computes=snakemake.resources.launcher != "slurm"):
    from opnorm.launch import train_seeds
    from opnorm.launch_job import Runs

    train_seeds(
        Runs(
            settings=snakemake.params.settings,
            data_paths={"train": str(snakemake.input.train), "test": str(snakemake.input.test)},
            seeds=list(snakemake.params.seeds),
            checkpoints=snakemake.params.checkpoints,
            models=[str(path) for path in snakemake.output.models],
            histories=[str(path) for path in snakemake.output.histories],
            device=snakemake.resources.device,
            threads=snakemake.threads,
            code=snakemake.params.code,
            checkpoint_seconds=snakemake.resources.checkpoint_seconds,
        ),
        dict(snakemake.resources.items()),
    )
