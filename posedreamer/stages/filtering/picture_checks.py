"""Checks of the picture as a picture, whoever is in it: exposure, colour, sharpness."""

import cv2
import numpy as np
from jaxtyping import UInt8
from skimage.measure import blur_effect

from posedreamer.sample import Sample
from posedreamer.stages.filtering.checks import Check, Scores, at_least, at_most, parts_of


class ExposureCheck(Check):
    """Something is to be seen: grey values spread out, few pixels clipped at black or white.

    contrast: standard deviation of grey, 0 to 255. clipped: share of pixels whose grey is at most 2 or at least 253.
    entropy: of the grey values in 64 bins, bits (0 for one flat colour, 6 at most); measured, without a limit.
    """

    name, reason = "exposure", "bad_exposure"

    def __init__(self, min_contrast: float, max_clipped: float) -> None:
        self.min_contrast, self.max_clipped = min_contrast, max_clipped

    def score(self, sample: Sample) -> dict[str, float | None]:
        _, _, image = parts_of(sample)
        grey = cv2.cvtColor(image.rgb, cv2.COLOR_RGB2GRAY)
        share = np.histogram(grey, bins=64, range=(0, 256))[0] / grey.size
        entropy = -float((share[share > 0] * np.log2(share[share > 0])).sum())
        clipped = float(((grey <= 2) | (grey >= 253)).mean())
        return {"contrast": float(grey.std()), "clipped": clipped, "entropy": entropy + 0.0}

    def passes(self, scores: Scores) -> bool:
        return at_least(scores, "contrast", self.min_contrast) and at_most(scores, "clipped", self.max_clipped)


class ColourCheck(Check):
    """Colours neither washed out nor all of one tint.

    colourfulness: Hasler and Suesstrunk 2003, 0 for grey; their photographs are "slightly colourful" at 15, "extremely" at 109.
    tonal_range: 99th less 1st percentile of grey, 0 to 255. cast: how far the mean colour lies from grey, over how far colours lie
    from it (both in CIELAB; Gasparini and Schettini 2004): high where a tint lies over everything.
    """

    name, reason = "colour", "washed_out"

    def __init__(self, min_colourfulness: float, min_range: float, max_cast: float) -> None:
        self.min_colourfulness, self.min_range, self.max_cast = min_colourfulness, min_range, max_cast

    def score(self, sample: Sample) -> dict[str, float | None]:
        _, _, image = parts_of(sample)
        low, high = np.percentile(cv2.cvtColor(image.rgb, cv2.COLOR_RGB2GRAY), [1, 99])
        return {
            "colourfulness": colourfulness(image.rgb),
            "tonal_range": float(high - low),
            "cast": colour_cast(image.rgb),
        }

    def passes(self, scores: Scores) -> bool:
        return (
            at_least(scores, "colourfulness", self.min_colourfulness)
            and at_least(scores, "tonal_range", self.min_range)
            and at_most(scores, "cast", self.max_cast)
        )


class SharpnessCheck(Check):
    """Edges are edges. blur: Crete et al. 2007, how little another blur changes the picture: 0 sharp, 1 blurred."""

    name, reason = "sharpness", "blurred"

    def __init__(self, max_blur: float) -> None:
        self.max_blur = max_blur

    def score(self, sample: Sample) -> dict[str, float | None]:
        _, _, image = parts_of(sample)
        grey = cv2.cvtColor(image.rgb, cv2.COLOR_RGB2GRAY)
        return {"blur": float(np.asarray(blur_effect(grey))) if grey.std() > 0 else None}

    def passes(self, scores: Scores) -> bool:
        return at_most(scores, "blur", self.max_blur)


def colourfulness(rgb: UInt8[np.ndarray, "h w 3"]) -> float:
    """Spread of the opponent colours red-green and yellow-blue, and a third of how far their means are from grey."""
    red, green, blue = np.moveaxis(rgb.astype(np.float64), 2, 0)
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    spread, mean = opponents.std(axis=(1, 2)), opponents.mean(axis=(1, 2))
    return float(np.linalg.norm(spread) + 0.3 * np.linalg.norm(mean))


def colour_cast(rgb: UInt8[np.ndarray, "h w 3"]) -> float:
    """Distance of the mean chroma from grey over the spread of chroma; 0 for a grey picture."""
    chroma = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 1:].reshape(-1, 2).astype(np.float64)
    away, spread = np.linalg.norm(chroma.mean(axis=0)), np.linalg.norm(chroma.std(axis=0))
    return 0.0 if away < 1e-6 else float(away / max(spread, 1e-6))
