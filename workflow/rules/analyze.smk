for seeds in SEEDS:

    rule:
        name:
            rule_name("analyze", seeds)
        input:
            awaited(),
            models=per_seed(MODEL, seeds),
            adversarial=analysed_samples(seeds),
            test=rules.data.output.test,
        output:
            per_seed(TABLE, seeds),
        log:
            f"{LOGS}/analyze/{{analysis}}/{{method}}.log",
        benchmark:
            f"{BENCHMARKS}/analyze/{{analysis}}/{{method}}.tsv"
        wildcard_constraints:
            method=methods_with(seeds),
        conda:
            "../envs/opnorm.yaml"
        resources:
            device="auto",
        params:
            options=lambda wildcards: EXPERIMENT.analyses[wildcards.analysis],
            dataset=EXPERIMENT.dataset,
            seeds=seeds,
            threat=measured_threat(),
            architecture=EXPERIMENT.model,
            code=lambda wildcards: plan.analysis_code(EXPERIMENT, wildcards.analysis),
        message:
            "Measuring {wildcards.analysis} of {wildcards.method}"
        script:
            "../scripts/analyze.py"

    share_resources("analyze", seeds)
