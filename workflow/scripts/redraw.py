"""Draw a figure again from its collected table."""

from opnorm.job import running

with running(snakemake.log[0]):
    from opnorm.figures.context import FigureContext
    from opnorm.figures.render import redraw

    redraw(
        snakemake.wildcards.figure,
        snakemake.input.csv,
        FigureContext(**snakemake.params.context),
        pdf=snakemake.output.pdf,
        png=snakemake.output.png,
    )
