"""Judge the paper's claims."""

from opnorm.job import running

with running(snakemake.log[0]):
    from opnorm.claims.methods import Context
    from opnorm.claims.run import write_claims

    tables = [(*run, path) for run, path in zip(snakemake.params.runs, snakemake.input.tables, strict=True)]
    write_claims(tables, Context.from_dict(snakemake.params.context), snakemake.output[0])
