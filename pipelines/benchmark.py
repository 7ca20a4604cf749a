"""Measures what BENCHMARKS.md tells, as ratios taken in one run: `python pipelines/benchmark.py [--only bodies,maps] [--write]`.

`--run-dir` is a finished run (make demo); `checks` and `shards` read its tars. `--write` puts the rows into the table of BENCHMARKS.md.
"""

import argparse
import os
from pathlib import Path

from benchmarks import parts, whole
from benchmarks.rows import Row, hardware

BENCHMARKS = Path(__file__).parents[1] / "BENCHMARKS.md"
START, END = "<!-- table: start -->", "<!-- table: end -->"


def to_markdown(row: Row, command: str) -> str:
    return f"| {row.name} | {row.value} | {row.goal} | {row.detail} | `{command}` | {hardware()} |"


def write_rows(lines: dict[str, str]) -> None:
    """Replaces the rows of the same name and adds new ones at the end of the table."""
    text = BENCHMARKS.read_text()
    head, _, rest = text.partition(START)
    table, _, tail = rest.partition(END)
    header, rule, *old = table.strip().splitlines()
    rows = {line.split("|")[1].strip(): line for line in old} | lines
    BENCHMARKS.write_text("\n".join([head + START, header, rule, *rows.values(), END + tail]))


def main() -> None:
    # config: which parts, on which run
    parser = argparse.ArgumentParser(description=__doc__)
    names = ("bodies", "maps", "judge", "checks", "shards", "whole")
    parser.add_argument("--only", default=",".join(names), help="comma separated: " + ", ".join(names))
    parser.add_argument("--run-dir", type=Path, default=Path("runs/demo"))
    parser.add_argument("--config", type=Path, default=Path("configs/nano.yaml").absolute())
    parser.add_argument("--shards-each", type=int, default=4, help="shards a core in `whole`")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()

    # inputs and stages: what each part needs
    cores = len(os.sched_getaffinity(0))
    measures = {
        "bodies": parts.bodies,
        "maps": parts.maps,
        "judge": lambda: parts.judge(arguments.run_dir),
        "checks": lambda: parts.checks(arguments.run_dir),
        "shards": lambda: parts.shards(arguments.run_dir),
        "whole": lambda: whole.whole(arguments.config, cores, arguments.shards_each),
    }

    # run
    lines = {}
    for name in arguments.only.split(","):
        for row in measures[name]():
            lines[row.name] = to_markdown(row, f"python pipelines/benchmark.py --only {name}")
            print(lines[row.name], flush=True)

    # report
    if arguments.write:
        write_rows(lines)


if __name__ == "__main__":
    main()
