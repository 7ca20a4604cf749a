"""Stage 3: how well the picture shows the label, by the judge; for every sample, all scores.

oks, oks_coco, oks_posedreamer     metrics/oks.py; None where no joint counts
oks_joint_<coco name>              each joint by itself; None where the label's joint lies outside the image
judge_confidence                   mean confidence of the judge's 17 joints: low where nobody is to be found
face_confidence, hands_confidence  the judge's least confidence of the label's facial points and of its elbows and wrists in sight
                                   (v = 2): low where the picture does not show them; None where the label hides them all
head_degrees                       how far the head is turned from the label's (estimators/head_pose.py); None where it faces away, or
                                   the judge is sure of less than three of its points
second_oks                         `oks` by a second judge, the observer (estimators/observer.py), which the first knows nothing of
shown_<attribute>                  the observer's probability that the picture shows the value that the prompt was built from, such as
                                   shown_top_color; None where the prompt says none that the observer knows
prompt_shown                       mean of those that the prompt says: how much of the prompt is to be seen; None where it says none
learner_oks, learner_pa_mpjpe_mm   a mesh estimator's keypoints and joints against the label's, where there is one
difficulty                         learner_pa_mpjpe_mm: how far the learner is from the pose, wherever it puts the person;
                                   None without one

The judge says whether the picture shows the label, the learner whether somebody would recover it: two questions. A picture
that shows another pose is difficult too, so difficulty means something on rows that pass the filters alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from posedreamer.estimators.head_pose import FROM_COCO, head_turn, shows_face
from posedreamer.estimators.keypoints import Detection, KeypointDetector
from posedreamer.estimators.mesh import MeshEstimate, MeshEstimator
from posedreamer.estimators.observer import Observation, Observer
from posedreamer.geometry.skeletons import COCO_KEYPOINTS, NUM_BODY_JOINTS
from posedreamer.metrics.oks import oks, oks_coco, oks_per_joint, oks_posedreamer
from posedreamer.metrics.pose import pa_mpjpe_mm
from posedreamer.sample import Label, Sample, failed

Part = TypeVar("Part")
SURE_OF_POINT, LEAST_HEAD_POINTS = 0.3, 3  # confidence of a point of the head; so many are needed to tell its turn
PARTS = {"face": ("nose", "left_eye", "right_eye"), "hands": ("left_elbow", "right_elbow", "left_wrist", "right_wrist")}


class MiningStage:
    """Scores by the judge, by the observer, and by a learner where there is one. `setup` loads their weights; threads: of torch, in this process."""

    def __init__(self, threads: int, learner: MeshEstimator | None = None) -> None:
        self.detector = KeypointDetector(threads)
        self.observer = Observer(threads)
        self.learner = learner

    def setup(self) -> None:
        self.detector.setup()
        self.observer.setup()
        if self.learner is not None:
            self.learner.setup()

    def __call__(self, samples: list[Sample]) -> list[Sample]:
        scored = [self.score(sample) if sample.is_pending else sample for sample in samples]
        places = [place for place, sample in enumerate(scored) if sample.is_pending]
        for place, seen in zip(
            places, self.observer.observe([_present(scored[k].image).rgb for k in places]), strict=True
        ):
            scored[place] = replace(
                scored[place], scores={**scored[place].scores, **observer_scores(seen, scored[place])}
            )
        for place, scores in zip(places, self.ask_learner([scored[place] for place in places]), strict=True):
            scored[place] = replace(scored[place], scores={**scored[place].scores, **scores})
        return scored

    def ask_learner(self, samples: Sequence[Sample]) -> list[dict[str, float | None]]:
        """The learner's scores of samples that have a picture and a label; without a learner their difficulty is unknown."""
        if self.learner is None:
            return [{"difficulty": None} for _ in samples]
        if not samples:
            return []
        labels = [_present(sample.label) for sample in samples]
        estimates = self.learner.estimate(
            [_present(sample.image).rgb for sample in samples],
            np.stack([label.bbox for label in labels]).astype(np.float64),
            np.stack([label.K for label in labels]),
        )
        return [learner_scores(estimate, sample) for estimate, sample in zip(estimates, samples, strict=True)]

    def score(self, sample: Sample) -> Sample:
        """The sample with its scores; failed when it lacks a part or its picture has another size than the label."""
        label, condition, image = sample.label, sample.condition, sample.image
        if label is None or condition is None or image is None:
            parts = {"label": label, "condition": condition, "image": image}
            return failed(sample, f"no_{next(name for name, part in parts.items() if part is None)}: nothing to score")
        height, width = image.rgb.shape[:2]
        if (width, height) != (label.width, label.height):
            return failed(
                sample, f"image_size: the picture is {width} x {height}, the label {label.width} x {label.height}"
            )
        found = self.detector.detect(image.rgb)
        expected = label.coco_keypoints
        area = float(np.count_nonzero(condition.mask))
        per_joint = oks_per_joint(found.keypoints, expected[:, :2], area)
        scores: dict[str, float | None] = {
            "oks": _number(oks(found.keypoints, expected, area)),
            "oks_coco": _number(oks_coco(found.keypoints, expected, area)),
            "oks_posedreamer": _number(oks_posedreamer(found.keypoints, found.confidence, expected[:, :2])),
            "judge_confidence": float(found.confidence.mean()),
        }
        for name, value, level in zip(COCO_KEYPOINTS, per_joint, expected[:, 2], strict=True):
            scores[f"oks_joint_{name}"] = float(value) if level > 0 else None
        for part, names in PARTS.items():
            shown = [found.confidence[k] for k in map(COCO_KEYPOINTS.index, names) if expected[k, 2] == 2]
            scores[f"{part}_confidence"] = float(min(shown)) if shown else None
        scores["head_degrees"] = _head_degrees(found, label)
        return replace(sample, scores={**sample.scores, **scores})


def _head_degrees(found: Detection, label: Label) -> float | None:
    is_seen = (found.confidence[FROM_COCO] >= SURE_OF_POINT).sum() >= LEAST_HEAD_POINTS
    if not is_seen or not shows_face(label.joints_cam):
        return None
    return head_turn(found.keypoints, found.confidence, label.joints_cam, label.K).degrees


def observer_scores(seen: Observation, sample: Sample) -> dict[str, float | None]:
    """What the observer saw against the sample's label and prompt."""
    label, area = _present(sample.label), float(np.count_nonzero(_present(sample.condition).mask))
    asked = {} if sample.prompt is None else sample.prompt.attributes
    scores = {"second_oks": _number(oks(seen.keypoints.keypoints, label.coco_keypoints, area))}
    shown = {f"shown_{name}": shares.get(asked.get(name, "")) for name, shares in seen.attributes.items()}
    said = [share for share in shown.values() if share is not None]
    return scores | shown | {"prompt_shown": float(np.mean(said)) if said else None}


LEARNER_SCORES = ("learner_oks", "learner_pa_mpjpe_mm", "difficulty")


def learner_scores(estimate: MeshEstimate, sample: Sample) -> dict[str, float | None]:
    """What the estimate is worth against the sample's label; values in the order of LEARNER_SCORES."""
    label, area = _present(sample.label), float(np.count_nonzero(_present(sample.condition).mask))
    error = float(pa_mpjpe_mm(estimate.joints_cam, label.joints_cam[:NUM_BODY_JOINTS]))
    similar = _number(oks(estimate.coco_keypoints, label.coco_keypoints, area))
    return dict(zip(LEARNER_SCORES, (similar, error, error), strict=True))


def _present(part: Part | None) -> Part:
    """A part that `score` has made sure of."""
    assert part is not None
    return part


def _number(value: float | np.ndarray) -> float | None:
    return None if np.isnan(value) else float(value)
