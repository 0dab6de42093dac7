"""Train the seeds of one method."""

from opnorm.job import device, running

with running(snakemake.log[0]):
    from opnorm.settings import TrainingSettings
    from opnorm.training import train_runs

    train_runs(
        TrainingSettings.from_dict(snakemake.params.settings),
        data_paths={"train": snakemake.input.train, "test": snakemake.input.test},
        seeds=snakemake.params.seeds,
        checkpoints=snakemake.params.checkpoints,
        outputs={"models": snakemake.output.models, "histories": snakemake.output.histories},
        device=device(snakemake.resources.device),
        threads=snakemake.threads,
        code=snakemake.params.code,
        checkpoint_seconds=snakemake.resources.checkpoint_seconds,
    )
