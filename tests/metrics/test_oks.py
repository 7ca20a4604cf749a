"""Laws of the keypoint similarity, and parity with pycocotools."""

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from posedreamer.geometry.skeletons import COCO_SIGMAS
from posedreamer.metrics.oks import oks, oks_coco, oks_per_joint, oks_posedreamer


def random_case(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    expected = np.column_stack([rng.uniform(0, 512, (17, 2)), rng.integers(0, 3, 17)])
    detected = expected[:, :2] + rng.normal(0, 20, (17, 2))
    return detected, expected, float(rng.uniform(100, 40000))


def test_identical_is_one() -> None:
    detected, expected, area = random_case(np.random.default_rng(0))
    assert oks(expected[:, :2], expected, area) == 1.0
    assert oks_coco(expected[:, :2], expected, area) == 1.0
    assert oks_posedreamer(expected[:, :2], np.ones(17), expected[:, :2]) == 1.0
    assert oks(detected, expected, area) < 1.0


def test_shift_has_the_closed_form() -> None:
    """A joint that is off by kappa * sqrt(area) scores exp(-1/2)."""
    area = 10_000.0
    expected = np.column_stack([np.full((17, 2), 200.0), np.full(17, 2.0)])
    detected = expected[:, :2].copy()
    detected[:, 0] += 2 * COCO_SIGMAS * np.sqrt(area)
    np.testing.assert_allclose(oks_per_joint(detected, expected[:, :2], area), np.exp(-0.5), rtol=1e-12)


def test_scale_does_not_matter() -> None:
    """Ten times the picture, a hundred times the area: the same score."""
    detected, expected, area = random_case(np.random.default_rng(1))
    larger = expected * [10, 10, 1]
    np.testing.assert_allclose(oks(detected * 10, larger, area * 100), oks(detected, expected, area), rtol=1e-12)


def test_only_counted_joints_matter() -> None:
    detected, expected, area = random_case(np.random.default_rng(2))
    expected[:, 2] = [2] * 5 + [1] * 6 + [0] * 6
    spoiled = detected.copy()
    spoiled[11:] += 1000
    assert oks_coco(spoiled, expected, area) == oks_coco(detected, expected, area)
    spoiled[5:11] += 1000
    assert oks(spoiled, expected, area) == oks(detected, expected, area)
    assert oks_coco(spoiled, expected, area) < oks_coco(detected, expected, area)


def test_no_joint_is_nan() -> None:
    detected, expected, area = random_case(np.random.default_rng(3))
    expected[:, 2] = 1
    assert np.isnan(oks(detected, expected, area))
    assert np.isfinite(oks_coco(detected, expected, area))
    expected[:, 2] = 0
    assert np.isnan(oks_coco(detected, expected, area))
    assert np.isnan(oks_posedreamer(detected, np.zeros(17), expected[:, :2]))


def test_negative_area_is_refused() -> None:
    detected, expected, _ = random_case(np.random.default_rng(4))
    with pytest.raises(ValueError, match="area"):
        oks(detected, expected, -1.0)


def test_batches_equal_single_cases() -> None:
    cases = [random_case(np.random.default_rng(seed)) for seed in range(5)]
    together = oks(*(np.stack(parts) for parts in zip(*cases, strict=True)))
    np.testing.assert_array_equal(together, [oks(*case) for case in cases])


def test_posedreamer_takes_area_from_the_detection() -> None:
    """Joints under the confidence limit and labels at or left of the edge do not count; area = box of those that do."""
    rng = np.random.default_rng(5)
    detected, label = rng.uniform(50, 400, (2, 17, 2))
    confidence = np.where(np.arange(17) < 12, 0.9, 0.3)
    label[0, 0] = 0.0
    counting = slice(1, 12)
    area = float(np.prod(np.ptp(detected[counting], axis=0)))
    expected = oks_per_joint(detected, label, area)[counting].mean()
    assert oks_posedreamer(detected, confidence, label) == pytest.approx(expected, rel=1e-12)


def test_equals_pycocotools() -> None:
    """1,000 random cases, at least one joint labelled in each: the same floats to 1e-9."""
    rng = np.random.default_rng(6)
    for _ in range(1000):
        detected, expected, area = random_case(rng)
        expected[0, 2] = 2
        box = [0.0, 0.0, 512.0, 512.0]
        shared = {"image_id": 1, "category_id": 1, "id": 1, "bbox": box, "area": area, "iscrowd": 0, "ignore": 0}
        annotation = shared | {"keypoints": expected.ravel().tolist(), "num_keypoints": 17}
        result = shared | {"keypoints": np.column_stack([detected, np.ones(17)]).ravel().tolist(), "score": 1.0}
        evaluation = COCOeval(None, None, "keypoints")
        evaluation._gts[1, 1].append(annotation)
        evaluation._dts[1, 1].append(result)
        assert oks_coco(detected, expected, area) == pytest.approx(evaluation.computeOks(1, 1)[0, 0], abs=1e-9)
