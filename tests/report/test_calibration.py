"""Calibration tables in closed form."""

import numpy as np
import pytest

from posedreamer.report.calibration import RIGHT, limit_for, summarise, to_markdown

THRESHOLDS = {"oks": ("min", 0.5), "contrast": ("min", 12.0), "clipped": ("max", 0.5)}


def rows(oks, contrast=50.0):
    return [{"oks": float(value), "contrast": contrast, "clipped": 0.0} for value in oks]


def test_shares_are_counted_by_check_and_by_all():
    asked = {RIGHT: rows([0.9, 0.9, 0.9, 0.4]), "blur": rows([0.4, 0.9]), "wash-out": rows([0.1, 0.9], contrast=3.0)}
    found = summarise(asked, ("exposure", "oks"), THRESHOLDS, 0.05)
    assert (
        found["passes"]["oks"].value == found["passes"]["all"].value == 0.75
        and found["passes"]["exposure"].value == 1.0
    )
    assert {check: row.value for check, row in found["catches"]["wash-out"].items()} == {
        "exposure": 1.0,
        "oks": 0.5,
        "all": 1.0,
    }
    assert found["catches"]["blur"]["all"].value == 0.5
    assert found["count"] == {RIGHT: 4, "blur": 2, "wash-out": 2}
    lines = to_markdown(found, ("exposure", "oks")).splitlines()
    assert lines[2].startswith("| right pictures that pass | 4 | 1.00 | 0.75 |")
    assert lines[4].startswith("| wash-out, caught | 2 | 1.00 | 0.50 | 1.00 [")


def test_the_limit_lets_the_wished_share_of_the_fault_pass():
    faulty, right = rows(np.linspace(0.0, 0.6, 601)), rows(np.linspace(0.5, 1.0, 501))
    limit, passing = limit_for(faulty, right, "oks", "min", 0.1)
    assert limit == pytest.approx(0.54) and passing == pytest.approx(0.92, abs=0.003)
    limit, passing = limit_for(right, faulty, "oks", "max", 0.1)
    assert limit == pytest.approx(0.55) and passing == pytest.approx(0.55 / 0.6, abs=0.003)


def test_what_was_not_measured_has_no_limit():
    assert limit_for([{"oks": None}], rows([0.5]), "oks", "min", 0.05) is None
    assert limit_for(rows([0.5]), [{}], "oks", "min", 0.05) is None
