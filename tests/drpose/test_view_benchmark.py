"""The benchmark in closed form: a judge that knows, one that errs by a known amount, and pictures that differ by a known amount."""

import numpy as np
import pytest
import torch

from posedreamer.drpose.benchmark import JUDGED_SIZE, measure_looks, measure_poses, read_keypoints, silhouette_area
from posedreamer.drpose.views import VIEWS, project_to_views
from posedreamer.estimators.keypoints import Detection, KeypointDetector
from posedreamer.geometry.skeletons import COCO_FROM_OUTPUT

SIZE, DIAGONAL = 64, 2.0
AREA = np.full((2, 6), 400.0)


@pytest.fixture
def joints():
    return np.random.default_rng(0).uniform(-0.4, 0.4, (2, 127, 3)).astype(np.float32)


class Told(KeypointDetector):
    """A judge that answers one after the other."""

    def __init__(self, answers):
        self.answers, self.seen = iter(answers), []

    def detect(self, rgb):
        self.seen.append(rgb)
        return next(self.answers)


def answers(joints, off=0.0, confidence=1.0):
    points = project_to_views(torch.from_numpy(joints[:, COCO_FROM_OUTPUT].astype(float)), JUDGED_SIZE, as_stored=False)
    return [
        Detection(points[subject, view, :, :2].numpy() + off, np.full(17, confidence))
        for subject in range(2)
        for view in range(6)
    ]


def blank():
    return np.full((2, 6, SIZE, SIZE, 3), 255, np.uint8)


def test_a_judge_that_knows_finds_no_error(joints):
    found = measure_poses(blank(), joints, np.full(2, DIAGONAL), AREA, Told(answers(joints)))
    np.testing.assert_allclose(found.oks, 1.0, atol=1e-9)
    np.testing.assert_allclose(found.mpjpe_mm, 0.0, atol=1e-3)
    np.testing.assert_allclose(found.pa_mpjpe_mm, 0.0, atol=1e-3)


def test_a_common_shift_counts_in_no_3d_error_but_in_every_view(joints):
    """All views see the body lower: in 3D it is lower as a whole."""
    moved = measure_poses(blank(), joints, np.full(2, DIAGONAL), AREA, Told(answers(joints, off=np.array([0.0, 4.0]))))
    np.testing.assert_allclose(moved.mpjpe_mm, 0.0, atol=1e-3)
    assert (moved.oks < 0.999).all()


def test_one_wrong_joint_costs_its_distance_over_the_number_of_joints(joints):
    told = answers(joints)
    for detection in told:
        detection.keypoints[0, 1] += 0.1 * JUDGED_SIZE  # the nose, a tenth of the diagonal lower in every view
    found = measure_poses(blank(), joints, np.full(2, DIAGONAL), AREA, Told(told))
    # 17 keypoints and the middle of the hips.
    np.testing.assert_allclose(found.mpjpe_mm, 1000 * 0.1 * DIAGONAL / 18, rtol=1e-4)


def test_a_larger_body_is_no_error_once_sizes_are_aligned(joints):
    told = answers(joints)
    middle = JUDGED_SIZE / 2
    grown = [Detection(middle + 1.1 * (found.keypoints - middle), found.confidence) for found in told]
    found = measure_poses(blank(), joints, np.full(2, DIAGONAL), AREA, Told(grown))
    assert (found.mpjpe_mm > 10.0).all()
    np.testing.assert_allclose(found.pa_mpjpe_mm, 0.0, atol=1e-3)


def test_views_that_are_unsure_hardly_count(joints):
    told = answers(joints)
    wild = [Detection(d.keypoints + 50.0, np.full(17, 0.01)) if place % 6 == 2 else d for place, d in enumerate(told)]
    found = measure_poses(blank(), joints, np.full(2, DIAGONAL), AREA, Told(wild))
    assert (found.mpjpe_mm < 1.0).all() and (found.oks[:, 2] < 0.5).all()


def test_mirrored_views_are_turned_round_before_the_judge_sees_them(joints):
    colors = blank()
    colors[:, :, :, : SIZE // 4] = 0  # black at the left of every stored view
    judge = Told(answers(joints))
    read_keypoints(colors, judge)
    for view, seen in zip(VIEWS, judge.seen[:6], strict=True):
        assert seen.shape == (JUDGED_SIZE, JUDGED_SIZE, 3)
        assert (seen[:, 0].mean() < 10) != view.is_mirrored and (seen[:, -1].mean() < 10) == view.is_mirrored


def test_looks_in_closed_form():
    rng = np.random.default_rng(0)
    colors = rng.integers(60, 180, (2, 6, SIZE, SIZE, 3), dtype=np.uint8)
    front = np.round(127.5 * (1 + np.array([0.0, 0.0, 1.0]))).astype(np.uint8)
    turned = np.round(127.5 * (1 + np.array([np.sin(0.5), 0.0, np.cos(0.5)]))).astype(np.uint8)
    normals = np.broadcast_to(front, colors.shape).copy()
    same = measure_looks(np.stack([normals, colors], axis=1), normals, colors)
    np.testing.assert_allclose(same.ssim, 1.0)
    np.testing.assert_allclose(same.normal_degrees, 0.0, atol=1e-5)
    np.testing.assert_allclose(same.color_cast, 0.0)
    drawn = np.stack([np.broadcast_to(turned, colors.shape), colors + np.array([10, 0, 20], np.uint8)], axis=1)
    other = measure_looks(drawn, normals, colors)
    np.testing.assert_allclose(other.color_cast, [[10, 0, 20]] * 2)
    np.testing.assert_allclose(other.psnr, 10 * np.log10(255**2 / ((10**2 + 20**2) / 3)))
    np.testing.assert_allclose(other.normal_degrees, np.degrees(0.5), atol=0.5)
    assert (other.ssim < 1.0).all()


def test_without_a_body_there_are_no_normals_to_compare():
    rng = np.random.default_rng(0)
    white, colors = blank(), rng.integers(60, 180, (2, 6, SIZE, SIZE, 3), dtype=np.uint8)
    found = measure_looks(np.stack([white, colors], axis=1), white, colors)
    assert np.isnan(found.normal_degrees).all() and np.isnan(found.color_cast).all() and np.isfinite(found.psnr).all()


def test_the_silhouette_is_what_is_not_white():
    normals = blank()
    normals[0, 3, 5:9, 10:20] = 7
    area = silhouette_area(normals)
    assert area[0, 3] == 40 and area.sum() == 40
