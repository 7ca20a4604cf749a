"""The figures of a run add up, and say the same as the samples they are taken from."""

import json
from itertools import pairwise

import numpy as np
import pytest
from report_runs import ATTEMPTS, write_run

from posedreamer.report.statistics import count_reasons, funnel, run_statistics

ORDER = ["bad_exposure", "truncated", "second_person", "oks_low", "silhouette_low"]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def statistics(run_dir):
    return run_statistics(run_dir)


def test_counts_add_up_in_the_run_and_in_every_group(statistics):
    groups = [statistics["counts"], *statistics["rounds"]]
    groups += [*statistics["sources"].values(), *statistics["tags"].values()]
    groups += [c for values in statistics["attributes"].values() for c in values.values()]
    for counts in groups:
        assert counts["attempted"] == counts["kept"] + counts["rejected"] + counts["failed"]
        assert counts["keep_rate"] == counts["kept"] / counts["attempted"]
    assert statistics["counts"]["attempted"] == len(ATTEMPTS)
    assert [item["attempted"] for item in statistics["rounds"]] == [12, 6]


def test_reasons_stand_in_the_order_of_the_checks_after_the_failures(statistics):
    assert statistics["reasons"] == {
        "generation": 1,
        "sampling": 1,
        "bad_exposure": 1,
        "second_person": 2,
        "oks_low": 5,
        "silhouette_low": 1,
    }
    assert list(statistics["reasons"])[2:] == ["bad_exposure", "second_person", "oks_low", "silhouette_low"]


def test_the_funnel_loses_at_each_step_what_it_says_and_ends_with_the_kept(statistics):
    steps = statistics["funnel"]
    assert steps[0] == {"step": "attempted", "dropped": 0, "remaining": len(ATTEMPTS)}
    for before, after in pairwise(steps):
        assert after["remaining"] == before["remaining"] - after["dropped"]
    assert steps[-1]["step"] == "kept"
    assert steps[-1]["remaining"] == statistics["counts"]["kept"]


def test_a_reason_of_no_configured_check_comes_last():
    rows = [{"status": "rejected", "reason": reason} for reason in ("unheard_of", "oks_low", "bad_exposure")]
    assert list(count_reasons(rows, ORDER)) == ["bad_exposure", "oks_low", "unheard_of"]
    assert [step["step"] for step in funnel(rows, ORDER)] == [
        "attempted",
        "bad_exposure",
        "oks_low",
        "unheard_of",
        "kept",
    ]


def test_scores_are_described_where_they_were_measured(statistics):
    oks = np.array([attempt[3] for attempt in ATTEMPTS if attempt[3] is not None])
    described = statistics["scores"]["oks"]["attempted"]
    assert described["count"] == len(oks)
    assert described["mean"] == pytest.approx(oks.mean())
    assert described["q50"] == pytest.approx(np.median(oks))
    assert statistics["scores"]["oks"]["kept"]["count"] == statistics["counts"]["kept"]
    assert statistics["scores"]["difficulty"] == {"attempted": None, "kept": None}


def test_sources_and_attributes_are_grouped(statistics):
    assert set(statistics["sources"]) == {"library", "motion", "none"}
    assert set(statistics["attributes"]["top_color"]) == {"red", "blue"}


def test_seconds_are_summed_in_the_order_of_the_stages_and_bytes_are_those_on_disk(statistics, run_dir):
    assert statistics["seconds"] == {"sampling": 1.5, "generation": 18.0, "mining": 6.0, "filtering": 3.0}
    assert list(statistics["seconds"]) == ["sampling", "generation", "mining", "filtering"]
    on_disk = sum(path.stat().st_size for path in (run_dir / "shards").glob("*.tar"))
    assert statistics["bytes"]["shards"] == on_disk > 0
    assert statistics["shards"] == 3


def test_the_figures_are_plain_json(statistics):
    assert json.loads(json.dumps(statistics, allow_nan=False)) == statistics


def test_a_directory_without_finished_shards_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no finished shard"):
        run_statistics(tmp_path)


def test_the_summary_repeats_the_figures_it_sums_up(statistics):
    summary, counts = statistics["summary"], statistics["counts"]
    assert {name: summary[name] for name in counts} == counts
    assert summary["mean_oks_kept"] == statistics["scores"]["oks"]["kept"]["mean"]
    assert summary["oks_threshold"] == 0.85
    assert summary["rounds"] == 2
    assert summary["kid_effnet"] is None
