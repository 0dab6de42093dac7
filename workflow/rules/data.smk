rule data:
    # All of an experiment's jobs come after it; what needs no experiment does not.
    input:
        refuse_others,
    output:
        train=SPLIT.format(split="train"),
        test=SPLIT.format(split="test"),
    log:
        f"{LOGS}/data.log",
    benchmark:
        f"{BENCHMARKS}/data.tsv"
    conda:
        "../envs/opnorm.yaml"
    params:
        dataset=EXPERIMENT.dataset,
        root=EXPERIMENT.data_root,
        code=plan.data_code(EXPERIMENT),
    message:
        f"Preparing {EXPERIMENT.dataset}"
    script:
        "../scripts/data.py"
