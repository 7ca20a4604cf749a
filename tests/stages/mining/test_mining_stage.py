"""Scores of a true render, of a wrong label, and of samples that cannot be scored."""

from dataclasses import replace

import numpy as np
import pytest

from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.geometry.skeletons import COCO_KEYPOINTS
from posedreamer.metrics.oks import oks
from posedreamer.sample import Picture, Sample, Verdict
from posedreamer.stages.mining.stage import MiningStage


@pytest.fixture(scope="module")
def stage() -> MiningStage:
    stage = MiningStage(threads=1)
    stage.setup()
    return stage


def test_judge_still_finds_the_golden_keypoints(person: dict[str, np.ndarray]) -> None:
    """Golden: what the judge said when the picture was made; 0.5 px of 160 allow another machine's convolutions."""
    found = KeypointDetector(threads=1).setup().detect(person["picture"])
    np.testing.assert_allclose(found.keypoints, person["detected"], atol=0.5)


def test_a_true_render_scores_high(stage: MiningStage, sample: Sample, person: dict[str, np.ndarray]) -> None:
    (scored,) = stage([sample])
    expected = oks(person["detected"], person["coco_keypoints"], int(person["mask"].sum()))
    assert scored.scores["oks"] == pytest.approx(expected, abs=0.01)
    assert scored.scores["oks"] > 0.9 and scored.scores["oks_coco"] > 0.85
    assert scored.scores["judge_confidence"] > 0.5
    assert scored.is_pending


def test_a_wrong_label_scores_low(stage: MiningStage, sample: Sample) -> None:
    """The label's keypoints mirrored top to bottom: another pose in the same place."""
    keypoints = sample.label.coco_keypoints.copy()
    keypoints[:, 1] = keypoints[:, 1].max() + keypoints[:, 1].min() - keypoints[:, 1]
    (scored,) = stage([replace(sample, label=replace(sample.label, coco_keypoints=keypoints))])
    assert scored.scores["oks"] < 0.3


def test_all_scores_are_there(stage: MiningStage, sample: Sample) -> None:
    """Joints outside the image have None, hidden ones a number; the learner's place is empty; old scores stay."""
    keypoints = sample.label.coco_keypoints.copy()
    keypoints[:, 2] = [0] + [1] * 16
    changed = replace(sample, label=replace(sample.label, coco_keypoints=keypoints), scores={"older": 1.0})
    (scored,) = stage([changed])
    joints = {name: scored.scores[f"oks_joint_{name}"] for name in COCO_KEYPOINTS}
    assert joints.pop("nose") is None
    assert all(0 <= value <= 1 for value in joints.values())
    assert scored.scores["oks"] is None  # nothing in sight
    assert scored.scores["oks_coco"] == pytest.approx(np.mean(list(joints.values())))
    assert scored.scores["difficulty"] is None and scored.scores["older"] == 1.0
    assert 0 <= scored.scores["oks_posedreamer"] <= 1


def test_a_bad_sample_stops_only_itself(stage: MiningStage, sample: Sample) -> None:
    small = replace(sample, image=Picture(sample.image.rgb[:100], "render", 0))
    bare = replace(sample, image=None)
    rejected = replace(sample, verdict=Verdict("rejected", "truncated"))
    results = stage([small, bare, rejected, sample])
    assert results[0].verdict == Verdict("failed", "image_size: the picture is 160 x 100, the label 160 x 160")
    assert results[1].verdict == Verdict("failed", "no_image: nothing to score")
    assert results[2] is rejected
    assert results[3].is_pending and results[3].scores["oks"] > 0.9
