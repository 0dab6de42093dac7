# Rules of the experiment file that choose a number: what they need, and their target `selection`.
if EXPERIMENT.selection.epsilon:

    # A checkpoint, so that what waits for the choice is looked at again when it is made.
    checkpoint select_epsilon:
        input:
            models=standard_models(),
            test=rules.data.output.test,
        output:
            FILES.choice("epsilon"),
        log:
            f"{LOGS}/selection/epsilon.log",
        benchmark:
            f"{BENCHMARKS}/selection/epsilon.tsv"
        conda:
            "../envs/opnorm.yaml"
        resources:
            device="auto",
        params:
            dataset=EXPERIMENT.dataset,
            seeds=EXPERIMENT.method(EXPERIMENT.selection.epsilon.standard).seeds,
            threat=plan.without_radius(EXPERIMENT),
            rule=plan.as_rule(EXPERIMENT.selection.epsilon),
            architecture=EXPERIMENT.model,
            code=plan.epsilon_code(EXPERIMENT),
        message:
            "Choosing epsilon"
        script:
            "../scripts/select_epsilon.py"

    take_resources("select_epsilon", "attack")


if EXPERIMENT.selection.matches:

    rule hold_out:
        input:
            train=rules.data.output.train,
        output:
            train=FILES.held_out("train"),
            validation=FILES.held_out("validation"),
        log:
            f"{LOGS}/selection/hold_out.log",
        benchmark:
            f"{BENCHMARKS}/selection/hold_out.tsv"
        conda:
            "../envs/opnorm.yaml"
        params:
            dataset=EXPERIMENT.dataset,
            fraction=EXPERIMENT.selection.validation,
            code=plan.hold_out_code(),
        message:
            "Holding a part of the training split out"
        script:
            "../scripts/hold_out.py"

    use rule train as train_candidate with:
        input:
            awaited(),
            train=rules.hold_out.output.train,
            test=rules.hold_out.output.validation,
        output:
            models=per_seed(CANDIDATE_MODEL, EXPERIMENT.selection.seeds),
            histories=per_seed(CANDIDATE_HISTORY, EXPERIMENT.selection.seeds),
        log:
            f"{LOGS}/selection/train/{{method}}/{{value}}.log",
        benchmark:
            f"{BENCHMARKS}/selection/train/{{method}}/{{value}}.tsv"
        wildcard_constraints:
            method=r"[\w-]+",
            value=rf"[\d.e+-]+|{plan.ITSELF}",
        localrule: True
        params:
            settings=candidate_settings,
            seeds=EXPERIMENT.selection.seeds,
            checkpoints=lambda wildcards: FILES.candidate_checkpoints(
                wildcards.method, wildcards.value
            ),
            code=lambda wildcards: plan.training_code(EXPERIMENT, wildcards.method),
        message:
            "Training {wildcards.method} ({wildcards.value}) on what is not held out"

    take_resources("train_candidate", "train")

    # One job for all methods: a checkpoint that is being made again must not meet another one's end.
    checkpoint select_values:
        input:
            candidate_histories(),
        output:
            [FILES.choice(method) for method in EXPERIMENT.selection.matches],
        log:
            f"{LOGS}/selection/values.log",
        benchmark:
            f"{BENCHMARKS}/selection/values.tsv"
        conda:
            "../envs/opnorm.yaml"
        params:
            runs=EXPERIMENT.selection.candidates(),
            rules={m: plan.as_rule(rule) for m, rule in EXPERIMENT.selection.matches.items()},
            code=plan.match_code(),
        message:
            "Choosing the options by which methods match others"
        script:
            "../scripts/select_values.py"


if EXPERIMENT.selection.choices():

    rule draw_selection:
        input:
            [FILES.choice(choice.table) for choice in EXPERIMENT.selection.choices()],
        output:
            pdf=FIGURE_FILE.format(figure="selection", suffix="pdf"),
            png=report(
                FIGURE_FILE.format(figure="selection", suffix="png"),
                caption="../report/selection.rst",
                category="Figures",
                labels={"figure": "selection", "paper": "Sec. 5.1"},
            ),
            csv=FIGURE_FILE.format(figure="selection", suffix="csv"),
        log:
            f"{LOGS}/figures/selection.log",
        benchmark:
            f"{BENCHMARKS}/figures/selection.tsv"
        conda:
            "../envs/opnorm.yaml"
        params:
            panels=plan.selection_panels(EXPERIMENT),
            code=plan.selection_figure_code(),
        message:
            "Drawing selection"
        script:
            "../scripts/selection.py"

    rule selection:
        input:
            figure_files("selection"),
            tables=rules.draw_selection.input,
        log:
            f"{LOGS}/selection/words.log",
        # It speaks to those who run the workflow.
        localrule: True
        conda:
            "../envs/opnorm.yaml"
        params:
            words=lambda wildcards, input: comparison(
                zip(EXPERIMENT.selection.choices(), input.tables),
                EXPERIMENT.selection.taken,
            ),
        message:
            "Comparing the experiment file with its rules"
        shell:
            "printf %s {params.words:q} | tee {log}"
