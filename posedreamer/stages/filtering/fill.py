"""Painting a region over with what surrounds it, so that what is left of a picture can be looked at by itself."""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8


def widen(mask: Bool[np.ndarray, "h w"], pixels: int) -> Bool[np.ndarray, "h w"]:
    """The mask grown by a disc of that radius; shrunk when it is negative. The picture's edge counts as more of the same."""
    if pixels == 0:
        return mask
    radius = abs(pixels)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    operation = cv2.dilate if pixels > 0 else cv2.erode
    return operation(mask.astype(np.uint8), disc).astype(bool)


def paint_over(rgb: UInt8[np.ndarray, "h w 3"], region: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with the region filled smoothly from its surroundings, without an outline and without texture.

    Push-pull: averages of known pixels at ever coarser sizes, each hole taking its colour from the finest size that knows
    one. A region without any surroundings becomes grey.
    """
    if not region.any():
        return rgb.copy()
    if region.all():
        return np.full_like(rgb, 128)
    known = (~region).astype(np.float32)
    filled = _pull(rgb.astype(np.float32) * known[..., None], known)
    result = rgb.copy()
    result[region] = np.clip(np.rint(filled[region]), 0, 255).astype(np.uint8)
    return result


def _pull(color: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Colours everywhere, from colours times weights and weights in [0, 1]."""
    own = color / np.maximum(weight, 1e-6)[..., None]
    height, width = weight.shape
    if (weight > 0.999).all() or max(height, width) == 1:
        return own
    half = ((width + 1) // 2, (height + 1) // 2)
    # INTER_AREA of zero-weighted colours and of weights: their quotient is the mean of the known pixels alone.
    coarse_weight = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    coarse_color = cv2.resize(color, half, interpolation=cv2.INTER_AREA)
    # A coarse pixel that knows anything knows enough.
    grown = np.minimum(coarse_weight * 4, 1.0)
    scale = np.where(coarse_weight > 0, grown / np.maximum(coarse_weight, 1e-6), 0.0)
    coarse = _pull((coarse_color * scale[..., None]).astype(np.float32), grown.astype(np.float32))
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return own * weight[..., None] + smooth * (1 - weight[..., None])
