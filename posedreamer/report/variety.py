"""How varied the kept samples of a run are: their poses, and what they wear."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from posedreamer.geometry.skeletons import NUM_BODY_JOINTS
from posedreamer.metrics.pose import in_body_frame
from posedreamer.storage.index import read_shard_index
from posedreamer.storage.stats import finished_shards


def describe_variety(run_dir: str | Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """pose_std_mm: see `pose_std_mm`; None of fewer than two kept samples. balance: of each attribute, see `balance`.

    rows: of the index, as `statistics.index_rows` gives them.
    """
    kept = [row["attributes"] for row in rows if row["status"] == "kept"]
    names = sorted({name for attributes in kept for name in attributes})
    return {
        "pose_std_mm": pose_std_mm(kept_joints(run_dir, shard) for shard in finished_shards(run_dir)),
        "balance": {name: balance([a[name] for a in kept if name in a]) for name in names},
    }


def kept_joints(run_dir: str | Path, shard: int) -> Float[np.ndarray, "kept joints 3"]:
    """The 22 body joints of a shard's kept samples in their bodies' frames, metres."""
    table = read_shard_index(run_dir, shard, ["status", "joints_cam", "global_orient"])
    table = table.filter([status == "kept" for status in table.column("status").to_pylist()])
    if not len(table):
        return np.zeros((0, NUM_BODY_JOINTS, 3))
    joints = np.array(table.column("joints_cam").to_pylist(), np.float64).reshape(len(table), -1, 3)
    return in_body_frame(joints[:, :NUM_BODY_JOINTS], np.array(table.column("global_orient").to_pylist(), np.float64))


def pose_std_mm(pieces: Iterable[Float[np.ndarray, "_kept joints 3"]]) -> float | None:
    """Standard deviation (n) of the joints' coordinates in the body's frame, mean over joints and axes; DrPose's measure of diversity.

    Piece by piece, so that a run's size does not matter.
    """
    count, total, squares = 0, np.zeros((NUM_BODY_JOINTS, 3)), np.zeros((NUM_BODY_JOINTS, 3))
    for joints in pieces:
        count, total, squares = count + len(joints), total + joints.sum(axis=0), squares + (joints**2).sum(axis=0)
    if count < 2:
        return None
    variance = np.maximum(squares / count - (total / count) ** 2, 0.0)
    return float(1000.0 * np.sqrt(variance).mean())


def balance(values: Sequence[str]) -> float:
    """Entropy over the most that so many values could have: 1 where all are equally frequent; of one value alone 0."""
    shares = [number / len(values) for number in Counter(values).values()]
    return -sum(share * math.log(share) for share in shares) / math.log(len(shares)) if len(shares) > 1 else 0.0
