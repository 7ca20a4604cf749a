"""Does the picture's foreground have the label's shape? An answer from colours alone, with no weights.

GrabCut (Rother et al. 2004): two colour mixtures and smooth cuts. It is told where a person may be (a box round the
label's silhouette) and started from the silhouette, but free to cut anywhere in that box. Where the silhouette lies on a
person, the cut stays on it; where it lies on background, the colours inside and outside are alike and the cut wanders off.

What it cannot see: a person in the colours of the background looks like nobody, and a pose that differs inside one outline
looks right. It is a second opinion beside OKS, which fails otherwise: on hands, on people seen from behind, upside down.
"""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from posedreamer.stages.filtering.fill import widen

WORK_SIZE = 112  # longer side of the picture that is cut, pixels
ROUNDS = 2
BOX_MARGIN = 0.15  # how far outside the silhouette's box a person may reach, as a share of its longer side
# Clothes and hair stand off the bare body, which is what a label's silhouette shows: a band along the outline, as a share
# of the box's longer side, counts neither way.
BAND = 0.03


def silhouette_agreement(rgb: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> float | None:
    """Intersection over union of the cut foreground and the label's silhouette, off its outline; None for an empty mask.

    0 also when the silhouette fills the picture so far that no background is left to compare with.
    """
    if not mask.any():
        return None
    scale = min(1.0, WORK_SIZE / max(mask.shape))
    size = (max(8, round(mask.shape[1] * scale)), max(8, round(mask.shape[0] * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) >= 128
    if not inside.any():
        return None
    foreground = cut_foreground(small, inside)
    band = round(BAND * _box_side(inside))
    core, reach = widen(inside, -band), widen(inside, band)
    counted = core | ~reach
    union = (counted & (foreground | core)).sum()
    return float((foreground & core).sum() / union) if union else 0.0


def cut_foreground(rgb: UInt8[np.ndarray, "h w 3"], start: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """GrabCut's foreground, started from a silhouette; the same picture gives the same cut (OpenCV's seed is fixed)."""
    rows, columns = np.flatnonzero(start.any(1)), np.flatnonzero(start.any(0))
    margin = max(2, round(BOX_MARGIN * _box_side(start)))
    labels = np.full(start.shape, cv2.GC_BGD, np.uint8)
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    labels[top : rows[-1] + 1 + margin, left : columns[-1] + 1 + margin] = cv2.GC_PR_BGD
    labels[start] = cv2.GC_PR_FGD
    if start.all():
        return np.zeros_like(start)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(rgb[..., ::-1]), labels, (0, 0, 0, 0), *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _box_side(mask: Bool[np.ndarray, "h w"]) -> int:
    return int(max(np.ptp(np.flatnonzero(mask.any(0))), np.ptp(np.flatnonzero(mask.any(1)))) + 1)
