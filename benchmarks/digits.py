"""Where the time of the digits experiment went, from the benchmark files of its last run."""

from __future__ import annotations

import sys

import pandas as pd

from opnorm.provenance import stages


def main() -> None:
    """Print the table."""
    folder = sys.argv[1] if len(sys.argv) > 1 else "results/digits/benchmarks"
    table = pd.DataFrame(stages(folder))
    if table.empty:
        print(f"{folder}: no benchmark files; run the experiment first")
        return
    jobs, total, memory = table["jobs"].sum(), table["seconds"].sum(), table["memory_mib"].max()
    table["share"] = table["seconds"] / total
    print(table.sort_values("seconds", ascending=False).round(2).to_string(index=False))
    print(f"all: {jobs} processes, {total:.0f} seconds one after the other, at most {memory:.0f} MiB")


if __name__ == "__main__":
    main()
