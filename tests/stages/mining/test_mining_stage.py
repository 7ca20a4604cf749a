"""Scores of a true render, of a wrong label, and of samples that cannot be scored."""

from dataclasses import replace

import numpy as np
import pytest

from posedreamer.estimators.keypoints import Detection, KeypointDetector
from posedreamer.estimators.mesh import MeshEstimate
from posedreamer.estimators.observer import Observation
from posedreamer.geometry.skeletons import COCO_KEYPOINTS
from posedreamer.metrics.oks import oks
from posedreamer.sample import Picture, Prompt, Sample, Verdict
from posedreamer.stages.mining.stage import MiningStage, observer_scores


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


def test_confidence_of_parts_is_the_least_of_those_in_sight(stage: MiningStage, sample: Sample) -> None:
    found = stage.detector.detect(sample.image.rgb).confidence
    keypoints = sample.label.coco_keypoints.copy()
    keypoints[:, 2] = 2
    (scored,) = stage([replace(sample, label=replace(sample.label, coco_keypoints=keypoints))])
    assert scored.scores["face_confidence"] == pytest.approx(found[:3].min())
    assert scored.scores["hands_confidence"] == pytest.approx(found[7:11].min())
    weakest = 7 + int(found[7:11].argmin())
    keypoints[weakest, 2], keypoints[:3, 2] = 1, 0
    (scored,) = stage([replace(sample, label=replace(sample.label, coco_keypoints=keypoints))])
    assert scored.scores["face_confidence"] is None
    assert scored.scores["hands_confidence"] == pytest.approx(np.delete(found[7:11], weakest - 7).min())


def test_a_bad_sample_stops_only_itself(stage: MiningStage, sample: Sample) -> None:
    small = replace(sample, image=Picture(sample.image.rgb[:100], "render", 0))
    bare = replace(sample, image=None)
    rejected = replace(sample, verdict=Verdict("rejected", "truncated"))
    results = stage([small, bare, rejected, sample])
    assert results[0].verdict == Verdict("failed", "image_size: the picture is 160 x 100, the label 160 x 160")
    assert results[1].verdict == Verdict("failed", "no_image: nothing to score")
    assert results[2] is rejected
    assert results[3].is_pending and results[3].scores["oks"] > 0.9


def test_the_observer_is_asked_about_label_and_prompt(stage: MiningStage, sample: Sample) -> None:
    """Closed form: keypoints of the label are an OKS of 1; of each attribute the share of the value that was asked for."""
    shares = {"top_color": {"red": 0.7, "blue": 0.3}, "scene": {"park": 0.9, "gym": 0.1}, "skin": {"pale": 1.0}}
    seen = Observation(np.zeros((160, 160), np.float32), shares, Detection(sample.label.coco_keypoints[:, :2].astype(float), np.ones(17)))  # fmt: skip
    asked = replace(sample, prompt=Prompt("", {"top_color": "blue", "scene": "moon", "mood": "gay"}))
    scores = observer_scores(seen, asked)
    shown = {"shown_top_color": 0.3, "shown_scene": None, "shown_skin": None}
    assert scores == {"second_oks": 1.0, **shown, "prompt_shown": 0.3}
    both = replace(sample, prompt=Prompt("", {"top_color": "blue", "scene": "park"}))
    assert observer_scores(seen, both)["prompt_shown"] == pytest.approx(0.6)
    assert observer_scores(seen, replace(sample, prompt=None))["prompt_shown"] is None
    (scored,) = stage([asked])
    assert scores.keys() <= scored.scores.keys() and scored.scores["shown_scene"] is None
    assert 0 <= scored.scores["shown_top_color"] <= 1 and 0 <= scored.scores["second_oks"] <= 1


class Foreseer:
    """A learner that knows the answers, a given number of metres and pixels beside them; it counts its questions."""

    identity = "foreseer"

    def __init__(self, labels, metres: float = 0.0, pixels: float = 0.0) -> None:
        self.labels, self.metres, self.pixels, self.asked, self.is_set_up = labels, metres, pixels, [], False

    def setup(self):
        self.is_set_up = True
        return self

    def estimate(self, pictures, bboxes, Ks):
        self.asked.append(len(pictures))
        found = []
        for label, bbox, K in zip(self.labels, bboxes, Ks, strict=True):
            assert np.array_equal(bbox, label.bbox) and np.array_equal(K, label.K)
            joints = label.joints_cam[:22].astype(np.float64).copy()
            joints[21] += [self.metres, 0.0, 0.0]
            found.append(MeshEstimate(joints, label.coco_keypoints[:, :2].astype(np.float64) + self.pixels, None))
        return found


def test_the_learner_is_asked_once_about_all_pictures_that_can_be_scored(sample: Sample) -> None:
    learner = Foreseer([sample.label] * 2)
    stage = MiningStage(threads=1, learner=learner)
    stage.setup()
    bare, rejected = replace(sample, image=None), replace(sample, verdict=Verdict("rejected", "truncated"))
    found = stage([sample, bare, rejected, sample])
    assert learner.is_set_up and learner.asked == [2]
    for scored in (found[0], found[3]):
        assert scored.scores["learner_oks"] == pytest.approx(1.0)
        assert scored.scores["learner_pa_mpjpe_mm"] == pytest.approx(0.0, abs=1e-3)
        assert scored.scores["difficulty"] == scored.scores["learner_pa_mpjpe_mm"]
    assert "difficulty" not in found[1].scores and found[2] is rejected


def test_a_learner_that_is_off_is_told_so_and_one_that_moves_the_person_is_not(sample: Sample) -> None:
    label = sample.label
    near, far = (
        MiningStage(threads=1, learner=Foreseer([label], metres, 30.0)).ask_learner([sample])[0]
        for metres in (0.05, 0.5)
    )
    assert 0 < near["difficulty"] < far["difficulty"] < 1000 * 0.5
    assert near["learner_oks"] == far["learner_oks"] < 0.5
    moved = Foreseer([replace(label, joints_cam=label.joints_cam + 3.0)])
    assert MiningStage(threads=1, learner=moved).ask_learner([sample])[0]["difficulty"] == pytest.approx(0, abs=1e-3)
