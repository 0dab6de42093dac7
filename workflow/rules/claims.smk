CLAIMED = plan.claimed_runs(EXPERIMENT)


rule claims:
    input:
        awaited(*METHODS),
        tables=[
            TABLE.format(analysis=name, method=method, seed=seed) for name, method, seed in CLAIMED
        ],
    output:
        CLAIMS,
    log:
        f"{LOGS}/claims.log",
    benchmark:
        f"{BENCHMARKS}/claims.tsv"
    conda:
        "../envs/opnorm.yaml"
    params:
        runs=CLAIMED,
        context=lambda wildcards: describe(decided(*METHODS)),
        code=plan.claims_code(),
    message:
        "Judging the paper's claims"
    script:
        "../scripts/claims.py"
