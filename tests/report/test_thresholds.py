"""The words of the checks are those of the checks themselves."""

from report_runs import CONFIG

from posedreamer.config import FiltersConfig
from posedreamer.report.thresholds import CHECKS, missed_checks, reason_order, score_thresholds
from posedreamer.stages.filtering import checks

CLASSES = {
    value.name: value
    for value in vars(checks).values()
    if isinstance(value, type) and isinstance(getattr(value, "name", 0), str)
}


def test_names_and_reasons_are_those_of_the_classes_and_of_the_configuration():
    assert {name: words.reason for name, words in CHECKS.items()} == {n: c.reason for n, c in CLASSES.items()}
    assert set(CHECKS) == set(FiltersConfig().order)
    for name, words in CHECKS.items():
        assert set(words.measures) == set(type(getattr(FiltersConfig(), name)).model_fields)


def test_measures_are_scores_that_the_classes_compare(monkeypatch):
    asked = {}
    monkeypatch.setattr(checks, "at_least", lambda scores, name, limit: asked.setdefault(name, "min") == "min")
    monkeypatch.setattr(checks, "at_most", lambda scores, name, limit: asked.setdefault(name, "max") == "max")
    for check in (
        checks.ExposureCheck(1.0, 1.0),
        checks.TruncationCheck(0.5),
        checks.OksCheck(0.6),
        checks.SilhouetteCheck(0.5),
    ):
        check.passes({})
    asked["second_person"] = "max"  # its class loads the judge's weights
    assert asked == {score: side for score, (side, _) in score_thresholds({"config": CONFIG.identity()}).items()}


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
