"""The checks of a picture: one class each, with its name, its reason, its measures, and the limit they must keep.

`score` gives all of a check's measures, whatever their value; `passes` compares them with the limit. A measure that could
not be taken (None) does not pass. Limits and order are the caller's (config).
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.sample import Condition, Label, Picture, Sample
from posedreamer.stages.filtering.fill import paint_over, widen
from posedreamer.stages.filtering.silhouette import silhouette_agreement

Scores = Mapping[str, float | None]


@runtime_checkable
class Check(Protocol):
    """name: as in the config; reason: of a rejection. setup loads what score needs; score is asked of whole samples only."""

    name: str
    reason: str

    def setup(self) -> None: ...

    def score(self, sample: Sample) -> dict[str, float | None]: ...

    def passes(self, scores: Scores) -> bool: ...


class ExposureCheck:
    """Something is to be seen: grey values spread out, few pixels clipped at black or white.

    contrast: standard deviation of grey, 0 to 255. clipped: share of pixels whose grey is at most 2 or at least 253.
    entropy: of the grey values in 64 bins, bits (0 for one flat colour, 6 at most); measured, without a limit.
    """

    name, reason = "exposure", "bad_exposure"

    def __init__(self, min_contrast: float, max_clipped: float) -> None:
        self.min_contrast, self.max_clipped = min_contrast, max_clipped

    def setup(self) -> None: ...

    def score(self, sample: Sample) -> dict[str, float | None]:
        _, _, image = parts_of(sample)
        grey = cv2.cvtColor(image.rgb, cv2.COLOR_RGB2GRAY)
        share = np.histogram(grey, bins=64, range=(0, 256))[0] / grey.size
        entropy = -float((share[share > 0] * np.log2(share[share > 0])).sum())
        clipped = float(((grey <= 2) | (grey >= 253)).mean())
        return {"contrast": float(grey.std()), "clipped": clipped, "entropy": entropy + 0.0}

    def passes(self, scores: Scores) -> bool:
        return at_least(scores, "contrast", self.min_contrast) and at_most(scores, "clipped", self.max_clipped)


class TruncationCheck:
    """Enough of the body is in the image. joints_inside: share of the label's 17 COCO joints."""

    name, reason = "truncation", "truncated"

    def __init__(self, min_share: float) -> None:
        self.min_share = min_share

    def setup(self) -> None: ...

    def score(self, sample: Sample) -> dict[str, float | None]:
        label, _, _ = parts_of(sample)
        return {"joints_inside": float((label.coco_keypoints[:, 2] > 0).mean())}

    def passes(self, scores: Scores) -> bool:
        return at_least(scores, "joints_inside", self.min_share)


class SecondPersonCheck:
    """Nobody but the labelled person: the judge looks once more, with that person painted over.

    second_person: mean of its five highest confidences. Measured on 24 dressed renders of 128 px: .05 to .25 with one
    person (5 % to 95 %), .40 to .88 with two. A crowd too small or too dim for the judge goes unseen.
    """

    name, reason = "second_person", "second_person"
    # Clothes, hair and a blurred edge stand off the bare body; share of the longer side of its box, at least 2 px.
    WIDEN = 0.06
    NUM_JOINTS = 5

    def __init__(self, max_confidence: float, threads: int) -> None:
        self.max_confidence = max_confidence
        self.detector = KeypointDetector(threads)

    def setup(self) -> None:
        self.detector.setup()

    def score(self, sample: Sample) -> dict[str, float | None]:
        label, condition, image = parts_of(sample)
        pixels = max(2, round(self.WIDEN * float(label.bbox[2:].max())))
        rest = paint_over(image.rgb, widen(condition.mask, pixels))
        confidence = np.sort(self.detector.detect_anywhere(rest).confidence)
        return {"second_person": float(confidence[-self.NUM_JOINTS :].mean())}

    def passes(self, scores: Scores) -> bool:
        return at_most(scores, "second_person", self.max_confidence)


class OksCheck:
    """The picture shows the label's pose: `oks`, as the mining stage measured it."""

    name, reason = "oks", "oks_low"

    def __init__(self, minimum: float) -> None:
        if not 0.5 <= minimum <= 1.0:
            raise ValueError(f"oks check: minimum must lie in [0.5, 1], where wrong poses do not pass; got {minimum}")
        self.minimum = minimum

    def setup(self) -> None: ...

    def score(self, sample: Sample) -> dict[str, float | None]:
        if "oks" not in sample.scores:
            raise ValueError(f"sample {sample.key}: no score `oks`; the mining stage comes before this check")
        return {}

    def passes(self, scores: Scores) -> bool:
        return at_least(scores, "oks", self.minimum)


class SilhouetteCheck:
    """The picture's foreground has the label's shape (`silhouette.py`).

    silhouette: measured on the same 24 renders: .91 on average with the right label, .34 with another's.
    """

    name, reason = "silhouette", "silhouette_low"

    def __init__(self, minimum: float) -> None:
        self.minimum = minimum

    def setup(self) -> None: ...

    def score(self, sample: Sample) -> dict[str, float | None]:
        _, condition, image = parts_of(sample)
        return {"silhouette": silhouette_agreement(image.rgb, condition.mask)}

    def passes(self, scores: Scores) -> bool:
        return at_least(scores, "silhouette", self.minimum)


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
