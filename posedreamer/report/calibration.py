"""Tables of a calibration: which check passes right pictures, and catches which planted fault (pipelines/calibrate_filters.py)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from posedreamer.metrics.bootstrap import bootstrap
from posedreamer.report.thresholds import CHECKS, Thresholds, passes
from posedreamer.seeds import generator_for

RIGHT = "right"
Scores = list[dict[str, float | None]]  # of each sample, by name


def summarise(
    asked: Mapping[str, Scores], order: Sequence[str], thresholds: Thresholds, accept: float
) -> dict[str, Any]:
    """Shares with 95 % intervals: of right pictures that pass, of each fault that is caught, by check and by all of them."""
    found: dict[str, Any] = {"count": {name: len(rows) for name, rows in asked.items()}, "catches": {}, "limits": {}}
    for name, rows in asked.items():
        keeps = np.array([[_keeps(row, check, thresholds) for check in order] for row in rows])
        columns = dict(zip((*order, "all"), (*keeps.T, keeps.all(axis=1)), strict=True))
        rng = generator_for(0, name, "bootstrap")
        if name == RIGHT:
            found["passes"] = {check: bootstrap(column.astype(float), _mean, rng) for check, column in columns.items()}
            continue
        found["catches"][name] = {
            check: bootstrap((~column).astype(float), _mean, rng) for check, column in columns.items()
        }
        found["limits"][name] = {
            score: limit_for(rows, asked[RIGHT], score, side, accept) for score, (side, _) in thresholds.items()
        }
    return found


def limit_for(faulty: Scores, right: Scores, score: str, side: str, accept: float) -> tuple[float, float] | None:
    """The limit that lets `accept` of the fault pass, and the share of right pictures that then pass; None if not all are measured."""
    values, others = ([row[score] for row in rows if row.get(score) is not None] for rows in (faulty, right))
    if len(values) < len(faulty) or not others:
        return None
    limit = float(np.quantile(np.array(values, float), 1 - accept if side == "min" else accept))
    true = np.array(others, float)
    return limit, float((true >= limit if side == "min" else true <= limit).mean())


def to_markdown(found: Mapping[str, Any], order: Sequence[str]) -> str:
    """One row a fault, one column a check."""
    lines = [f"| | n | {' | '.join(order)} | all |", "| --- " * (len(order) + 3) + "|"]
    rows = {
        "right pictures that pass": found["passes"],
        **{f"{name}, caught": row for name, row in found["catches"].items()},
    }
    counts = list(found["count"].values())
    for (name, row), count in zip(rows.items(), counts, strict=True):
        cells = [f"{row[check][0]:.2f}" for check in order]
        whole = row["all"]
        lines.append(f"| {name} | {count} | {' | '.join(cells)} | {whole[0]:.2f} [{whole[1]:.2f}, {whole[2]:.2f}] |")
    return "\n".join(lines) + "\n"


def _mean(rows: np.ndarray) -> float:
    return float(rows.mean())


def _keeps(row: dict[str, float | None], check: str, thresholds: Thresholds) -> bool:
    return all(passes(row, score, thresholds[score]) for score in CHECKS[check].measures.values())
