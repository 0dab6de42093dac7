"""Write an experiment's report, and what made it."""

from pathlib import Path

from opnorm.job import running

with running(snakemake.log[0]):
    from opnorm import provenance
    from opnorm.figures.context import FigureContext
    from opnorm.report.contents import Constant, Contents, ReportFigure
    from opnorm.report.page import write_report

    files = zip(snakemake.params.figures, snakemake.input.png, snakemake.input.csv, strict=True)
    record = provenance.record(
        snakemake.params.config,
        data={Path(path).stem: path for path in snakemake.input.data},
        benchmarks=snakemake.params.benchmarks,
        logs=[
            path
            for folder in snakemake.params.logs
            for name in ("*.log", "jobs/*_log.out")
            for path in Path(folder).glob(f"**/{name}")
        ],
    )
    write_report(
        Contents(
            experiment=snakemake.params.experiment,
            context=FigureContext(**snakemake.params.context),
            figures=tuple(ReportFigure(**figure, png=png, csv=csv) for figure, png, csv in files),
            provenance=record,
            claims=snakemake.input.get("claims"),
            not_judged=snakemake.params.not_judged,
            constants=tuple(Constant(**constant) for constant in snakemake.params.constants),
            selection=tuple(snakemake.input.get("selection", ())),
        ),
        snakemake.output.html,
    )
    provenance.write(record, snakemake.output.provenance)
