"""Object keypoint similarity of COCO-17 keypoints, in its three uses. 1 = exact; a wrong pose scores about .2.

similarity of a joint = exp(-d^2 / (2 A kappa^2)) with kappa = 2 sigma (COCO), d in pixels. `area` A is that of the label's
silhouette in pixels: the body without clothes, so a little smaller, hence stricter, than a segmented person.
Three means over joints, differing in which joints count and in the area:
    oks              label joints in sight (v = 2): what filters, pairs and the miner use
    oks_coco         label joints in the image (v > 0): the computation of pycocotools
    oks_posedreamer  PoseDreamer's released code: joints found by the detector, area of the detected box
"""

import numpy as np
from jaxtyping import Bool, Float

from posedreamer.geometry.skeletons import COCO_SIGMAS

KAPPA_SQUARED = (2 * COCO_SIGMAS) ** 2
# What pycocotools adds to an area before it divides by it.
TINY = np.spacing(1.0)
MIN_CONFIDENCE = 0.3  # of a detected joint, in PoseDreamer's code


def oks_per_joint(
    detected: Float[np.ndarray, "*batch 17 2"],
    expected: Float[np.ndarray, "*batch 17 2"],
    area: float | int | np.ndarray,
) -> Float[np.ndarray, "*batch 17"]:
    """Similarity of each joint, whether in sight or not. area: square pixels, a number or one for each of the batch."""
    areas = np.asarray(area, dtype=np.float64)
    if not np.all(areas >= 0):
        raise ValueError(f"oks: area must be a number of square pixels >= 0, got {areas.min()}")
    squared_distance = ((np.asarray(detected, np.float64) - np.asarray(expected, np.float64)) ** 2).sum(-1)
    return np.exp(-squared_distance / (2 * KAPPA_SQUARED * (areas[..., None] + TINY)))


def oks(
    detected: Float[np.ndarray, "*batch 17 2"],
    coco_keypoints: Float[np.ndarray, "*batch 17 3"],
    area: float | int | np.ndarray,
) -> np.ndarray | float:
    """Mean similarity over the label's joints in sight (v = 2); nan when there is none."""
    similarity = oks_per_joint(detected, coco_keypoints[..., :2], area)
    return _mean_where(similarity, coco_keypoints[..., 2] == 2)


def oks_coco(
    detected: Float[np.ndarray, "*batch 17 2"],
    coco_keypoints: Float[np.ndarray, "*batch 17 3"],
    area: float | int | np.ndarray,
) -> np.ndarray | float:
    """Mean similarity over the label's joints in the image (v > 0), as COCOeval computes it; nan when there is none."""
    similarity = oks_per_joint(detected, coco_keypoints[..., :2], area)
    return _mean_where(similarity, coco_keypoints[..., 2] > 0)


def oks_posedreamer(
    detected: Float[np.ndarray, "17 2"], confidence: Float[np.ndarray, "17"], label: Float[np.ndarray, "17 2"]
) -> float:
    """The variant of PoseDreamer's released filter: detection as truth, label as prediction; nan when no joint counts.

    A joint counts when its confidence is over .3 and the label's x and y are positive. The area is that of the box round
    the counting detected joints: their detector also gives a box, ours does not, so this area is smaller and the score
    stricter than theirs. (Their -1 for "no joint" is nan here.)
    """
    counts = (confidence > MIN_CONFIDENCE) & (label > 0).all(-1)
    if not counts.any():
        return float("nan")
    found = detected[counts].astype(np.float64)
    width, height = found.max(0) - found.min(0)
    return float(_mean_where(oks_per_joint(detected, label, float(width * height)), counts))


def _mean_where(values: Float[np.ndarray, "*batch 17"], counts: Bool[np.ndarray, "*batch 17"]) -> np.ndarray | float:
    number = counts.sum(-1)
    total = np.where(counts, values, 0.0).sum(-1)
    mean = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return float(mean) if mean.ndim == 0 else mean
