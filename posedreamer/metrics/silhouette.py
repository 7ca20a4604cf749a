"""Agreement of silhouettes."""

import numpy as np
from jaxtyping import Bool


def silhouette_iou(found: Bool[np.ndarray, "h w"], expected: Bool[np.ndarray, "h w"]) -> float:
    """Pixels of both over pixels of either; nan when both are empty."""
    either = int((found | expected).sum())
    return float((found & expected).sum() / either) if either else float("nan")
