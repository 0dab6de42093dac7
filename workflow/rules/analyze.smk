rule analyze:
    input:
        models=per_seed(MODEL),
        adversarial=per_seed(ADVERSARIAL),
        test=rules.data.output.test,
    output:
        per_seed(TABLE),
    log:
        f"{LOGS}/analyze/{{analysis}}/{{method}}.log",
    benchmark:
        f"{BENCHMARKS}/analyze/{{analysis}}/{{method}}.tsv"
    conda:
        "../envs/opnorm.yaml"
    resources:
        device="auto",
    params:
        options=lambda wildcards: EXPERIMENT.analyses[wildcards.analysis],
        dataset=EXPERIMENT.dataset,
        seeds=EXPERIMENT.seeds,
        threat=asdict(EXPERIMENT.threat),
        architecture=EXPERIMENT.model,
        code=lambda wildcards: analysis_code(module_of(analysis.REGISTRY, wildcards.analysis)),
    message:
        "Measuring {wildcards.analysis} of {wildcards.method}"
    script:
        "../scripts/analyze.py"
