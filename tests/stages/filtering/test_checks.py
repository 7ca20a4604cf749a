"""One passing and one failing sample for each reason, and the order in which reasons speak."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from posedreamer.geometry.skeletons import COCO_KEYPOINTS
from posedreamer.sample import Picture, Sample, Verdict
from posedreamer.stages.filtering.person_checks import (
    HeadCheck,
    JointCheck,
    OksCheck,
    PersonCheck,
    SecondPersonCheck,
    SilhouetteCheck,
    TruncationCheck,
    VisibilityCheck,
)
from posedreamer.stages.filtering.picture_checks import ColourCheck, ExposureCheck, SharpnessCheck
from posedreamer.stages.filtering.stage import FilteringStage


@pytest.fixture(scope="module")
def stage() -> FilteringStage:
    """The configuration's own order and limits."""
    stage = FilteringStage(
        [
            ExposureCheck(min_contrast=12.0, max_clipped=0.5),
            TruncationCheck(min_share=0.35),
            SecondPersonCheck(max_confidence=0.35, threads=1),
            OksCheck(minimum=0.85),
            SilhouetteCheck(minimum=0.5),
        ]
    )
    stage.setup()
    return stage


@pytest.fixture
def scored(sample: Sample) -> Sample:
    return replace(sample, scores={"oks": 0.95})


def with_picture(sample: Sample, rgb: np.ndarray) -> Sample:
    return replace(sample, image=Picture(rgb, "render", 0))


def with_levels(sample: Sample, inside: int) -> Sample:
    keypoints = sample.label.coco_keypoints.copy()
    keypoints[:, 2] = [2] * inside + [0] * (17 - inside)
    return replace(sample, label=replace(sample.label, coco_keypoints=keypoints))


def test_a_true_render_is_kept(stage: FilteringStage, scored: Sample) -> None:
    """Passes each check, and by each check's own word."""
    (result,) = stage([scored])
    assert result.verdict == Verdict("kept")
    assert all(check.passes(result.scores) for check in stage.checks)
    names = {"oks", "contrast", "clipped", "entropy", "joints_inside", "second_person", "silhouette"}
    assert set(result.scores) == names


@pytest.mark.parametrize("kind", ["flat", "black", "blown_out"])
def test_bad_exposure(stage: FilteringStage, scored: Sample, kind: str) -> None:
    rgb = scored.image.rgb
    pictures = {
        "flat": (rgb // 16 + 120).astype(np.uint8),
        "black": np.zeros_like(rgb),
        "blown_out": np.where(np.arange(160)[:, None, None] < 90, 255, rgb).astype(np.uint8),
    }
    (result,) = stage([with_picture(scored, pictures[kind])])
    assert result.verdict == Verdict("rejected", "bad_exposure")


def test_exposure_closed_forms() -> None:
    """Half black, half white: contrast 127.5, all clipped, one bit of entropy."""
    check = ExposureCheck(min_contrast=12.0, max_clipped=0.5)
    halves = np.zeros((160, 160, 3), np.uint8)
    halves[80:] = 255
    assert check.passes({"contrast": 12.0, "clipped": 0.5})
    assert not check.passes({"contrast": 11.9, "clipped": 0.0})
    assert not check.passes({"contrast": 50.0, "clipped": 0.51})


def test_exposure_measures(scored: Sample) -> None:
    halves = np.zeros((160, 160, 3), np.uint8)
    halves[80:] = 255
    check = ExposureCheck(min_contrast=12.0, max_clipped=0.5)
    assert check.score(with_picture(scored, halves)) == pytest.approx(
        {"contrast": 127.5, "clipped": 1.0, "entropy": 1.0}
    )


@pytest.mark.parametrize(("inside", "reason"), [(6, None), (5, "truncated")])
def test_truncated(stage: FilteringStage, scored: Sample, inside: int, reason: str | None) -> None:
    """6 of 17 joints are .353, 5 are .294; the limit is .35."""
    (result,) = stage([with_levels(scored, inside)])
    assert result.verdict.reason == reason
    assert result.scores["joints_inside"] == pytest.approx(inside / 17)


def test_second_person(stage: FilteringStage, scored: Sample, person: dict[str, np.ndarray]) -> None:
    (crowded,) = stage([with_picture(scored, person["crowded"])])
    assert crowded.verdict == Verdict("rejected", "second_person")
    assert crowded.scores["second_person"] > 0.5
    (alone,) = stage([scored])
    assert alone.scores["second_person"] < 0.25


@pytest.mark.parametrize(("oks", "reason"), [(0.85, None), (0.849, "oks_low"), (None, "oks_low")])
def test_oks_low(stage: FilteringStage, scored: Sample, oks: float | None, reason: str | None) -> None:
    (result,) = stage([replace(scored, scores={"oks": oks})])
    assert result.verdict.reason == reason


def test_oks_limit_may_not_be_low() -> None:
    with pytest.raises(ValueError, match="minimum"):
        OksCheck(minimum=0.49)


def test_silhouette_low(stage: FilteringStage, scored: Sample) -> None:
    """The label's silhouette beside the person, on the lawn."""
    moved = replace(scored.condition, mask=np.roll(scored.condition.mask, 50, axis=1))
    box = scored.label.bbox + np.float32([50, 0, 0, 0])
    beside = replace(scored, condition=moved, label=replace(scored.label, bbox=box))
    checks = FilteringStage([SilhouetteCheck(minimum=0.5)])
    (result,) = checks([beside])
    assert result.verdict == Verdict("rejected", "silhouette_low")
    assert checks([scored])[0].verdict == Verdict("kept")
    nothing = replace(scored, condition=replace(scored.condition, mask=np.zeros((160, 160), bool)))
    (empty,) = checks([nothing])
    assert empty.scores["silhouette"] is None and empty.verdict.reason == "silhouette_low"


def test_first_failing_check_is_the_reason(stage: FilteringStage, scored: Sample) -> None:
    """All scores are there although the first check has spoken; another order, another reason."""
    bad = with_levels(replace(scored, scores={"oks": 0.1}), 3)
    (result,) = stage([bad])
    assert result.verdict.reason == "truncated"
    assert {"second_person", "silhouette"} <= set(result.scores)
    (other,) = FilteringStage([OksCheck(minimum=0.85), TruncationCheck(min_share=0.35)])([bad])
    assert other.verdict.reason == "oks_low"


def test_only_pending_samples_are_judged(stage: FilteringStage, scored: Sample) -> None:
    failed = replace(scored, verdict=Verdict("failed", "image_size: ..."))
    bare = replace(scored, image=None)
    unscored = replace(scored, scores={})
    results = stage([failed, bare, unscored])
    assert results[0] is failed
    assert results[1].verdict.status == "failed" and "needs label, condition and image" in results[1].verdict.reason
    assert results[2].verdict.status == "failed" and "no score `oks`" in results[2].verdict.reason


def test_a_check_stands_once() -> None:
    with pytest.raises(ValueError, match="once"):
        FilteringStage([TruncationCheck(0.35), TruncationCheck(0.5)])


def test_one_limb_elsewhere_is_refused_though_the_mean_forgives_it(scored: Sample) -> None:
    joints = {f"oks_joint_{name}": 1.0 for name in COCO_KEYPOINTS} | {"oks_joint_left_wrist": 0.0}
    sample = with_levels(replace(scored, scores={"oks": 16 / 17, **joints}), 17)
    stage = FilteringStage([OksCheck(0.85), JointCheck(0.05)])
    (result,) = stage([sample])
    assert result.verdict == Verdict("rejected", "joint_off") and result.scores["worst_joint"] == 0.0
    # A wrist that is hidden, or that the judge could not be asked about, has no say.
    wrist = COCO_KEYPOINTS.index("left_wrist")
    keypoints = sample.label.coco_keypoints.copy()
    keypoints[wrist, 2] = 1
    hidden = replace(sample, label=replace(sample.label, coco_keypoints=keypoints))
    assert stage([hidden])[0].verdict == Verdict("kept")
    assert stage([replace(sample, scores=sample.scores | {"oks_joint_left_wrist": None})])[0].verdict == Verdict("kept")


@pytest.mark.parametrize(("degrees", "reason"), [(44.9, None), (45.1, "head_turned"), (None, None)])
def test_head_turned(scored: Sample, degrees: float | None, reason: str | None) -> None:
    (result,) = FilteringStage([HeadCheck(45.0)])([replace(scored, scores={"head_degrees": degrees})])
    assert result.verdict.reason == reason
    (unmeasured,) = FilteringStage([HeadCheck(45.0)])([replace(scored, scores={})])
    assert unmeasured.verdict.status == "failed" and "no score `head_degrees`" in unmeasured.verdict.reason


@pytest.mark.parametrize(
    ("face", "hands", "reason"),
    [(0.5, 0.5, None), (0.19, 0.5, "part_unseen"), (0.5, 0.14, "part_unseen"), (None, None, None), (0.1, None, "part_unseen")],
)  # fmt: skip
def test_what_the_label_shows_must_be_there(scored: Sample, face, hands, reason) -> None:
    stage = FilteringStage([VisibilityCheck(0.2, 0.15)])
    (result,) = stage([replace(scored, scores={"face_confidence": face, "hands_confidence": hands})])
    assert result.verdict.reason == reason
    assert stage([replace(scored, scores={"face_confidence": face})])[0].verdict.status == "failed"


@pytest.mark.parametrize(("confidence", "reason"), [(0.26, None), (0.24, "no_person")])
def test_nobody_there(scored: Sample, confidence: float, reason: str | None) -> None:
    (result,) = FilteringStage([PersonCheck(0.25)])([replace(scored, scores={"judge_confidence": confidence})])
    assert result.verdict.reason == reason


def test_colours_in_closed_form(scored: Sample) -> None:
    """Grey has none. Half red, half green: rg is +-255 and yb 127.5 throughout, all of it spread in rg."""
    check = ColourCheck(8.0, 60.0, 2.5)
    grey = np.repeat(np.linspace(0, 255, 160).astype(np.uint8)[None, :, None], 160, axis=0).repeat(3, axis=2)
    found = check.score(with_picture(scored, grey))
    assert found == pytest.approx({"colourfulness": 0.0, "tonal_range": 250.0, "cast": 0.0}, abs=2.0)
    halves = np.zeros((160, 160, 3), np.uint8)
    halves[:80, :, 0], halves[80:, :, 1] = 255, 255
    assert check.score(with_picture(scored, halves))["colourfulness"] == pytest.approx(255.0 + 0.3 * 127.5)


@pytest.mark.parametrize("kind", ["pale", "sepia"])
def test_washed_out(scored: Sample, kind: str) -> None:
    check = FilteringStage([ColourCheck(8.0, 60.0, 2.5)])
    rgb = scored.image.rgb.astype(np.float64)
    tone = rgb.mean(axis=2, keepdims=True) * [1.0, 0.8, 0.5]
    changed = {"pale": 0.2 * rgb + 170.0, "sepia": 0.1 * rgb + 0.9 * tone}[kind]
    (result,) = check([with_picture(scored, changed.clip(0, 255).astype(np.uint8))])
    assert result.verdict == Verdict("rejected", "washed_out"), result.scores
    assert check([scored])[0].verdict == Verdict("kept")


def test_blurred(scored: Sample) -> None:
    check = FilteringStage([SharpnessCheck(0.6)])
    soft = [cv2.GaussianBlur(scored.image.rgb, (0, 0), sigma) for sigma in (0.5, 1.0, 2.0, 4.0)]
    results = [check([with_picture(scored, rgb)])[0] for rgb in (scored.image.rgb, *soft)]
    blurs = [result.scores["blur"] for result in results]
    assert blurs == sorted(blurs)
    assert results[0].verdict == Verdict("kept") and results[-1].verdict == Verdict("rejected", "blurred")
    (flat,) = check([with_picture(scored, np.full_like(scored.image.rgb, 90))])
    assert flat.scores["blur"] is None and flat.verdict.reason == "blurred"
