"""Small, deterministic files: numbers rounded to what a body needs, archives without clocks."""

from pathlib import Path

import numpy as np

WEIGHT_STEPS = 1024
CORRECTIVE_STEP_M = 2e-4


def quantised_weights(weights: np.ndarray) -> np.ndarray:
    """Weights as multiples of 1 / WEIGHT_STEPS that still sum to exactly 1; the biggest takes the rounding."""
    steps = np.round(weights * WEIGHT_STEPS)
    rows = np.arange(len(steps))
    steps[rows, steps.argmax(axis=1)] += WEIGHT_STEPS - steps.sum(axis=1)
    return (steps / WEIGHT_STEPS).astype(np.float16)


def quantised_correctives(posedirs: np.ndarray) -> np.ndarray:
    """Correctives rounded to 0.2 mm for a full unit of the feature: what is smaller becomes zero and costs nothing."""
    return (np.round(posedirs / CORRECTIVE_STEP_M) * CORRECTIVE_STEP_M).astype(np.float16)


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """A compressed archive; numpy stamps its members 1980-01-01, so the same arrays give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
    partial.rename(path)
