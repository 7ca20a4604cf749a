"""Which samples a gallery shows. Rows come in the order of the index, and the choice depends on nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posedreamer.report.statistics import reason_word
from posedreamer.sample import Sample
from posedreamer.storage.codec import DrawControl, members_to_sample
from posedreamer.storage.files import join, list_files
from posedreamer.storage.shard import read_groups_of

Row = Mapping[str, Any]
FOLDERS = {"kept": "shards", "rejected": "rejects"}


def spread(rows: Sequence[Row], count: int) -> list[Row]:
    """At most `count` rows, evenly spread over all, in order."""
    if len(rows) <= count:
        return list(rows)
    return [rows[index] for index in np.linspace(0, len(rows) - 1, count).round().astype(int)]


def spread_by_reason(rows: Sequence[Row], reasons: Sequence[str], count: int) -> dict[str, list[Row]]:
    """At most `count` rows in all, shared out over the reasons one by one, so that a rare reason is seen too."""
    groups = {reason: [row for row in rows if reason_word(row) == reason] for reason in reasons}
    shares = dict.fromkeys(groups, 0)
    while sum(shares.values()) < count and (open_ := [r for r in groups if shares[r] < len(groups[r])]):
        for reason in open_[: count - sum(shares.values())]:
            shares[reason] += 1
    return {reason: spread(group, shares[reason]) for reason, group in groups.items() if shares[reason]}


def extremes(rows: Sequence[Row], score: str, count: int) -> tuple[list[Row], list[Row]]:
    """The rows with the lowest and those with the highest values, most extreme first; equal values in index order."""
    scored = [row for row in rows if row["scores"][score] is not None]
    lowest = sorted(scored, key=lambda row: row["scores"][score])
    highest = sorted(scored, key=lambda row: -row["scores"][score])
    return lowest[:count], highest[:count]


def read_samples(run_dir: str | Path, rows: Sequence[Row], draw_control: DrawControl | None) -> dict[str, Sample]:
    """The stored samples of index rows by key; a rejected one that was not stored (keep_rejects off) is left out."""
    wanted: dict[tuple[str, int], set[str]] = {}
    for row in rows:
        if row["status"] in FOLDERS:
            wanted.setdefault((FOLDERS[row["status"]], row["shard"]), set()).add(row["key"])
    existing = {folder: set(list_files(join(run_dir, folder), ".tar")) for folder in FOLDERS.values()}
    samples = {}
    for folder, shard in sorted(wanted):
        name = f"{shard:06d}.tar"
        if name not in existing[folder]:
            continue
        path = join(run_dir, f"{folder}/{name}")
        for key, members in read_groups_of(path):
            if key in wanted[folder, shard]:
                samples[key] = members_to_sample(key, members, path, draw_control)
    return samples
