"""Which candidates of a label make a preference pair, and the pairs of a whole run.

The rule is PoseDreamer's (dataset.py of its released code): group by label, the best score against the worst, kept when the
scores differ enough and the winner is good. Several judges may vote: then a pair counts only if all of them agree on who is
better, so that the quirks of one detector are not what is learnt.
"""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posedreamer.sample import split_key
from posedreamer.storage.files import file_exists, join, write_file
from posedreamer.storage.index import read_shard_index
from posedreamer.storage.pairs import pair_to_members, read_pair_facts, write_pairs
from posedreamer.storage.shard import read_groups_of
from posedreamer.storage.stats import finished_shards

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairRule:
    """scores: who votes, by the names of their scores; the first decides what gap and winner are measured in.

    least_gap: score of the chosen less that of the rejected. least_winner: score of the chosen. most: pairs of a label, those of
    the widest gap first; 1 is best against worst, None is all.
    """

    scores: tuple[str, ...] = ("oks",)
    least_gap: float = 0.05
    least_winner: float = 0.5
    most: int | None = 1

    @property
    def told(self) -> dict[str, Any]:
        """The rule as JSON gives it back."""
        return {**asdict(self), "scores": list(self.scores)}


@dataclass(frozen=True)
class Choice:
    """Pairs of (chosen, rejected) keys, those of the widest gap first; without any, the reason why."""

    pairs: tuple[tuple[str, str], ...]
    reason: str | None = None


def choose_pairs(candidates: Mapping[str, Sequence[float | None]], rule: PairRule) -> Choice:
    """The pairs of one label.

    candidates: key -> scores in the order of `rule.scores`; None where a judge saw nothing to score, which takes the candidate out.
    Reasons: `too_few` candidates with scores, `winner_poor`, `gap_small`, `judges_disagree`.
    """
    scored = {
        key: [float(value) for value in values if value is not None] for key, values in sorted(candidates.items())
    }
    scored = {key: values for key, values in scored.items() if len(values) == len(rule.scores)}
    if len(scored) < 2:
        return Choice((), "too_few")
    good = [key for key in scored if scored[key][0] >= rule.least_winner]
    if not good:
        return Choice((), "winner_poor")
    gaps = {(one, other): scored[one][0] - scored[other][0] for one in good for other in scored}
    wide = [pair for pair, gap in gaps.items() if gap >= rule.least_gap and gap > 0.0]
    if not wide:
        return Choice((), "gap_small")
    agreed = [
        (one, other) for one, other in wide if all(a > b for a, b in zip(scored[one], scored[other], strict=True))
    ]
    if not agreed:
        return Choice((), "judges_disagree")
    return Choice(tuple(sorted(agreed, key=lambda pair: -gaps[pair])[: rule.most]))


def make_pairs(run_dir: str | Path, rule: PairRule) -> dict[str, Any]:
    """Writes the pairs of every finished shard, from its kept and rejected samples, and the report (`pairs.json`), which is returned.

    Shards whose pairs were made by the same rule are left as they are. A run that has not stored its rejected samples, or lacks
    one of the scores, is a ValueError.
    """
    shards = finished_shards(run_dir)
    if not shards:
        raise ValueError(f"{run_dir}: no finished shard to make pairs of")
    done = []
    for shard in shards:
        facts = read_pair_facts(run_dir, shard)
        if facts is None or facts["rule"] != rule.told:
            facts = _make_pairs_of_shard(run_dir, shard, rule)
            log.info("shard %06d: %d pairs of %d labels", shard, len(facts["pairs"]), facts["labels"])
        done.append(facts)
    pairs = [pair for facts in done for pair in facts["pairs"]]
    without = sum((Counter(facts["labels_without_pair"]) for facts in done), Counter())
    report = {
        "rule": rule.told,
        "labels": sum(facts["labels"] for facts in done),
        "candidates": sum(facts["candidates"] for facts in done),
        "pairs": len(pairs),
        "labels_without_pair": dict(sorted(without.items())),
        "families": dict(sorted(Counter(pair["family"] for pair in pairs).items())),
        **{name: _quantiles([pair[name] for pair in pairs]) for name in ("gap", "chosen", "rejected")},
    }
    write_file(join(run_dir, "pairs.json"), (json.dumps(report, indent=1, sort_keys=True) + "\n").encode())
    return report


def _make_pairs_of_shard(run_dir: str | Path, shard: int, rule: PairRule) -> dict[str, Any]:
    where = f"{run_dir}: shard {shard:06d}"
    columns = [f"score_{name}" for name in rule.scores]
    index = read_shard_index(run_dir, shard, ["key", "status", "tags", *columns])
    absent = [name for name in columns if name not in index.column_names]
    if absent:
        raise ValueError(f"{where} has no {', '.join(absent)}; who votes must have scored the run")
    rows = {row["key"]: row for row in index.to_pylist() if row["status"] != "failed"}
    labels: dict[str, dict[str, list[float | None]]] = {}
    for key, row in rows.items():
        labels.setdefault(split_key(key)[0], {})[key] = [row[name] for name in columns]
    choices = [choose_pairs(candidates, rule) for candidates in labels.values()]
    stored = _stored(run_dir, shard) if any(choice.pairs for choice in choices) else {}
    written, told = [], []
    for chosen, rejected in (pair for choice in choices for pair in choice.pairs):
        missing = [key for key in (chosen, rejected) if key not in stored]
        if missing:
            raise ValueError(f"{where} has not stored {missing}; pairs need storage.keep_rejects")
        written.append(pair_to_members(stored[chosen], stored[rejected], where))
        better, worse = (rows[key][columns[0]] for key in (chosen, rejected))
        told.append({"chosen": better, "rejected": worse, "gap": better - worse, "family": rows[chosen]["tags"][0]})
    facts = {
        "rule": rule.told,
        "labels": len(labels),
        "candidates": len(rows),
        "pairs": told,
        "labels_without_pair": dict(Counter(choice.reason for choice in choices if choice.reason is not None)),
    }
    write_pairs(run_dir, shard, written, facts)
    return facts


def _stored(run_dir: str | Path, shard: int) -> dict[str, dict[str, bytes]]:
    paths = [join(run_dir, f"{folder}/{shard:06d}.tar") for folder in ("shards", "rejects")]
    return {key: members for path in paths if file_exists(path) for key, members in read_groups_of(path)}


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    """Least, quartiles, greatest, by name; of nothing, nothing."""
    names = ("least", "quartile", "median", "upper_quartile", "greatest")
    found = np.quantile(values, (0.0, 0.25, 0.5, 0.75, 1.0)).tolist() if values else []
    return dict(zip(names, found, strict=False))
