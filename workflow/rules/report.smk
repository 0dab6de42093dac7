rule report:
    input:
        awaited(*METHODS),
        png=expand(FIGURE_FILE, figure=DRAWN, suffix="png"),
        csv=expand(FIGURE_FILE, figure=DRAWN, suffix="csv"),
        selection=plan.open_tables(EXPERIMENT, FILES),
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
        # The captions are in it, so that a change writes the report again.
        figures=plan.report_figures(EXPERIMENT, Path(workflow.current_basedir) / "../report"),
        context=lambda wildcards: asdict(plan.report_context(decided())),
        not_judged=lambda wildcards: plan.not_judged(EXPERIMENT),
        constants=lambda wildcards: [asdict(found) for found in constants(decided(*METHODS))],
        config=config,
        benchmarks=BENCHMARKS,
        # Of trainings that other jobs did, those jobs'.
        logs=[LOGS, f"{RESULTS}/checkpoints", f"{FILES.selection}/checkpoints"],
        code=plan.report_code(),
    message:
        f"Writing {FILES.report}"
    script:
        "../scripts/report.py"
