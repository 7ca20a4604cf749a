"""What a check is: a name, a reason, its measures, and the limit they must keep. The checks: picture_checks.py, person_checks.py.

`score` gives all of a check's measures, whatever their value; `passes` compares them with the limit. A measure that could
not be taken (None) does not pass, unless the check says otherwise. Limits and order are the caller's (config).
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8

from posedreamer.sample import Condition, Label, Picture, Sample

Scores = Mapping[str, float | None]


@runtime_checkable
class Check(Protocol):
    """name: as in the config; reason: of a rejection. setup loads what score needs; score is asked of whole samples only."""

    name: str
    reason: str

    def setup(self) -> None: ...

    def score(self, sample: Sample) -> dict[str, float | None]: ...

    def passes(self, scores: Scores) -> bool: ...


def parts_of(sample: Sample) -> tuple[Label, Condition, Picture]:
    """Label, condition and image of a sample that has all three; otherwise ValueError."""
    label, condition, image = sample.label, sample.condition, sample.image
    if label is None or condition is None or image is None:
        raise ValueError(f"sample {sample.key}: a check needs label, condition and image")
    same_size(image.rgb, condition.mask, sample.key)
    return label, condition, image


def same_size(rgb: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "mask_h mask_w"], key: str) -> None:
    """ValueError when a picture and its label's mask differ in size."""
    if rgb.shape[:2] != mask.shape:
        raise ValueError(f"sample {key}: the picture has {rgb.shape[:2]} pixels, its mask {mask.shape}")


def at_least(scores: Scores, name: str, limit: float) -> bool:
    """A measured value is at or over its limit."""
    value = scores[name]
    return value is not None and value >= limit


def at_most(scores: Scores, name: str, limit: float) -> bool:
    """A measured value is at or under its limit."""
    value = scores[name]
    return value is not None and value <= limit
