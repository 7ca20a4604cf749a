"""Small run directories for the report tests: true labels of the open body, pictures and scores made up."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import rest_parameters
from posedreamer.config import Config
from posedreamer.geometry.cameras import make_K
from posedreamer.rendering.conditions import draw_condition
from posedreamer.rendering.label import draw_label
from posedreamer.sample import Condition, Label, Picture, Prompt, Sample, Verdict, make_key
from posedreamer.storage.files import write_file
from posedreamer.storage.manifest import open_run
from posedreamer.storage.provenance import describe_body, make_manifest
from posedreamer.storage.shard import write_shard

SIZE = 48
CONFIG = Config(name="small", seed=3, samples=8, shard_size=6)
# (round, verdict, reason, oks) of each attempt, three shards of six.
ATTEMPTS = [
    (0, "kept", None, 0.95), (0, "rejected", "oks_low", 0.4), (0, "kept", None, 0.9),
    (0, "failed", "generation: ValueError: NaN pixels <b>", None), (0, "rejected", "second_person", 0.8),
    (0, "kept", None, 0.86),
    (0, "rejected", "bad_exposure", 0.2), (0, "rejected", "oks_low", 0.5), (0, "rejected", "oks_low", 0.6),
    (0, "rejected", "oks_low", 0.7), (0, "failed", "sampling: ValueError: no pose", None),
    (0, "rejected", "silhouette_low", 0.9),
    (1, "kept", None, 0.97), (1, "kept", None, 0.88), (1, "rejected", "oks_low", 0.3), (1, "kept", None, 0.91),
    (1, "kept", None, 0.93), (1, "rejected", "second_person", 0.9),
]  # fmt: skip


def make_sample(
    key: str, status: str, reason: str | None, oks: float | None, place: int, kind: str, difficulty: float | None = None
) -> Sample:
    if status == "failed":
        return Sample(key, CONFIG.seed, verdict=Verdict("failed", reason))
    body, rng = load_body(), np.random.default_rng(place)
    turn = np.array([np.pi, 0, 0], np.float32)  # upright in the camera frame, whose y points down
    parameters = replace(rest_parameters(), global_orient=turn, transl=np.array([0, -0.3, 3 + place / 10], np.float32))
    K = make_K(SIZE * 1.2, SIZE, SIZE)
    drawn = draw_label(body, parameters, K, SIZE, SIZE)
    label = Label(
        parameters=parameters,
        K=K,
        T_cam_from_world=np.diag([1.0, -1.0, -1.0, 1.0]),
        joints_cam=drawn.joints_cam,
        keypoints=drawn.keypoints,
        visible=drawn.visible,
        coco_keypoints=drawn.coco_keypoints,
        bbox=drawn.bbox,
        width=SIZE,
        height=SIZE,
        source="library" if place % 3 else "motion:walk.npz",
        tags=("yoga" if place % 2 else "sport", "full_body"),
    )
    xyz = draw_condition("xyz", body, drawn)
    control = xyz if kind == "xyz" else draw_condition(kind, body, drawn)
    return Sample(
        key=key,
        run_seed=CONFIG.seed,
        label=label,
        prompt=Prompt("a person & a <dog>", {"top_color": ("red", "blue")[place % 2]}),
        condition=Condition(kind, control, xyz, drawn.mask, drawn.depth_mm),
        image=Picture(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8), "nano@abc", place),
        scores={"oks": oks, "second_person": place / 20, "difficulty": difficulty, "oks_joint_nose": 0.5},
        verdict=Verdict(status, reason),  # pyright: ignore[reportArgumentType]
    )


def write_run(
    run_dir: Path,
    attempts: Sequence[tuple] = ATTEMPTS,
    keep_rejects: bool = True,
    kind: str = "xyz",
    difficulties: Sequence[float | None] | None = None,
) -> Path:
    """A finished run of shards of six attempts each, with a curriculum for round 1. difficulties: of the attempts, in order."""
    body = load_body()
    open_run(run_dir, make_manifest(CONFIG.identity(), CONFIG.hash, body, {}))
    for shard, start in enumerate(range(0, len(attempts), 6)):
        part = attempts[start : start + 6]
        round_index = part[0][0]
        samples = [
            make_sample(
                make_key(CONFIG.hash, round_index, shard, place), *attempt[1:], start + place, kind,
                None if difficulties is None else difficulties[start + place],
            )
            for place, attempt in enumerate(part)
        ]  # fmt: skip
        seconds = {"filtering": 1.0, "generation": 6.0, "mining": 2.0, "sampling": 0.5}
        write_shard(run_dir, shard, round_index, samples, seconds, body=describe_body(body), keep_rejects=keep_rejects)
    write_file(
        run_dir / "curriculum" / "round-01.json",
        b'{"round": 1, "why": "hard, above the floor", "floor": 0.3, "model": {"trees": 200},'
        b' "chosen_oks": [0.31, 0.4, 0.5, 0.45, 0.6, 1], "families": [{"family": "yoga", "chosen": 4}]}',
    )
    return run_dir
