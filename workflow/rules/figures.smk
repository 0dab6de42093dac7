for figure, entry in figures.REGISTRY.items():
    if figure not in FIGURES:
        continue

    rule:
        name:
            figure
        input:
            expand(TABLE, analysis=entry.analysis, method=METHODS, seed=EXPERIMENT.seeds),
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
            runs=[(method, seed) for method in METHODS for seed in EXPERIMENT.seeds],
            context=figure_context(),
            code=figure_code(figure),
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
            expand(FIGURE_FILE, figure=names, suffix=["pdf", "png", "csv"]),
