"""The relaxed hand: designed, not learned. Fingers curl a little, the thumb comes in."""

import numpy as np

from posedreamer.geometry.skeletons import FINGERS

CURL, THUMB_IN = 0.18, 0.09


def hand_mean(side: str) -> np.ndarray:
    """Rotation vectors of the 15 hand joints at rest, flattened (45,), radians."""
    sign = 1.0 if side == "left" else -1.0
    mean = np.zeros((len(FINGERS), 3, 3))
    mean[:, :, 2] = -sign * CURL
    mean[FINGERS.index("thumb")] = [0.0, -sign * THUMB_IN, 0.0]
    return mean.reshape(-1)
