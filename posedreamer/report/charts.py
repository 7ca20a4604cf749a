"""Small charts as inline SVG. Colours are CSS variables of the page, so a chart follows its light and dark theme."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

WIDTH, HEIGHT = 360, 120
LEFT, RIGHT, TOP, BOTTOM = 8, 8, 10, 18  # margins


class Histogram(NamedTuple):
    """Counts per bin, one row a series, and the bins' edges."""

    edges: Float[np.ndarray, " edges"]
    counts: Int[np.ndarray, "series bins"]


def histogram(series: Sequence[Sequence[float]], bins: int = 24) -> Histogram:
    """Common bins over all series. Scores between 0 and 1 get the bins of [0, 1], so that charts can be compared."""
    values = np.concatenate([np.asarray(one, np.float64) for one in series])
    if not len(values):
        raise ValueError("histogram: no values")
    low, high = float(values.min()), float(values.max())
    if 0.0 <= low and high <= 1.0:
        low, high = 0.0, 1.0
    elif low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    return Histogram(edges, np.stack([np.histogram(np.asarray(one, np.float64), edges)[0] for one in series]))


def histogram_svg(series: Mapping[str, Sequence[float]], threshold: float | None = None) -> str:
    """Stacked bars; a series is coloured by the CSS variable of its name. threshold: a dashed vertical line."""
    chart = histogram(list(series.values()))
    low, high = chart.edges[0], chart.edges[-1]
    top = chart.counts.sum(axis=0).max()
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    floor = TOP + plot_height

    def x_of(value: float) -> float:
        return LEFT + plot_width * (value - low) / (high - low)

    parts = []
    base = np.zeros(chart.counts.shape[1])
    for name, counts in zip(series, chart.counts, strict=True):
        for index in np.flatnonzero(counts):
            x, width = x_of(chart.edges[index]) + 0.5, plot_width / chart.counts.shape[1] - 1.0
            height = plot_height * counts[index] / top
            y = floor - plot_height * base[index] / top - height
            title = f"{name}: {counts[index]} in {chart.edges[index]:.3g} to {chart.edges[index + 1]:.3g}"
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="var(--{name})">'
                f"<title>{title}</title></rect>"
            )
        base += counts
    parts.append(f'<line class="axis" x1="{LEFT}" y1="{floor}" x2="{WIDTH - RIGHT}" y2="{floor}"/>')
    for value, anchor in ((low, "start"), ((low + high) / 2, "middle"), (high, "end")):
        parts.append(f'<text x="{x_of(value):.1f}" y="{HEIGHT - 5}" text-anchor="{anchor}">{value:.3g}</text>')
    if threshold is not None and low <= threshold <= high:
        x = x_of(threshold)
        anchor, side = ("end", -4) if x > WIDTH / 2 else ("start", 4)
        parts.append(f'<line class="threshold" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{floor}"/>')
        parts.append(f'<text x="{x + side:.1f}" y="{TOP + 4}" text-anchor="{anchor}">{threshold:.3g}</text>')
    return f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'


SCATTER = 360  # side, pixels
EASY, HARD = np.array([44.0, 122.0, 170.0]), np.array([214.0, 69.0, 46.0])


def scatter_svg(
    points: Float[np.ndarray, "points 2"],
    values: Float[np.ndarray, " points"],
    shown: Bool[np.ndarray, " points"],
    unit: str,
) -> str:
    """Points of a plane coloured by their values, from blue to red; the frame and the colours are those of all points.

    shown: the ones that are drawn in colour, those without a value hollow; the others are specks. Colours end at the 5th and the 95th percentile.
    """
    low, high = np.nanquantile(values, [0.05, 0.95])
    least, extent = points.min(axis=0), np.maximum(np.ptp(points, axis=0), 1e-9)
    places = LEFT + (SCATTER - 2 * LEFT) * (points - least) / extent
    parts = [f'<circle cx="{x:.1f}" cy="{SCATTER - y:.1f}" r="0.7" fill="var(--hair)"/>' for x, y in places[~shown]]
    for (x, y), value in zip(places[shown], values[shown], strict=True):
        where = f'cx="{x:.1f}" cy="{SCATTER - y:.1f}"'
        if np.isnan(value):
            parts.append(f'<circle {where} r="1.6" fill="none" stroke="var(--soft)" stroke-width="0.5"/>')
        else:
            share = float(np.clip((value - low) / max(high - low, 1e-9), 0.0, 1.0))
            color = ", ".join(f"{channel:.0f}" for channel in (1 - share) * EASY + share * HARD)
            parts.append(f'<circle {where} r="2.4" fill="rgb({color})"><title>{value:.3g} {unit}</title></circle>')
    legend = f"blue {low:.3g} {unit}, red {high:.3g} {unit}"
    parts.append(f'<text x="{LEFT}" y="{SCATTER - 2}">{legend}</text>')
    return f'<svg class="scatter" viewBox="0 0 {SCATTER} {SCATTER}" role="img">{"".join(parts)}</svg>'
