rule report:
    input:
        png=expand(FIGURE_FILE, figure=FIGURES, suffix="png"),
        csv=expand(FIGURE_FILE, figure=FIGURES, suffix="csv"),
        claims=CLAIMS,
        data=rules.data.output,
    output:
        html=FILES.report,
        provenance=FILES.provenance,
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{BENCHMARKS}/report.tsv"
    # Commit and machine are those of the session that runs the workflow.
    localrule: True
    conda:
        "../envs/opnorm.yaml"
    params:
        experiment=EXPERIMENT.name,
        figures=[
            {"name": name, "paper": figures.REGISTRY[name].paper, "caption": caption(name)}
            for name in FIGURES
        ],
        # The experiment's own threat model: that of the last group.
        context=asdict(figure_context(EXPERIMENT, *reversed(figures.groups()))),
        config=config,
        benchmarks=BENCHMARKS,
        logs=LOGS,
        code=plan.report_code(),
    message:
        f"Writing {FILES.report}"
    script:
        "../scripts/report.py"
