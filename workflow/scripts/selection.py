"""Draw what constants were chosen from, and what was chosen."""

from opnorm.job import running

with running(snakemake.log[0]):
    from opnorm.figures.selection import render_selection

    render_selection(
        snakemake.params.panels,
        snakemake.input,
        pdf=snakemake.output.pdf,
        png=snakemake.output.png,
        csv=snakemake.output.csv,
    )
