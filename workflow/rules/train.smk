rule train:
    input:
        train=rules.data.output.train,
        test=rules.data.output.test,
    output:
        models=per_seed(MODEL),
        histories=per_seed(HISTORY),
    log:
        f"{LOGS}/train/{{method}}.log",
    benchmark:
        f"{BENCHMARKS}/train/{{method}}.tsv"
    params:
        settings=lambda wildcards: EXPERIMENT.training(wildcards.method).to_dict(),
        seeds=EXPERIMENT.seeds,
        checkpoints=lambda wildcards: f"{RESULTS}/checkpoints/{wildcards.method}",
        code=lambda wildcards: training_code(wildcards.method),
    resources:
        device="auto",
        checkpoint_seconds=60,
    script:
        "../scripts/train.py"
