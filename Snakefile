include: "workflow/Snakefile"


# Snakemake takes its default target from this file alone.
rule default:
    input:
        rules.all.input,
    message:
        f"All figures and tables are in {RESULTS}"
