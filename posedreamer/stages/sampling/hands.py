"""Hand shapes by name, from `assets/hand_shapes.yaml`, as full rotation vectors counted from a flat hand.

A body wants hand poses relative to its mean hand: subtract `hand_mean` (rotation vectors, as the model adds them).
"""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from jaxtyping import Float

from posedreamer.geometry.rotations import mirror_rotvec
from posedreamer.geometry.skeletons import FINGERS

HAND_SHAPES = Path(__file__).parents[2] / "assets" / "hand_shapes.yaml"
# Part of the spread that each finger takes, away from the middle finger and towards the thumb when positive.
SPREAD = {"index": 1.0, "middle": 0.0, "ring": -0.6, "pinky": -1.2}


class Hands(NamedTuple):
    """Rotation vectors of both hands, radians, counted from flat hands."""

    left: Float[np.ndarray, "15 3"]
    right: Float[np.ndarray, "15 3"]


@functools.cache
def load_hand_shapes(path: Path = HAND_SHAPES) -> dict[str, np.ndarray]:
    """Left hands by name, (15, 3) in the order of the body's hand joints."""
    return {name: _left_hand(name, shape) for name, shape in yaml.safe_load(path.read_text()).items()}


def make_hands(left: str, right: str) -> Hands:
    """Both hands from the names of their shapes; an unknown name is a ValueError."""
    shapes = load_hand_shapes()
    for name in (left, right):
        if name not in shapes:
            raise ValueError(f"hand shape {name!r} is unknown, expected one of {', '.join(sorted(shapes))}")
    return Hands(shapes[left], mirror_rotvec(shapes[right]))


def _left_hand(name: str, shape: dict) -> np.ndarray:
    if set(shape) != {*FINGERS, "spread"}:
        raise ValueError(f"hand shape {name}: got {sorted(shape)}, expected {sorted({*FINGERS, 'spread'})}")
    hand = np.zeros((5, 3, 3))
    for index, finger in enumerate(FINGERS):
        if finger == "thumb":
            hand[index] = shape[finger]
        else:
            # Fingers lie along +x with the palm down: they curl about -z and move towards the thumb about -y.
            hand[index, :, 2] = -np.array(shape[finger], dtype=np.float64)
            hand[index, 0, 1] = -SPREAD[finger] * shape["spread"]
    return np.radians(hand.reshape(15, 3))
