"""Draw one figure from its tables."""

from opnorm.job import running

with running(snakemake.log[0]):
    from opnorm.figures.context import FigureContext
    from opnorm.figures.render import render

    tables = [(*run, path) for run, path in zip(snakemake.params.runs, snakemake.input.tables, strict=True)]
    render(
        snakemake.params.figure,
        tables,
        FigureContext(**snakemake.params.context),
        pdf=snakemake.output.pdf,
        png=snakemake.output.png,
        csv=snakemake.output.csv,
    )
