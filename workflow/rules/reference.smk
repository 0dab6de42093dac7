rule reference:
    input:
        awaited(*METHODS),
        figure_files(*FIGURES),
        CLAIMS,
        provenance=FILES.provenance,
    output:
        # What git has stays where it cannot be replaced.
        update(
            expand(
                "{folder}/{file}",
                folder=f"{REFERENCE}/{EXPERIMENT.name}",
                file=["README.md", "figures.json", "history.csv", "provenance.json"],
            )
        ),
    log:
        f"{LOGS}/reference.log",
    localrule: True
    conda:
        "../envs/opnorm.yaml"
    params:
        config=config,
        choices=lambda wildcards: chosen_numbers(*METHODS),
        captions=plan.captions(EXPERIMENT, Path(workflow.current_basedir) / "../report"),
        code=plan.reference_code(),
    message:
        f"Collecting {EXPERIMENT.name} in {REFERENCE}"
    script:
        "../scripts/reference.py"


# Of every collected experiment, whatever the experiment file; needs neither data nor models.
rule redraw:
    input:
        csv=f"{REFERENCE}/{{reference}}/figures/{{figure}}.csv",
    output:
        pdf=redrawn("{reference}", "{figure}", "pdf"),
        png=redrawn("{reference}", "{figure}", "png"),
    log:
        "results/redrawn/{reference}/logs/{figure}.log",
    wildcard_constraints:
        reference=r"[\w-]+",
        figure=r"\w+",
    conda:
        "../envs/opnorm.yaml"
    params:
        context=lambda wildcards: asdict(CONTEXTS[wildcards.reference][wildcards.figure]),
        code=lambda wildcards: plan.figure_code(wildcards.figure),
    message:
        "Drawing {wildcards.figure} of {wildcards.reference} again"
    script:
        "../scripts/redraw.py"


rule reference_figures:
    input:
        [
            redrawn(reference, figure, suffix)
            for reference, contexts in CONTEXTS.items()
            for figure in contexts
            for suffix in ("pdf", "png")
        ],
