"""Checks of the person in the picture against the label."""

from typing import ClassVar

import numpy as np

from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.geometry.skeletons import COCO_KEYPOINTS
from posedreamer.sample import Sample
from posedreamer.stages.filtering.checks import Check, Scores, at_least, at_most, parts_of
from posedreamer.stages.filtering.fill import paint_over, widen
from posedreamer.stages.filtering.silhouette import silhouette_agreement


class MinedCheck(Check):
    """A check of scores that the mining stage measured, so it measures none itself. limits: score -> (`min` or `max`, value)."""

    passes_unmeasured: ClassVar[bool] = False  # a score that is None

    def __init__(self, **limits: tuple[str, float]) -> None:
        self.limits = limits

    def score(self, sample: Sample) -> dict[str, float | None]:
        for name in self.limits:
            _measured(sample, name)
        return {}

    def passes(self, scores: Scores) -> bool:
        return all(
            (self.passes_unmeasured and scores[name] is None)
            or (at_least(scores, name, limit) if side == "min" else at_most(scores, name, limit))
            for name, (side, limit) in self.limits.items()
        )


class PersonCheck(MinedCheck):
    """Somebody is in the picture: `judge_confidence`."""

    name, reason = "person", "no_person"

    def __init__(self, min_confidence: float) -> None:
        super().__init__(judge_confidence=("min", min_confidence))


class OksCheck(MinedCheck):
    """The picture shows the label's pose: `oks`."""

    name, reason = "oks", "oks_low"

    def __init__(self, minimum: float) -> None:
        if not 0.5 <= minimum <= 1.0:
            raise ValueError(f"oks check: minimum must lie in [0.5, 1], where wrong poses do not pass; got {minimum}")
        super().__init__(oks=("min", minimum))


class HeadCheck(MinedCheck):
    """The head looks where the label's does: `head_degrees`.

    A head that cannot be measured (it faces away, or is too small to be seen) passes. PoseDreamer's third filter, by keypoints instead
    of an estimator of whole heads (estimators/head_pose.py).
    """

    name, reason, passes_unmeasured = "head", "head_turned", True

    def __init__(self, maximum: float) -> None:
        super().__init__(head_degrees=("max", maximum))


class VisibilityCheck(MinedCheck):
    """What the label shows of face and arms is there: `face_confidence` and `hands_confidence`.

    A part that the label hides passes. The judge knows wrists, and no fingers.
    """

    name, reason, passes_unmeasured = "visibility", "part_unseen", True

    def __init__(self, min_face: float, min_hands: float) -> None:
        super().__init__(face_confidence=("min", min_face), hands_confidence=("min", min_hands))


class SecondJudgeCheck(MinedCheck):
    """Another judge sees the label's pose too: `second_oks`."""

    name, reason = "second_judge", "second_oks_low"

    def __init__(self, minimum: float) -> None:
        super().__init__(second_oks=("min", minimum))


class ClothesCheck(MinedCheck):
    """Shirt and trousers have the colours that the prompt asks for: the probability that the observer gives to either.

    One that the prompt does not say, or says in words that the observer does not know, passes.
    """

    name, reason, passes_unmeasured = "clothes", "wrong_clothes", True

    def __init__(self, min_top: float, min_bottom: float) -> None:
        super().__init__(shown_top_color=("min", min_top), shown_bottom_color=("min", min_bottom))


class TruncationCheck(Check):
    """Enough of the body is in the image. joints_inside: share of the label's 17 COCO joints."""

    name, reason = "truncation", "truncated"

    def __init__(self, min_share: float) -> None:
        self.min_share = min_share

    def score(self, sample: Sample) -> dict[str, float | None]:
        label, _, _ = parts_of(sample)
        return {"joints_inside": float((label.coco_keypoints[:, 2] > 0).mean())}

    def passes(self, scores: Scores) -> bool:
        return at_least(scores, "joints_inside", self.min_share)


class SecondPersonCheck(Check):
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


class SilhouetteCheck(Check):
    """The picture's foreground has the label's shape (`silhouette.py`).

    silhouette: measured on the same 24 renders: .91 on average with the right label, .34 with another's.
    """

    name, reason = "silhouette", "silhouette_low"

    def __init__(self, minimum: float) -> None:
        self.minimum = minimum

    def score(self, sample: Sample) -> dict[str, float | None]:
        _, condition, image = parts_of(sample)
        return {"silhouette": silhouette_agreement(image.rgb, condition.mask)}

    def passes(self, scores: Scores) -> bool:
        return at_least(scores, "silhouette", self.minimum)


class JointCheck(Check):
    """No joint is altogether elsewhere: a mean over joints forgives one limb.

    worst_joint: the least similarity of a label's joint in sight (v = 2), of those that the mining stage measured.
    """

    name, reason = "joint", "joint_off"

    def __init__(self, minimum: float) -> None:
        self.minimum = minimum

    def score(self, sample: Sample) -> dict[str, float | None]:
        label, _, _ = parts_of(sample)
        in_sight = [name for name, level in zip(COCO_KEYPOINTS, label.coco_keypoints[:, 2], strict=True) if level == 2]
        found = [_measured(sample, f"oks_joint_{name}") for name in in_sight]
        known = [value for value in found if value is not None]
        return {"worst_joint": min(known) if known else None}

    def passes(self, scores: Scores) -> bool:
        return at_least(scores, "worst_joint", self.minimum)


def _measured(sample: Sample, name: str) -> float | None:
    """A score of the mining stage; without it a ValueError."""
    if name not in sample.scores:
        raise ValueError(f"sample {sample.key}: no score `{name}`; the mining stage comes before this check")
    return sample.scores[name]
