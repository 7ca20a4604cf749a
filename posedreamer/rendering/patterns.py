"""Printed cloth: stripes, checks and dots, laid on the garment in the T-pose, so that they follow the body."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32

# Beyond this |x| (metres, T-pose) cloth is sleeve, and a pattern runs along the arm instead of down the trunk.
SLEEVE_FROM = 0.19
# Metres round the trunk for each radian of azimuth.
TRUNK_RADIUS = 0.14


class Pattern(NamedTuple):
    """name: one of attributes.PATTERNS. color: linear RGB of the print; period: metres; share: how much of a period it takes."""

    name: str
    color: Float[np.ndarray, "3"]
    period: float
    share: float

    def applied(
        self,
        albedo: Float[np.ndarray, "points 3"],
        cloth: Float[np.ndarray, "points 3"],
        is_printed: Bool[np.ndarray, " points"],
    ) -> Float32[np.ndarray, "points 3"]:
        """The albedo with the print on it. cloth: where a point lies on the T-posed garment, metres."""
        if self.name == "plain":
            return albedo.astype(np.float32)
        amount = (self._amount(cloth) * is_printed)[:, None].astype(np.float32)
        return (albedo + amount * (self.color.astype(np.float32) - albedo)).astype(np.float32)

    def _amount(self, cloth: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, " points"]:
        x, y, z = cloth.T
        is_sleeve = np.abs(x) > SLEEVE_FROM
        # From the middle of the nearest line, in periods: along the limb, and round it.
        along = self._from_middle(np.where(is_sleeve, x, y))
        if self.name == "striped":
            return self._inside(along)
        across = self._from_middle(np.where(is_sleeve, y, TRUNK_RADIUS * np.arctan2(x, z)))
        if self.name == "checked":
            return 0.5 * (self._inside(along) + self._inside(across))
        return self._inside(np.hypot(along, across))

    def _from_middle(self, place: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        return np.abs(np.mod(place / self.period, 1.0) - 0.5)

    def _inside(self, from_middle: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """1 on lines or dots `share` of a period wide, 0 between them; their edge is a tenth of a period."""
        return np.clip((0.5 * self.share - from_middle) / 0.1 + 0.5, 0.0, 1.0)


def draw_pattern(name: str, base: Float[np.ndarray, "3"], rng: np.random.Generator) -> Pattern:
    """A print on cloth of a linear RGB colour, which keeps the larger part: in white (on white, dark) or its own shade."""
    own_shade = base * 0.35 if base.max() > 0.25 else base + 0.25
    plain = np.full(3, 0.85) if base.min() < 0.5 else np.full(3, 0.03)
    color = own_shade if rng.random() < 0.5 else plain
    share = 0.6 if name == "dotted" else 0.38
    return Pattern(name, color, rng.uniform(0.045, 0.09), share)
