"""The words of the checks are those of the checks themselves."""

from typing import get_args

from report_runs import CONFIG

from posedreamer.config import Config
from posedreamer.filters_config import CheckName, FiltersConfig
from posedreamer.line import filtering_stage
from posedreamer.report.thresholds import CHECKS, missed_checks, passes, reason_order, score_thresholds

MODELS = {name: {"model": "a/b"} for name in ("text_image", "safety")}
ALL = {"order": list(get_args(CheckName)), **MODELS}
EVERY = Config(name="every", filters=FiltersConfig.model_validate(ALL))
CLASSES = {check.name: check for check in filtering_stage(EVERY).checks}


def test_names_and_reasons_are_those_of_the_classes_and_of_the_configuration():
    assert {name: words.reason for name, words in CHECKS.items()} == {n: c.reason for n, c in CLASSES.items()}
    assert set(CHECKS) == set(get_args(CheckName))
    for name, words in CHECKS.items():
        fields = set(type(getattr(FiltersConfig(), name)).model_fields)
        assert set(words.measures) == {field for field in fields if field.startswith(("min", "max"))}


def test_a_check_passes_what_its_thresholds_pass():
    """Each score off its limit by a little to either side, or not measured, all others fine."""
    thresholds = score_thresholds({"config": EVERY.identity()})
    fine = {name: limit for name, (_, limit) in thresholds.items()}
    assert all(check.passes(fine) for check in CLASSES.values())
    for name, words in CHECKS.items():
        for score in words.measures.values():
            for value in (fine[score] - 1e-6, fine[score] + 1e-6, None):
                expected = passes({score: value}, score, thresholds[score])
                assert CLASSES[name].passes(fine | {score: value}) == expected, (name, score, value)


def test_thresholds_are_those_of_the_checks():
    thresholds = score_thresholds({"config": CONFIG.identity()})
    assert thresholds["oks"] == ("min", CONFIG.filters.oks.min)
    assert thresholds["second_person"] == ("max", CONFIG.filters.second_person.max)
    assert thresholds["contrast"] == ("min", CONFIG.filters.exposure.min_contrast)


def test_reasons_follow_the_configured_order():
    config = CONFIG.identity()
    config["filters"]["order"] = ["oks", "exposure"]
    assert reason_order({"config": config}) == ["oks_low", "bad_exposure"]


def test_every_missed_check_is_told_and_a_met_one_is_not():
    thresholds = {"oks": ("min", 0.6), "second_person": ("max", 0.3), "contrast": ("min", 12.0)}
    scores = {"oks": 0.4, "second_person": 0.5, "contrast": 12.0, "difficulty": None}
    assert missed_checks(scores, thresholds) == ["oks 0.4, at least 0.6", "second_person 0.5, at most 0.3"]
    assert missed_checks({"oks": None}, thresholds) == []
