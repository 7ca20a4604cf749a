"""Figures for pages outside the report: PNG files, drawn by matplotlib."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float


def save_histograms(path: Path, series: Mapping[str, Float[np.ndarray, " _count"]], unit: str, bins: int = 25) -> None:
    """Writes outlines of the shares of rows by score in [0, 1], one a series, with its mean in the legend; nan is left out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, scores in series.items():
        known = scores[~np.isnan(scores)]
        if not len(known):
            raise ValueError(f"histogram {path.name}: no score of {name!r}")
        weights = np.full(len(known), 1.0 / len(known))
        label = f"{name}, mean {known.mean():.3f}"
        axes.hist(known, bins=np.linspace(0.0, 1.0, bins + 1).tolist(), weights=weights, histtype="step", label=label)
    axes.set_xlabel(unit)
    axes.set_ylabel("share of labels")
    axes.legend(loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
