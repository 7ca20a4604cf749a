"""The funnel in closed form: what each threshold takes, takes alone, and would take elsewhere."""

import numpy as np
import pytest
from report_runs import write_run
from rich.console import Console

from posedreamer.report.funnel import funnel_table, read_funnel, threshold_effects
from posedreamer.report.statistics import run_statistics

THRESHOLDS = {"oks": ("min", 0.6), "second_person": ("max", 0.3)}


def rows(values):
    return [
        {"status": "kept", "generator": "g", "scores": {"oks": oks, "second_person": second}} for oks, second in values
    ]


def test_what_a_threshold_takes_alone_is_what_would_be_kept_without_it():
    made = rows([(0.9, 0.1), (0.5, 0.1), (0.5, 0.9), (0.9, 0.9), (None, 0.1), (0.7, 0.2)])
    oks, second = threshold_effects(made, THRESHOLDS)
    assert (oks.misses, oks.alone) == (3, 2)  # a value that was not measured does not pass
    assert (second.misses, second.alone) == (2, 1)


def test_the_other_values_keep_a_twentieth_more_or_fewer():
    scores = np.linspace(0.0, 0.99, 100)
    made = rows([(float(value), 0.0) for value in scores])
    (oks, _) = threshold_effects(made, THRESHOLDS)
    kept = (scores >= 0.6).sum()
    assert (scores >= oks.for_fewer).sum() == kept - 5 and (scores >= oks.for_more).sum() == kept + 5
    assert threshold_effects(rows([(0.9, 0.0), (0.8, 0.0)]), THRESHOLDS)[0][-2:] == (0.9, None)


def test_failed_samples_and_those_without_a_picture_have_no_part(tmp_path):
    made = [
        *rows([(0.9, 0.1)]),
        {"status": "failed", "generator": None, "scores": {}},
        {"status": "rejected", "generator": None, "scores": {}},
    ]
    assert [effect.misses for effect in threshold_effects(made, THRESHOLDS)] == [0, 0]


def test_the_steps_are_those_of_the_statistics(tmp_path):
    write_run(tmp_path)
    found = read_funnel(tmp_path)
    assert found["steps"] == run_statistics(tmp_path)["funnel"]
    assert [effect.score for effect in found["effects"]][-2:] == ["oks", "silhouette"]
    console = Console(record=True, width=120)
    console.print(funnel_table(found))
    assert "miss it alone" in console.export_text()


@pytest.mark.parametrize("side", ["min", "max"])
def test_no_value_is_told_where_none_gives_it(side):
    (effect,) = threshold_effects(rows([(0.5, 0.0)]), {"oks": (side, 0.5)})
    assert (effect.for_fewer, effect.for_more, effect.alone) == (None, None, 0)
