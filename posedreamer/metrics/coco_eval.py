"""Average precision and recall of keypoints, as pycocotools' COCOeval computes them (iouType `keypoints`), all its rules included.

Its rules that surprise: a person without a labelled keypoint is ignored, and so is one whose area is out of range; who is ignored
costs nothing, but takes a detection that fits nobody else. To such a person the distance of a keypoint is how far it lies
outside a box three times the person's. A detection's own area is that of the box around its keypoints, and decides alone whether a
detection that fits nobody counts. At most 20 detections of an image are looked at. Scores that tie keep their order.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from posedreamer.metrics.oks import KAPPA_SQUARED, TINY, oks_per_joint

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MOST_DETECTIONS = 20
AREAS = {
    "all": (0.0, 1e10),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}  # square pixels, both ends included


class LabelledPerson(NamedTuple):
    """coco_keypoints: x, y in pixels; v above 0 is labelled. bbox: x, y, w, h. area: of the silhouette, square pixels."""

    coco_keypoints: Float[np.ndarray, "17 3"]
    bbox: Float[np.ndarray, "4"]
    area: float

    @property
    def is_ignored(self) -> bool:
        """Without a labelled keypoint."""
        return not (self.coco_keypoints[:, 2] > 0).any()


class DetectedPerson(NamedTuple):
    """keypoints in pixels; score: how sure the detector is of the person."""

    keypoints: Float[np.ndarray, "17 2"]
    score: float

    @property
    def area(self) -> float:
        """Of the box around the keypoints."""
        return float(np.prod(np.ptp(self.keypoints, axis=0)))


class AveragePrecision(NamedTuple):
    """COCO's ten figures of keypoints; -1 where there is nobody to find. 50, 75: at that threshold alone."""

    AP: float
    AP50: float
    AP75: float
    AP_medium: float
    AP_large: float
    AR: float
    AR50: float
    AR75: float
    AR_medium: float
    AR_large: float


class _Matched(NamedTuple):
    """Of one image and area range, detections by falling score: their scores, whether each fits somebody, and whether it is ignored,
    at each threshold; and how many people count.
    """

    scores: Float[np.ndarray, " detections"]
    fits: Bool[np.ndarray, "thresholds detections"]
    ignored: Bool[np.ndarray, "thresholds detections"]
    people: int


def average_precision(images: Sequence[tuple[Sequence[LabelledPerson], Sequence[DetectedPerson]]]) -> AveragePrecision:
    """The figures over all images, each with who is labelled in it and who was detected."""
    prepared = []
    for people, found in images:
        order = np.argsort([-one.score for one in found], kind="mergesort")[:MOST_DETECTIONS]
        ranked = [found[place] for place in order]
        prepared.append((people, ranked, similarities(ranked, people)))
    precision, recall = {}, {}
    for name, area in AREAS.items():
        matched = [_match(people, ranked, similar, area) for people, ranked, similar in prepared if people or ranked]
        precision[name], recall[name] = _curves(matched)
    return AveragePrecision(
        AP=_mean(precision["all"]),
        AP50=_mean(precision["all"][0]),
        AP75=_mean(precision["all"][5]),
        AP_medium=_mean(precision["medium"]),
        AP_large=_mean(precision["large"]),
        AR=_mean(recall["all"]),
        AR50=_mean(recall["all"][:1]),
        AR75=_mean(recall["all"][5:6]),
        AR_medium=_mean(recall["medium"]),
        AR_large=_mean(recall["large"]),
    )


def similarities(
    found: Sequence[DetectedPerson], people: Sequence[LabelledPerson]
) -> Float[np.ndarray, "detections people"]:
    """COCO's OKS of each detection to each person."""
    similar = np.zeros((len(found), len(people)))
    for column, person in enumerate(people):
        labelled = person.coco_keypoints[:, 2] > 0
        for row, one in enumerate(found):
            if labelled.any():
                joints = oks_per_joint(one.keypoints, person.coco_keypoints[:, :2], person.area)[labelled]
            else:
                joints = np.exp(-_outside(one.keypoints, person.bbox) / (2 * KAPPA_SQUARED * (person.area + TINY)))
            similar[row, column] = joints.mean()
    return similar


def _outside(keypoints: Float[np.ndarray, "17 2"], bbox: Float[np.ndarray, "4"]) -> Float[np.ndarray, "17"]:
    """Squared distance to the box, which is grown by its own size to each side."""
    low, high = bbox[:2] - bbox[2:], bbox[:2] + 2 * bbox[2:]
    beyond = np.maximum(0.0, low - keypoints) + np.maximum(0.0, keypoints - high)
    return (beyond**2).sum(axis=1)


def _match(
    people: Sequence[LabelledPerson],
    found: Sequence[DetectedPerson],
    similar: Float[np.ndarray, "detections people"],
    area: tuple[float, float],
) -> _Matched:
    """Who fits whom: each detection takes the most similar free person; one that counts goes before one that is ignored."""
    is_off = np.array([person.is_ignored or not area[0] <= person.area <= area[1] for person in people], dtype=bool)
    order = np.argsort(is_off, kind="mergesort")
    fits, ignored = np.zeros((2, len(THRESHOLDS), len(found)), dtype=bool)
    for row, threshold in enumerate(THRESHOLDS):
        taken: set[int] = set()
        for place in range(len(found)):
            best, least = -1, min(threshold, 1 - 1e-10)
            for person in order:
                if person in taken:
                    continue
                if best > -1 and not is_off[best] and is_off[person]:
                    break
                if similar[place, person] >= least:
                    best, least = int(person), similar[place, person]
            if best > -1:
                taken.add(best)
                fits[row, place], ignored[row, place] = True, is_off[best]
    is_odd = np.array([not area[0] <= one.area <= area[1] for one in found], dtype=bool)
    return _Matched(np.array([one.score for one in found]), fits, ignored | (~fits & is_odd), int((~is_off).sum()))


def _curves(
    matched: Sequence[_Matched],
) -> tuple[Float[np.ndarray, "thresholds recalls"], Float[np.ndarray, " thresholds"]]:
    """Precision at each of RECALLS, and the recall reached, at each threshold; -1 without people."""
    people = sum(one.people for one in matched)
    if not people:
        return np.full((len(THRESHOLDS), len(RECALLS)), -1.0), np.full(len(THRESHOLDS), -1.0)
    order = np.argsort(-np.concatenate([one.scores for one in matched]), kind="mergesort")
    fits, ignored = (
        np.concatenate([getattr(one, name) for one in matched], axis=1)[:, order] for name in ("fits", "ignored")
    )
    right, wrong = ((kind & ~ignored).cumsum(axis=1, dtype=np.float64) for kind in (fits, ~fits))
    precision, reached = np.zeros((len(THRESHOLDS), len(RECALLS))), np.zeros(len(THRESHOLDS))
    for row in range(len(THRESHOLDS)):
        recall = right[row] / people
        exact = right[row] / (right[row] + wrong[row] + TINY)
        exact = np.maximum.accumulate(exact[::-1])[::-1]  # the best precision at this recall or a higher one
        places = np.searchsorted(recall, RECALLS, side="left")
        precision[row, places < len(exact)] = exact[places[places < len(exact)]]
        reached[row] = recall[-1] if len(recall) else 0.0
    return precision, reached


def _mean(values: Float[np.ndarray, "..."]) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else -1.0
