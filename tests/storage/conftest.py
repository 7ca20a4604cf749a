"""Samples for the storage tests: of random content where any will do, and true ones of the open body."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import parameters_from_arrays
from posedreamer.geometry.cameras import look_at, make_K
from posedreamer.rendering.conditions import draw_condition
from posedreamer.rendering.label import draw_label
from posedreamer.sample import PARAMETER_SHAPES, Condition, Label, Picture, Prompt, Sample, Verdict, make_key
from posedreamer.storage.arrays import LABEL_ARRAYS, arrays_to_label
from posedreamer.storage.manifest import open_run
from posedreamer.storage.provenance import describe_body, make_manifest
from posedreamer.storage.shard import write_shard

BODY_RECORD = {"name": "open", "sha256": "0" * 64, "gender": "neutral", "hands": "flat_hand_mean=False"}
MakeSample = Callable[..., Sample]


@pytest.fixture(scope="session")
def body_record() -> dict[str, str]:
    return BODY_RECORD


@pytest.fixture(scope="session")
def make_sample() -> MakeSample:
    """`make(place=0, status="kept", kind="xyz", shard=0, size=(24, 32))`: a finished sample, equal for equal arguments."""

    def make(
        place: int = 0, status: str = "kept", kind: str = "xyz", shard: int = 0, size: tuple[int, int] = (24, 32)
    ) -> Sample:
        rng = np.random.default_rng([place, shard])
        width, height = size
        return Sample(
            key=make_key("3f9c2a17", 0, shard, place),
            run_seed=7,
            label=_random_label(rng, width, height),
            prompt=Prompt("a person in a red top", {"top_color": "red", "scene": "park"}),
            condition=_random_condition(rng, width, height, kind),
            image=Picture(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), "nano@abc", 2**62 + place, place),
            scores={"oks": float(rng.random()), "difficulty": None},
            verdict=Verdict(status, None if status in ("kept", "pending") else "oks_low"),
        )

    return make


@pytest.fixture(scope="session")
def true_samples() -> list[Sample]:
    """Four samples of the open body whose labels are true; the last two are rejected."""
    return [_true_sample(place, "kept" if place < 2 else "rejected") for place in range(4)]


@pytest.fixture
def true_run(tmp_path: Path, true_samples: list[Sample]) -> Path:
    """A run of one shard of them."""
    run = tmp_path / "run"
    open_run(run, make_manifest({"body": "open"}, "3f9c2a17", load_body(), {}))
    failed = Sample("3f9c2a17-r00-000000-0004", 7, verdict=Verdict("failed", "bad_pose: NaN"))
    write_shard(run, 0, 0, [*true_samples, failed], {"sampling": 1.5}, body=describe_body(load_body()))
    return run


def _true_sample(place: int, status: str) -> Sample:
    rng, body = np.random.default_rng(place), load_body()
    arrays = {name: 0.2 * rng.normal(size=shape) for name, shape in PARAMETER_SHAPES.items()}
    arrays["global_orient"] = np.array([np.pi, 0.0, 0.0]) + 0.2 * rng.normal(size=3)  # upright in a y-down camera
    arrays["transl"] = np.array([0.0, 0.3, 3.5])
    parameters, (width, height) = parameters_from_arrays(arrays), (96, 128)
    K = make_K(150.0, width, height)
    drawn = draw_label(body, parameters, K, width, height)
    label = Label(
        parameters=parameters,
        K=K,
        T_cam_from_world=look_at(np.array([0.0, 1.0, 3.5]), np.array([0.0, 1.0, 0.0])),
        joints_cam=drawn.joints_cam,
        keypoints=drawn.keypoints,
        visible=drawn.visible,
        coco_keypoints=drawn.coco_keypoints,
        bbox=drawn.bbox,
        width=width,
        height=height,
        source="library",
        tags=("yoga", "tree"),
    )
    xyz = draw_condition("xyz", body, drawn)
    return Sample(
        key=make_key("3f9c2a17", 0, 0, place),
        run_seed=7,
        label=label,
        prompt=Prompt("a person", {"top": "shirt"}),
        condition=Condition("xyz", xyz, xyz, drawn.mask, drawn.depth_mm),
        image=Picture(xyz, "nano", place),
        scores={"oks": 0.9, "difficulty": None},
        verdict=Verdict(status, None if status == "kept" else "oks_low"),
    )


def _random_label(rng: np.random.Generator, width: int, height: int) -> Label:
    arrays = {
        name: rng.random(spec.shape) < 0.5 if spec.dtype == bool else rng.normal(size=spec.shape).astype(spec.dtype)
        for name, spec in LABEL_ARRAYS.items()
    }
    return arrays_to_label(arrays, width, height, "library", ("yoga", "Vṛkṣāsana"))


def _random_condition(rng: np.random.Generator, width: int, height: int, kind: str) -> Condition:
    xyz, control = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    mask = rng.random((height, width)) < 0.5
    depth_mm = rng.integers(0, 2**16, (height, width), dtype=np.uint16)
    return Condition(kind, xyz if kind == "xyz" else control, xyz, mask, depth_mm)
