"""Preference pairs of a run whose labels have several candidates: best against worst, by the run's judge.

    posedreamer generate --config configs/nano.yaml --out runs/candidates --set candidates=8 --set shard_size=32
    python pipelines/make_pairs.py runs/candidates [--least-gap 0.05] [--least-winner 0.5] [--most 1]

Writes `pairs/` beside the shards (shards/README.md) and a report, `pairs.json`; a finished shard is not done again by the same rule.
"""

import json
from typing import Annotated

import typer

from posedreamer.alignment.pairs import PairRule, make_pairs


def main(
    run: Annotated[str, typer.Argument(help="run directory or URL")],
    score: Annotated[list[str], typer.Option(help="who votes; several must agree, the first measures")] = ["oks"],  # noqa: B006
    least_gap: Annotated[float, typer.Option(help="between chosen and rejected")] = 0.05,
    least_winner: Annotated[float, typer.Option(help="score of the chosen")] = 0.5,
    most: Annotated[int, typer.Option(help="pairs of a label, the widest gaps first; 0: all")] = 1,
) -> None:
    rule = PairRule(tuple(score), least_gap, least_winner, most or None)
    report = make_pairs(run, rule)
    print(json.dumps(report, indent=1, sort_keys=True))


if __name__ == "__main__":
    typer.run(main)
