for seeds in SEEDS:

    rule:
        name:
            rule_name("attack", seeds)
        input:
            awaited(),
            models=per_seed(MODEL, seeds),
            test=rules.data.output.test,
        output:
            per_seed(ADVERSARIAL, seeds),
        log:
            f"{LOGS}/attack/{{method}}.log",
        benchmark:
            f"{BENCHMARKS}/attack/{{method}}.tsv"
        wildcard_constraints:
            method=methods_with(seeds),
        conda:
            "../envs/opnorm.yaml"
        resources:
            device="auto",
        params:
            samples=EXPERIMENT.samples,
            dataset=EXPERIMENT.dataset,
            seeds=seeds,
            threat=measured_threat(),
            architecture=EXPERIMENT.model,
            code=plan.attack_code(EXPERIMENT),
        message:
            "Attacking test samples on {wildcards.method}"
        script:
            "../scripts/attack.py"

    share_resources("attack", seeds)
