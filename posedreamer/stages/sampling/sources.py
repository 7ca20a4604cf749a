"""Where poses come from: the named library, motion files, a curriculum, and a weighted mixture of these.

A source has one method, `draw(rng) -> PoseDraw`. What it draws depends on the generator alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from posedreamer.geometry.rotations import mirror_rotvec
from posedreamer.geometry.skeletons import BODY_JOINTS, mirror_permutation

MIRROR_BODY = mirror_permutation(BODY_JOINTS[1:])


@dataclass(frozen=True, eq=False)
class PoseDraw:
    """A pose without shape, place or camera. Rotation vectors in radians.

    global_orient: world frame (y up; a body at zero faces +z). Hands: relative to the body's mean hand.
    tags: family, names of poses, and what else is known of the pose.
    """

    body_pose: Float[np.ndarray, "21 3"]
    left_hand_pose: Float[np.ndarray, "15 3"]
    right_hand_pose: Float[np.ndarray, "15 3"]
    jaw_pose: Float[np.ndarray, "3"]
    leye_pose: Float[np.ndarray, "3"]
    reye_pose: Float[np.ndarray, "3"]
    expression: Float[np.ndarray, "10"]
    global_orient: Float[np.ndarray, "3"]
    source: str
    tags: tuple[str, ...]


@runtime_checkable
class PoseSource(Protocol):
    """Anything that draws poses. A ValueError of `draw` fails the one sample it was meant for."""

    def draw(self, rng: np.random.Generator) -> PoseDraw: ...


class MixedSource:
    """Sources drawn from by weight."""

    def __init__(self, sources: Sequence[PoseSource], weights: Sequence[float]) -> None:
        if len(sources) != len(weights) or not sources or min(weights) < 0 or sum(weights) <= 0:
            raise ValueError(f"mixed source: got {len(sources)} sources and weights {list(weights)}")
        self.sources = tuple(sources)
        self.shares = np.array(weights, dtype=np.float64) / sum(weights)

    def draw(self, rng: np.random.Generator) -> PoseDraw:
        """A pose of one of the sources."""
        return self.sources[int(rng.choice(len(self.sources), p=self.shares))].draw(rng)


def mirror_draw(draw: PoseDraw) -> PoseDraw:
    """The pose in a mirror that flips x: left and right change places. Twice gives the pose itself."""
    return PoseDraw(
        body_pose=mirror_rotvec(draw.body_pose[MIRROR_BODY]),
        left_hand_pose=mirror_rotvec(draw.right_hand_pose),
        right_hand_pose=mirror_rotvec(draw.left_hand_pose),
        jaw_pose=mirror_rotvec(draw.jaw_pose),
        leye_pose=mirror_rotvec(draw.reye_pose),
        reye_pose=mirror_rotvec(draw.leye_pose),
        expression=draw.expression,
        global_orient=mirror_rotvec(draw.global_orient),
        source=draw.source,
        tags=tuple(tag for tag in draw.tags if tag != "mirrored")
        if "mirrored" in draw.tags
        else (*draw.tags, "mirrored"),
    )
