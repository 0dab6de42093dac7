"""Where the time of the digits experiment went, from the benchmark files of its last run."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd


def read(folder: Path) -> pd.DataFrame:
    """One row a job: stage, seconds, cpu_seconds, MiB of memory."""
    rows = []
    for path in sorted(folder.glob("**/*.tsv")):
        job = pd.read_csv(path, sep="\t").iloc[0]
        parts = path.relative_to(folder).with_suffix("").parts
        # Analyses by their name, trainings by their method, the rest by stage alone.
        named = parts[0] in ("analyze", "train")
        rows.append((" ".join(parts[: 2 if named else 1]), job["s"], job["cpu_time"], job["max_rss"]))
    return pd.DataFrame(rows, columns=["stage", "seconds", "cpu_seconds", "memory"])


def main() -> None:
    """Print the table."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results/digits/benchmarks")
    jobs = read(folder)
    if jobs.empty:
        print(f"{folder}: no benchmark files; run the experiment first")
        return
    table = jobs.groupby("stage").agg(
        jobs=("seconds", "size"), seconds=("seconds", "sum"), cpu_seconds=("cpu_seconds", "sum"), MiB=("memory", "max")
    )
    table["share"] = table["cpu_seconds"] / table["cpu_seconds"].sum()
    print(table.sort_values("cpu_seconds", ascending=False).round(2).to_string())
    total, memory = jobs["cpu_seconds"].sum(), jobs["memory"].max()
    print(f"all: {len(jobs)} processes, {total:.0f} CPU seconds, at most {memory:.0f} MiB")


if __name__ == "__main__":
    main()
