"""Squares of pictures to train on: anywhere, on the body, or around its head, where little area holds most of what matters."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

HEAD_SHIFT = 0.25  # of a square's side: so far from its middle a head may be
LOOKED_AT = 2  # every so many pixels of a map: enough to find a head or a body, and four times as quick
HEAD_FROM = 0.86  # green of the xyz map, which runs from the soles to the crown of the canonical body: from the chin up


class Crops(NamedTuple):
    """A square of each picture: its first row and column, and the side of all, in pixels."""

    top: Int64[np.ndarray, " batch"]
    left: Int64[np.ndarray, " batch"]
    side: int

    def of(self, part: slice) -> "Crops":
        """Those of a part of the batch."""
        return Crops(self.top[part], self.left[part], self.side)


def draw_crops(
    conditions: UInt8[np.ndarray, "count h w 3"],
    rows: np.ndarray,
    side: int,
    grid: int,
    head_share: float,
    body_share: float,
    rng: np.random.Generator,
) -> Crops:
    """A square of each row's picture, with corners on a grid of so many pixels.

    Around the head in a share of them, around a pixel of the body in another share, anywhere in the others (and where the
    map shows no head, or no body).
    """
    size = conditions.shape[1]
    places = grid * rng.integers((size - side) // grid, endpoint=True, size=(len(rows), 2))
    draws = rng.random(len(rows))
    for place in np.flatnonzero(draws < head_share + body_share):
        shown = conditions[rows[place], ::LOOKED_AT, ::LOOKED_AT]
        if draws[place] < head_share:
            found = LOOKED_AT * np.argwhere(shown[..., 1] >= 255 * HEAD_FROM)
            middle = found.mean(axis=0) if len(found) else None
        else:
            found = LOOKED_AT * np.argwhere(shown.any(axis=2))
            middle = found[int(rng.integers(len(found)))] if len(found) else None
        if middle is not None:
            corner = middle + rng.uniform(-HEAD_SHIFT, HEAD_SHIFT, 2) * side - side / 2
            places[place] = (grid * np.round(corner / grid)).clip(0, size - side)
    return Crops(places[:, 0], places[:, 1], side)


def cut(
    images: UInt8[np.ndarray, "count h w channels"], rows: np.ndarray, crops: Crops
) -> UInt8[np.ndarray, "batch side side channels"]:
    """The crops of the rows."""
    corners = zip(rows, crops.top, crops.left, strict=True)
    return np.stack([images[row, top : top + crops.side, left : left + crops.side] for row, top, left in corners])


def mirrored(
    images: UInt8[np.ndarray, "batch h w 3"], maps: UInt8[np.ndarray, "batch h w 3"]
) -> tuple[UInt8[np.ndarray, "batch h w 3"], UInt8[np.ndarray, "batch h w 3"]]:
    """Pictures and xyz maps of the mirrored people: their canonical body is its own mirror image, so red turns round."""
    turned = maps[:, :, ::-1].copy()
    on_body = turned.any(axis=3)
    turned[..., 0] = np.where(on_body, 255 - turned[..., 0], 0)
    return images[:, :, ::-1], turned
