"""Stage 3: how well the picture shows the label, by the judge; for every sample, all scores.

oks, oks_coco, oks_posedreamer     metrics/oks.py; None where no joint counts
oks_joint_<coco name>              each joint by itself; None where the label's joint lies outside the image
judge_confidence                   mean confidence of the judge's 17 joints: low where nobody is to be found
difficulty                         None: the place of a learner's error, for a round that has a learner
"""

from dataclasses import replace

import numpy as np

from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.geometry.skeletons import COCO_KEYPOINTS
from posedreamer.metrics.oks import oks, oks_coco, oks_per_joint, oks_posedreamer
from posedreamer.sample import Sample, failed


class MiningStage:
    """Scores by the judge. `setup` loads its weights; threads: of torch, in this process."""

    def __init__(self, threads: int) -> None:
        self.detector = KeypointDetector(threads)

    def setup(self) -> None:
        self.detector.setup()

    def __call__(self, samples: list[Sample]) -> list[Sample]:
        return [self.score(sample) if sample.is_pending else sample for sample in samples]

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
            "difficulty": None,
        }
        for name, value, level in zip(COCO_KEYPOINTS, per_joint, expected[:, 2], strict=True):
            scores[f"oks_joint_{name}"] = float(value) if level > 0 else None
        return replace(sample, scores={**sample.scores, **scores})


def _number(value: float | np.ndarray) -> float | None:
    return None if np.isnan(value) else float(value)
