"""The figures of a run, from its index and the json of its shards: `posedreamer stats DIR --json`.

Everything returned is plain JSON. A score's quantiles are over the samples that have it; a run that is still going, or was
stopped, is described by its finished shards.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from posedreamer.report.thresholds import Thresholds, reason_order, score_thresholds
from posedreamer.report.variety import describe_variety
from posedreamer.storage.files import join, list_files, open_filesystem, read_file
from posedreamer.storage.index import SCORE_PREFIX, read_index
from posedreamer.storage.manifest import read_manifest
from posedreamer.storage.stats import ShardStats, finished_shards, read_stats

STATUSES = ("kept", "rejected", "failed")
SET_DISTANCE_NAME = "set_distance.json"
STAGES = ("sampling", "generation", "mining", "filtering")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def run_statistics(run_dir: str | Path) -> dict[str, Any]:
    """Counts by round, reason, tag, source and attribute, the funnel, quantiles of scores, variety of the kept, seconds by
    stage and bytes.

    ValueError when the directory holds no finished shard.
    """
    shards = [read_stats(run_dir, shard) for shard in finished_shards(run_dir)]
    if not shards:
        raise ValueError(f"{run_dir}: no finished shard (shards/NNNNNN.json); is it a run directory?")
    manifest = read_manifest(run_dir)
    rows = index_rows(read_index(run_dir))
    order = reason_order(manifest)
    scores, set_distance = describe_scores(rows), read_set_distance(run_dir)
    return {
        "summary": summarise(rows, scores, score_thresholds(manifest), set_distance),
        "counts": count(rows),
        "rounds": [
            {"round": number, **count([row for row in rows if row["round"] == number])}
            for number in sorted({row["round"] for row in rows})
        ],
        "reasons": count_reasons(rows, order),
        "funnel": funnel(rows, order),
        "scores": scores,
        "set_distance": set_distance,
        "tags": count_by(rows, lambda row: row["tags"] or ()),
        "sources": count_by(rows, lambda row: [source_kind(row["source"])]),
        "attributes": {
            name: count_by(rows, lambda row, name=name: [row["attributes"][name]] if name in row["attributes"] else [])
            for name in sorted({name for row in rows for name in row["attributes"]})
        },
        "variety": describe_variety(run_dir, rows),
        "seconds": stage_seconds(shards),
        "bytes": run_bytes(run_dir),
        "shards": len(shards),
    }


def summarise(
    rows: Sequence[Mapping[str, Any]],
    scores: Mapping[str, Any],
    thresholds: Thresholds,
    set_distance: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The figures that a person wants first; None where a run has none."""
    oks = scores.get("oks", {"kept": None, "attempted": None})
    return {
        **count(rows),
        "rounds": len({row["round"] for row in rows}),
        "oks_threshold": thresholds["oks"][1] if "oks" in thresholds else None,
        **{f"mean_oks_{of}": oks[of]["mean"] if oks[of] else None for of in ("kept", "attempted")},
        **{name: set_distance[name] if set_distance else None for name in ("kid_effnet", "fd_effnet")},
    }


def read_set_distance(run_dir: str | Path) -> dict[str, Any] | None:
    """What set_distance.py wrote; None when the run was given no reference."""
    if not list_files(run_dir, SET_DISTANCE_NAME):
        return None
    return json.loads(read_file(join(run_dir, SET_DISTANCE_NAME)))


def index_rows(table: pa.Table) -> list[dict[str, Any]]:
    """The index as one dict a row, without the label arrays: record columns, attributes as a dict, `scores` by name."""
    score_columns = [name for name in table.column_names if name.startswith(SCORE_PREFIX)]
    names = ["key", "round", "shard", "status", "reason", "source", "tags", "prompt", "attributes", "generator"]
    rows = table.select([*names, *score_columns]).to_pylist()
    for row in rows:
        row["attributes"] = json.loads(row["attributes"]) if row["attributes"] else {}
        row["scores"] = {name.removeprefix(SCORE_PREFIX): row.pop(name) for name in score_columns}
    return rows


def count(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """attempted = kept + rejected + failed, and the share that was kept (of the attempted; 0 when there are none)."""
    statuses = Counter(row["status"] for row in rows)
    counts = {"attempted": len(rows), **{status: statuses[status] for status in STATUSES}}
    return {**counts, "keep_rate": statuses["kept"] / len(rows) if rows else 0.0}


def reason_word(row: Mapping[str, Any]) -> str:
    """What stands before the colon: the check's word of a rejection, the stage or error of a failure."""
    return row["reason"].partition(":")[0]


def count_reasons(rows: Sequence[Mapping[str, Any]], order: Sequence[str]) -> dict[str, int]:
    """How often each reason was given: failures first, then rejections in the order of their checks, unknown ones last."""
    failures = Counter(reason_word(row) for row in rows if row["status"] == "failed")
    rejections = Counter(reason_word(row) for row in rows if row["status"] == "rejected")
    ranked = sorted(rejections, key=lambda reason: (order.index(reason) if reason in order else len(order), reason))
    return {**{name: failures[name] for name in sorted(failures)}, **{name: rejections[name] for name in ranked}}


def funnel(rows: Sequence[Mapping[str, Any]], order: Sequence[str]) -> list[dict[str, Any]]:
    """The line as steps: what each one took away and what remained; the last one keeps what is kept."""
    failed = sum(row["status"] == "failed" for row in rows)
    remaining = len(rows)
    steps = [{"step": "attempted", "dropped": 0, "remaining": remaining}]
    if failed:
        remaining -= failed
        steps.append({"step": "failed", "dropped": failed, "remaining": remaining})
    rejected = [row for row in rows if row["status"] == "rejected"]
    for reason, dropped in count_reasons(rejected, order).items():
        remaining -= dropped
        steps.append({"step": reason, "dropped": dropped, "remaining": remaining})
    return [*steps, {"step": "kept", "dropped": 0, "remaining": remaining}]


def describe_scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Per score, over all attempted and over the kept: how many have it, mean, and the quantiles 5, 25, 50, 75, 95 %."""
    names = sorted({name for row in rows for name in row["scores"]})
    kept = [row for row in rows if row["status"] == "kept"]
    return {name: {"attempted": _describe(rows, name), "kept": _describe(kept, name)} for name in names}


def count_by(rows: Sequence[Mapping[str, Any]], values_of: Any) -> dict[str, dict[str, Any]]:
    """`count` for each value that `values_of(row)` lists, the most frequent first; rows without one are left out."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        for value in dict.fromkeys(values_of(row)):
            groups.setdefault(value, []).append(row)
    return {value: count(groups[value]) for value in sorted(groups, key=lambda value: (-len(groups[value]), value))}


def source_kind(source: str | None) -> str:
    """`motion` of `motion:clip.npz`; `none` where sampling itself failed."""
    return "none" if source is None else source.partition(":")[0]


def stage_seconds(shards: Iterable[ShardStats]) -> dict[str, float]:
    """Seconds of work by stage, in their order, over all shards; stages work side by side, so the sum is no waiting time."""
    totals: dict[str, float] = {}
    for stats in shards:
        for stage, seconds in stats.seconds.items():
            totals[stage] = totals.get(stage, 0.0) + seconds
    return {stage: totals[stage] for stage in sorted(totals, key=lambda name: (_stage_rank(name), name))}


def run_bytes(run_dir: str | Path) -> dict[str, int]:
    """Bytes of all files by kind: kept tars, rejected tars, index; other files are not counted."""
    filesystem, inside = open_filesystem(run_dir)
    sizes = {"shards": 0, "rejects": 0, "index": 0}
    for kind, folder, suffix in (
        ("shards", "shards", ".tar"),
        ("rejects", "rejects", ".tar"),
        ("index", "shards", ".parquet"),
    ):
        path = f"{inside.rstrip('/')}/{folder}"
        if filesystem.isdir(path):
            entries = filesystem.ls(path, detail=True)
            sizes[kind] = sum(entry["size"] for entry in entries if entry["name"].endswith(suffix))
    return sizes


def _describe(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any] | None:
    values = np.array([row["scores"][name] for row in rows if row["scores"][name] is not None])
    if not len(values):
        return None
    quantiles = {f"q{round(100 * q):02d}": float(np.quantile(values, q)) for q in QUANTILES}
    return {"count": len(values), "mean": float(values.mean()), **quantiles}


def _stage_rank(name: str) -> int:
    return STAGES.index(name) if name in STAGES else len(STAGES)
