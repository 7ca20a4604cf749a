"""Samples of random content for the storage tests: no body, no model."""

from collections.abc import Callable

import numpy as np
import pytest

from posedreamer.sample import BodyParameters, Condition, Label, Picture, Prompt, Sample, Verdict, make_key
from posedreamer.storage.arrays import LABEL_ARRAYS, arrays_to_label

BODY = {"name": "open", "sha256": "0" * 64, "gender": "neutral", "hands": "flat_hand_mean=False"}

MakeSample = Callable[..., Sample]


def random_label(rng: np.random.Generator, width: int, height: int) -> Label:
    arrays = {
        name: rng.random(spec.shape) < 0.5 if spec.dtype == bool else rng.normal(size=spec.shape).astype(spec.dtype)
        for name, spec in LABEL_ARRAYS.items()
    }
    return arrays_to_label(arrays, width, height, "library", ("yoga", "Vṛkṣāsana"))


def random_condition(rng: np.random.Generator, width: int, height: int, kind: str = "xyz") -> Condition:
    xyz, control = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    mask = rng.random((height, width)) < 0.5
    depth_mm = rng.integers(0, 2**16, (height, width), dtype=np.uint16)
    return Condition(kind, xyz if kind == "xyz" else control, xyz, mask, depth_mm)


@pytest.fixture
def make_sample() -> MakeSample:
    """`make_sample(place=0, status="kept", kind="xyz", shard=0)`: a finished sample, the same for the same arguments."""

    def make(place: int = 0, status: str = "kept", kind: str = "xyz", shard: int = 0, size: tuple[int, int] = (24, 32)):
        rng = np.random.default_rng([place, shard])
        width, height = size
        return Sample(
            key=make_key("3f9c2a17", 0, shard, place),
            run_seed=7,
            label=random_label(rng, width, height),
            prompt=Prompt("a person in a red top", {"top_color": "red", "scene": "park"}),
            condition=random_condition(rng, width, height, kind),
            image=Picture(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), "nano@abc", 2**62 + place, 0),
            scores={"oks": float(rng.random()), "difficulty": None},
            verdict=Verdict(status, None if status in ("kept", "pending") else "oks_low"),
        )

    return make


def parameters_of(label: Label) -> BodyParameters:
    return label.parameters
