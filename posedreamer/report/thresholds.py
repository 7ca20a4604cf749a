"""What the checks of a run ask of its scores, and what a sample missed.

The table repeats names, reasons and measures of the classes in stages/filtering, so that figures can be told without
loading the judge; a test holds the two together.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Thresholds = Mapping[str, tuple[str, float]]  # score -> ("min" or "max", value)


class CheckWords(NamedTuple):
    """reason: of a rejection. measures: field of the configuration (min..., max...) -> the score it limits."""

    reason: str
    measures: Mapping[str, str]


CHECKS = {
    "exposure": CheckWords("bad_exposure", {"min_contrast": "contrast", "max_clipped": "clipped"}),
    "colour": CheckWords(
        "washed_out", {"min_colourfulness": "colourfulness", "min_range": "tonal_range", "max_cast": "cast"}
    ),
    "sharpness": CheckWords("blurred", {"max_blur": "blur"}),
    "truncation": CheckWords("truncated", {"min": "joints_inside"}),
    "person": CheckWords("no_person", {"min": "judge_confidence"}),
    "second_person": CheckWords("second_person", {"max": "second_person"}),
    "oks": CheckWords("oks_low", {"min": "oks"}),
    "joint": CheckWords("joint_off", {"min": "worst_joint"}),
    "head": CheckWords("head_turned", {"max": "head_degrees"}),
    "visibility": CheckWords("part_unseen", {"min_face": "face_confidence", "min_hands": "hands_confidence"}),
    "second_judge": CheckWords("second_oks_low", {"min": "second_oks"}),
    "clothes": CheckWords("wrong_clothes", {"min_top": "shown_top_color", "min_bottom": "shown_bottom_color"}),
    "silhouette": CheckWords("silhouette_low", {"min": "silhouette"}),
    "skin": CheckWords("unclothed", {"max": "skin"}),
    "text_image": CheckWords("text_mismatch", {"min": "text_image"}),
    "safety": CheckWords("unsafe", {"max": "unsafe"}),
}


# Of other scores None does not pass.
UNMEASURED_PASSES = frozenset(
    {"head_degrees", "face_confidence", "hands_confidence", "shown_top_color", "shown_bottom_color", "skin"}
)


def score_thresholds(manifest: Mapping[str, Any]) -> Thresholds:
    """Score -> ("min" or "max", value), for the checks of the run's configuration."""
    filters = manifest["config"]["filters"]
    return {
        score: (field[:3], float(filters[check][field]))
        for check in filters["order"]
        for field, score in CHECKS[check].measures.items()
    }


def reason_order(manifest: Mapping[str, Any]) -> list[str]:
    """The reasons of the run's checks, in the order in which they were asked."""
    return [CHECKS[check].reason for check in manifest["config"]["filters"]["order"]]


def passes(scores: Mapping[str, float | None], name: str, threshold: tuple[str, float]) -> bool:
    """Whether a score keeps its limit."""
    value, (side, limit) = scores.get(name), threshold
    if value is None:
        return name in UNMEASURED_PASSES
    return value >= limit if side == "min" else value <= limit


def missed_checks(scores: Mapping[str, float | None], thresholds: Thresholds) -> Sequence[str]:
    """What a sample missed, one line a score, such as `oks 0.412, at least 0.6`; not only the first, which is the reason."""
    lines = []
    for name, (side, limit) in thresholds.items():
        value = scores.get(name)
        if value is not None and (value < limit if side == "min" else value > limit):
            lines.append(f"{name} {value:.3g}, at {'least' if side == 'min' else 'most'} {limit:g}")
    return lines
