"""The paper's empirical claims, each with the statistic that decides it: tables of measurements -> verdicts.

A claim (`claim.py`) says which methods it is about (`methods.py`), which numbers of which table it looks at, how these
become one number (`reductions.py`), and where this number has to be (`verdict.py`). Families of claims are modules
with a tuple `CLAIMS`; `registry.py` lists them. `bootstrap.py` gives the intervals, `run.py` goes from files to a file.

docs/claims.md has the reasons for each statistic and margin. No torch, no models.
"""
