"""Body shapes and faces: truncated normal coefficients."""

import numpy as np
from jaxtyping import Float

from posedreamer.stages.sampling.splits import Split, is_in_split, load_splits

MAX_BETA = 3.0
SHAPE_TRIES = 1000


def draw_betas(
    rng: np.random.Generator, sigma: float = 1.0, clip: float = 2.5, split: Split = "all"
) -> Float[np.ndarray, "10"]:
    """Shape coefficients, normal with standard deviation `sigma`, drawn again beyond `clip` (at most 3).

    split: "held_out" shapes are those that `splits.yaml` keeps for evaluation.
    """
    if not 0.0 <= sigma <= MAX_BETA or not 0.0 < clip <= MAX_BETA:
        raise ValueError(f"draw_betas: got sigma {sigma} and clip {clip}, expected sigma in 0..3 and clip in (0, 3]")
    for _ in range(SHAPE_TRIES):
        betas = _truncated_normal(rng, 10, sigma, clip)
        if is_in_split(load_splits().is_held_out_shape(betas), split):
            return betas
    raise ValueError(f"draw_betas: no shape of the split {split!r} in {SHAPE_TRIES} tries with sigma {sigma}")


def draw_expression(rng: np.random.Generator, sigma: float = 0.5, clip: float = 1.2) -> Float[np.ndarray, "10"]:
    """Mild expression coefficients, normal with standard deviation `sigma`, drawn again beyond `clip`."""
    return _truncated_normal(rng, 10, sigma, clip)


def _truncated_normal(rng: np.random.Generator, count: int, sigma: float, clip: float) -> np.ndarray:
    values = rng.normal(0.0, 1.0, count) * sigma
    while (outside := np.abs(values) > clip).any():
        values[outside] = rng.normal(0.0, 1.0, int(outside.sum())) * sigma
    return values
