"""What a check is: a name, a reason, its measures, and the limit they must keep. The checks: picture_checks.py, person_checks.py.

`score` gives all of a check's measures, whatever their value; `passes` compares them with the limit. A measure that could
not be taken (None) does not pass, unless the check says otherwise. Limits and order are the caller's (config).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, UInt8

from posedreamer.sample import Condition, Label, Picture, Sample

Scores = Mapping[str, float | None]


class Check(ABC):
    """name: as in the config; reason: of a rejection. `score` is asked of whole samples only, after `setup`."""

    name: ClassVar[str]
    reason: ClassVar[str]

    def check_inputs(self) -> dict[str, str]:
        """Finds what the check needs from outside, before any work; returns name -> identity."""
        return {}

    def setup(self) -> None:  # noqa: B027  (most checks load nothing)
        """Loads what `score` needs."""

    @abstractmethod
    def score(self, sample: Sample) -> dict[str, float | None]: ...

    @abstractmethod
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
