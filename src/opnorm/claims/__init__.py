"""The paper's empirical claims, each with the statistic that decides it: tables of measurements -> verdicts.

A claim (`claim.py`) says which methods it is about (`cases.py`, by the parts that they play in `methods.py`), which
statistic decides it, made of which numbers of which table (`reductions.py`), and where this statistic has to be
(`verdict.py`, `margins.py`). Families of claims are modules with a tuple `CLAIMS`; `registry.py` lists them.
`bootstrap.py` gives the intervals, `run.py` goes from files to a file.

docs/claims.md has the reasons for each statistic and margin. No torch, no models.
"""
