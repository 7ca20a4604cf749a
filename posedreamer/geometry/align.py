"""Similarity alignment of point sets (Procrustes; Umeyama 1991)."""

import numpy as np
from jaxtyping import Float


def procrustes(
    source: Float[np.ndarray, "*batch points 3"], target: Float[np.ndarray, "*batch points 3"]
) -> Float[np.ndarray, "*batch points 3"]:
    """`source` moved onto `target` by the least-squares similarity (scale, rotation without reflection, translation)."""
    source_mean, target_mean = source.mean(-2, keepdims=True), target.mean(-2, keepdims=True)
    source_centred, target_centred = source - source_mean, target - target_mean
    covariance = np.swapaxes(target_centred, -1, -2) @ source_centred
    left, singular, right = np.linalg.svd(covariance)
    sign = np.sign(np.linalg.det(left @ right))
    reflection = np.ones(singular.shape)
    reflection[..., -1] = sign
    rotation = (left * reflection[..., None, :]) @ right
    variance = (source_centred**2).sum((-1, -2))
    scale = (singular * reflection).sum(-1) / np.maximum(variance, 1e-12)
    return scale[..., None, None] * (source_centred @ np.swapaxes(rotation, -1, -2)) + target_mean
