"""The check that clothed parts are clothed: how much of trunk, hips and thighs looks like the person's own hands and face."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.spatial import KDTree

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.catalog import load_body
from posedreamer.geometry.skeletons import HAND_JOINTS, SMPLX_JOINTS
from posedreamer.rendering.conditions import xyz_colors
from posedreamer.sample import Sample
from posedreamer.stages.filtering.checks import Check, Scores, at_most, parts_of

CLOTHED = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "spine2",
    "spine3",
)  # down to the knees; every garment reaches over these
BARE = ("jaw", "left_wrist", "right_wrist", *HAND_JOINTS["left"], *HAND_JOINTS["right"])
LEAST_BARE = 12  # pixels, under which the person's own skin is not known
LIKE = 14.0  # CIELAB distance, lightness counted half: folds and shade change it most
LIGHTNESS = 0.5
MOST_PIXELS = 4000  # of the person, taken evenly: enough for a share to 2 %


class SkinCheck(Check):
    """Nobody is undressed.

    skin: share of the pixels of CLOTHED parts whose colour is within LIKE of the median colour of the person's face or of their
    hands; None where neither is to be seen (passes). A shirt of the skin's own colour, such as white on pale skin, cannot be told from
    it: that costs right pictures (3 of 103 of the embedded generator reach the limit), never lets a wrong one pass.
    """

    name, reason = "skin", "unclothed"

    def __init__(self, maximum: float, body: str) -> None:
        self.maximum, self.body_name = maximum, body
        self.parts: PartsOfXyz | None = None

    def setup(self) -> None:
        self.parts = PartsOfXyz(load_body(self.body_name))

    def score(self, sample: Sample) -> dict[str, float | None]:
        if self.parts is None:
            raise ValueError("SkinCheck: call setup() before score()")
        _, condition, image = parts_of(sample)
        rows, columns = np.nonzero(condition.mask)
        every = -(-len(rows) // MOST_PIXELS)
        rows, columns = rows[:: max(every, 1)], columns[:: max(every, 1)]
        parts = self.parts.find(condition.xyz[rows, columns])
        colors = cv2.cvtColor(image.rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[rows, columns]
        return {"skin": bare_share(colors * np.array([LIGHTNESS, 1.0, 1.0]), parts)}

    def passes(self, scores: Scores) -> bool:
        return scores["skin"] is None or at_most(scores, "skin", self.maximum)


class PartsOfXyz:
    """Which part of the body a colour of the xyz map lies on: that of the vertex of the nearest colour."""

    def __init__(self, body: BodyModel) -> None:
        self.tree = KDTree(255.0 * xyz_colors(body))
        self.part_of_vertex = body.weights.detach().cpu().numpy().argmax(axis=1)

    def find(self, colors: UInt8[np.ndarray, "pixels 3"]) -> Int[np.ndarray, " pixels"]:
        """The joint of SMPLX_JOINTS whose part each colour lies on."""
        return self.part_of_vertex[self.tree.query(colors.astype(np.float64))[1]]


def bare_share(colors: Float[np.ndarray, "pixels 3"], parts: Int[np.ndarray, " pixels"]) -> float | None:
    """Share of the CLOTHED parts' colours that are like the median of the face's or of the hands' colours; None if neither is known."""
    face, hands, clothed = (colors[on_parts(names, parts)] for names in (BARE[:1], BARE[1:], CLOTHED))
    skins = [np.median(shown, axis=0) for shown in (face, hands) if len(shown) >= LEAST_BARE]
    if not skins or not len(clothed):
        return None
    nearest = np.min([np.linalg.norm(clothed - skin, axis=1) for skin in skins], axis=0)
    return float((nearest <= LIKE).mean())


def on_parts(names: Sequence[str], parts: Int[np.ndarray, " pixels"]) -> Bool[np.ndarray, " pixels"]:
    """Which pixels lie on one of the named parts."""
    return np.isin(parts, [SMPLX_JOINTS.index(name) for name in names])
