rule report:
    input:
        awaited(),
        png=expand(FIGURE_FILE, figure=DRAWN, suffix="png"),
        csv=expand(FIGURE_FILE, figure=DRAWN, suffix="csv"),
        selection=[
            FILES.choice(choice.table)
            for choice in EXPERIMENT.selection.choices()
            if EXPERIMENT.selection.is_open
        ],
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
            {"name": name, "paper": papers_numbers(name), "caption": caption(name)}
            for name in DRAWN
        ],
        # The experiment's own threat model: that of the last group.
        context=lambda wildcards: asdict(figure_context(decided(), *reversed(figures.groups()))),
        config=config,
        benchmarks=BENCHMARKS,
        logs=LOGS,
        code=plan.report_code(),
    message:
        f"Writing {FILES.report}"
    script:
        "../scripts/report.py"
