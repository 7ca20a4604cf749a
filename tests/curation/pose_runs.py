"""Run directories of given poses for the curation tests: true pose arrays and tags, the rest random."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from posedreamer.geometry.cameras import look_at
from posedreamer.geometry.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from posedreamer.sample import Condition, Picture, Prompt, Sample, Verdict, make_key
from posedreamer.storage.arrays import LABEL_ARRAYS, arrays_to_label
from posedreamer.storage.manifest import open_run
from posedreamer.storage.shard import write_shard

BODY = {"name": "open", "sha256": "0" * 64, "gender": "neutral", "hands": "flat_hand_mean=False"}
MANIFEST = {"config_hash": "3f9c2a17" + "0" * 56, "config": {"name": "test", "body": "open"}, "conventions": "1"}


class Draw(NamedTuple):
    """One pose of the run. global_orient: in the world."""

    body_pose: np.ndarray
    global_orient: np.ndarray
    tags: tuple[str, ...]
    source: str = "library"
    status: str = "kept"


def make_sample(key: str, draw: Draw, rng: np.random.Generator) -> Sample:
    arrays = {
        name: rng.random(spec.shape) < 0.5 if spec.dtype == bool else rng.normal(size=spec.shape).astype(spec.dtype)
        for name, spec in LABEL_ARRAYS.items()
    }
    eye = np.array([3 * np.sin(rng.normal()), rng.uniform(-1, 2), 4.0])
    arrays["T_cam_from_world"] = look_at(eye, np.zeros(3), roll=rng.normal(0, 0.3))
    arrays["body_pose"] = draw.body_pose.astype(np.float32)
    root = arrays["T_cam_from_world"][:3, :3] @ rotvec_to_rotmat(draw.global_orient)
    arrays["global_orient"] = rotmat_to_rotvec(root).astype(np.float32)
    maps = rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    return Sample(
        key=key,
        run_seed=7,
        label=arrays_to_label(arrays, 8, 8, draw.source, draw.tags),
        prompt=Prompt("a person", {"top": "shirt"}),
        condition=Condition("xyz", maps[0], maps[0], rng.random((8, 8)) < 0.5, rng.integers(0, 9, (8, 8), np.uint16)),
        image=Picture(maps[1], "nano@abc", 5),
        scores={"oks": float(rng.random())},
        verdict=Verdict(draw.status, None if draw.status == "kept" else "oks_low"),
    )


def write_run(run_dir: Path, draws: Sequence[Draw], shard_size: int = 4) -> Path:
    """A run directory of these poses; the first half of its shards is round 0."""
    rng = np.random.default_rng(3)
    open_run(run_dir, MANIFEST)
    shards = [draws[start : start + shard_size] for start in range(0, len(draws), shard_size)]
    for shard, part in enumerate(shards):
        round_index = int(shard >= (len(shards) + 1) // 2)
        keys = [make_key("3f9c2a17", round_index, shard, place) for place in range(len(part))]
        samples = [make_sample(key, draw, rng) for key, draw in zip(keys, part, strict=True)]
        write_shard(run_dir, shard, round_index, samples, {"sampling": 1.0}, body=BODY)
    return run_dir
