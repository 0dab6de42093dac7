for figure in FIGURES:
    entry = figures.REGISTRY[figure]
    # Whether a method is the end of a mixture depends on weights that may have been chosen.
    compared = METHODS if figures.MIXED in entry.groups else []

    rule:
        name:
            figure
        input:
            awaited(*compared),
            tables=tables([entry.analysis], *entry.groups),
        output:
            pdf=FIGURE_FILE.format(figure=figure, suffix="pdf"),
            png=report(
                FIGURE_FILE.format(figure=figure, suffix="png"),
                caption=f"../report/{figure}.rst",
                category="Figures",
                labels={"figure": figure, "paper": ", ".join(entry.paper)},
            ),
            csv=FIGURE_FILE.format(figure=figure, suffix="csv"),
        log:
            f"{LOGS}/figures/{figure}.log",
        benchmark:
            f"{BENCHMARKS}/figures/{figure}.tsv"
        conda:
            "../envs/opnorm.yaml"
        params:
            figure=figure,
            runs=EXPERIMENT.runs(*entry.groups),
            context=lambda wildcards, groups=entry.groups, compared=compared: asdict(
                figure_context(decided(*compared), *groups)
            ),
            code=plan.figure_code(figure),
        message:
            f"Drawing {figure}"
        script:
            "../scripts/figure.py"


for alias, names in figures.aliases().items():
    if not set(names) <= set(FIGURES):
        continue

    rule:
        name:
            alias
        input:
            figure_files(*names),


# Asked for, these say what the experiment lacks.
for target, lacks in plan.not_drawn(EXPERIMENT).items():

    rule:
        name:
            target
        input:
            lambda wildcards, target=target, lacks=lacks: not_drawn(target, lacks),
