"""Nearest neighbours in feature space: whether pictures are copies of those that were trained on."""

import numpy as np
from jaxtyping import Float, Int


def nearest(
    features: Float[np.ndarray, "count features"], others: Float[np.ndarray, "others features"]
) -> tuple[Int[np.ndarray, " count"], Float[np.ndarray, " count"]]:
    """Row of the nearest other, and its cosine distance (0 to 2), for each row of features."""
    unit, other_unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (features, others))
    similarity = unit @ other_unit.T
    found = similarity.argmax(axis=1)
    return found, 1.0 - similarity[np.arange(len(found)), found]
