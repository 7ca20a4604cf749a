"""The table of a search over settings of an alignment (pipelines/search_alignment.py)."""

from collections.abc import Mapping
from typing import Any


def to_markdown(found: Mapping[str, Mapping[str, Any]]) -> str:
    """One row a setting, in their order: pairs, gains with intervals, and what both sides' errors did by the end of training."""
    heads = [
        "setting",
        "pairs",
        "oks",
        "gap closed",
        "second_oks",
        "attributes",
        "winner's error",
        "loser's error",
        "minutes",
    ]
    lines = [heads, ["---"] * len(heads)]
    for name, one in found.items():
        gains, last = one["gains"], _last(one.get("history", []))
        lines.append(
            [
                name,
                str(one.get("pairs", "")),
                _gain(gains["oks"]),
                f"{gains['oks']['gap_closed'][0]:+.0%}",
                *(_gain(gains[column]) if column in gains else "" for column in ("second_oks", "attributes")),
                *(_change(last, side) for side in ("winner", "loser")),
                f"{one['seconds'] / 60:.0f}" if "seconds" in one else "",
            ]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _gain(estimates: Mapping[str, Any]) -> str:
    mean, low, high = estimates["gain"]
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def _last(history: Any) -> Mapping[str, float]:
    """The last entry of training's log that tells of errors."""
    return next((entry for entry in reversed(history) if "winner_error" in entry), {})


def _change(entry: Mapping[str, float], side: str) -> str:
    """How far a side's error is from the reference's, in thousandths of the reference's."""
    change, error = entry.get(f"{side}_error_change"), entry.get(f"{side}_error")
    if change is None or error is None:
        return ""
    return f"{1000 * change / (error - change):+.1f} ‰"
