rule attack:
    input:
        models=per_seed(MODEL),
        test=rules.data.output.test,
    output:
        per_seed(ADVERSARIAL),
    log:
        f"{LOGS}/attack/{{method}}.log",
    benchmark:
        f"{BENCHMARKS}/attack/{{method}}.tsv"
    conda:
        "../envs/opnorm.yaml"
    resources:
        device="auto",
    params:
        samples=EXPERIMENT.samples,
        dataset=EXPERIMENT.dataset,
        seeds=EXPERIMENT.seeds,
        threat=asdict(EXPERIMENT.threat),
        architecture=EXPERIMENT.model,
        code=analysis_code(),
    message:
        "Attacking test samples on {wildcards.method}"
    script:
        "../scripts/attack.py"
