"""Collect an experiment's tables, figures and provenance for git."""

import json
from pathlib import Path

from opnorm.job import running

with running(snakemake.log[0]):
    from opnorm.plan import Files
    from opnorm.reference.collect import collect
    from opnorm.settings import Experiment

    collect(
        # Checked when the rules were made.
        Experiment.from_config(snakemake.params.config, None, "--config").with_choices(snakemake.params.choices),
        Files(str(Path(snakemake.input.provenance).parent)),
        Path(snakemake.output[0]).parent,
        json.loads(Path(snakemake.input.provenance).read_text(encoding="utf-8")),
        captions=snakemake.params.captions,
    )
