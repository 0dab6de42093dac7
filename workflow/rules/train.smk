for seeds in SEEDS:

    rule:
        name:
            rule_name("train", seeds)
        input:
            lambda wildcards: awaited(known(wildcards.method)),
            train=rules.data.output.train,
            test=rules.data.output.test,
        output:
            models=per_seed(MODEL, seeds),
            histories=per_seed(HISTORY, seeds),
        log:
            f"{LOGS}/train/{{method}}.log",
        benchmark:
            f"{BENCHMARKS}/train/{{method}}.tsv"
        wildcard_constraints:
            method=methods_with(seeds),
        # The longest jobs begin first; what measures finished networks finds its place beside them.
        priority: 1
        # On a cluster this job only submits others and waits for them.
        localrule: True
        conda:
            "../envs/opnorm.yaml"
        resources:
            launcher=lambda wildcards: "here" if workflow.local_exec else "slurm",
            device="auto",
            checkpoint_seconds=60,
        params:
            settings=training_settings,
            seeds=seeds,
            checkpoints=lambda wildcards: FILES.checkpoints(wildcards.method),
            code=lambda wildcards: plan.training_code(EXPERIMENT, wildcards.method),
        message:
            "Training {wildcards.method}"
        script:
            "../scripts/train.py"

    share_resources("train", seeds)
