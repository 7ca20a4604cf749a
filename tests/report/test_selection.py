"""What a gallery shows: spread, fair to rare reasons, and the true ends of a score."""

import numpy as np
import pytest

from posedreamer.report.selection import extremes, spread, spread_by_reason


def rows_of(reasons):
    return [{"key": str(i), "reason": reason} for i, reason in enumerate(reasons)]


@pytest.mark.parametrize("total", [0, 3, 10, 1000])
def test_a_spread_has_the_ends_no_repeats_and_keeps_order(total):
    rows = rows_of(["x"] * total)
    chosen = spread(rows, 10)
    places = [rows.index(row) for row in chosen]
    assert len(chosen) == min(total, 10)
    assert places == sorted(set(places))
    if total > 10:
        assert (places[0], places[-1]) == (0, total - 1)
        assert np.ptp(np.diff(places)) <= 1


def test_a_rare_reason_is_shown_and_the_total_is_kept():
    rows = rows_of(["common"] * 100 + ["rare"] * 2 + ["other: why"] * 30)
    groups = spread_by_reason(rows, ["rare", "other", "common", "never"], 20)
    assert {reason: len(group) for reason, group in groups.items()} == {"rare": 2, "other": 9, "common": 9}
    few = spread_by_reason(rows, ["rare", "other", "common"], 2)
    assert {reason: len(group) for reason, group in few.items()} == {"rare": 1, "other": 1}
    all_of_them = spread_by_reason(rows, ["rare", "other", "common"], 1000)
    assert sum(map(len, all_of_them.values())) == len(rows)


def test_extremes_are_the_sorted_ends_of_what_was_measured():
    values = [0.5, None, 0.1, 0.9, 0.9, 0.3]
    rows = [{"key": str(i), "scores": {"oks": value}} for i, value in enumerate(values)]
    lowest, highest = extremes(rows, "oks", 2)
    assert [row["key"] for row in lowest] == ["2", "5"]
    assert [row["key"] for row in highest] == ["3", "4"]
