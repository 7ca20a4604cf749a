"""A planted fault changes what it says, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import pose_bodies, rest_parameters
from posedreamer.estimators.head_pose import FROM_COCO, FROM_OUTPUT, head_turn
from posedreamer.geometry.cameras import make_K, project
from posedreamer.geometry.rotations import rotvec_to_rotmat
from posedreamer.geometry.skeletons import COCO_KEYPOINTS, mirror_permutation
from posedreamer.sample import Sample
from posedreamer.stages.filtering.faults import FAULTS, HEAD_TURNS
from posedreamer.stages.filtering.fill import widen


def plant(name: str, sample: Sample, other: Sample | None = None, seed: int = 0) -> Sample | None:
    return FAULTS[name](sample, sample if other is None else other, load_body(), np.random.default_rng(seed))


def changed(before: Sample, after: Sample | None) -> np.ndarray:
    return (before.image.rgb != after.image.rgb).any(axis=2)


@pytest.mark.parametrize("name", list(FAULTS))
def test_the_same_draws_give_the_same_fault_and_the_sample_stays_as_it_was(sample: Sample, name: str) -> None:
    before = sample.image.rgb.copy()
    one, other = plant(name, sample), plant(name, sample)
    assert (sample.image.rgb == before).all()
    assert (one is None) == (other is None)
    if one is not None:
        assert (one.image.rgb == other.image.rgb).all() and (one.label.keypoints == other.label.keypoints).all()


def test_a_mirror_image_twice_is_the_picture(sample: Sample) -> None:
    """Within what never left it. On a label that fits its own mirror image it is no fault."""
    keypoints = sample.label.coco_keypoints.copy()
    keypoints[:, :2] += np.random.default_rng(0).uniform(-40, 40, (17, 2)).astype(np.float32)
    sample = replace(sample, label=replace(sample.label, coco_keypoints=keypoints))
    once = plant("mirrored limbs", sample)
    assert once is not None and changed(sample, once).mean() > 0.3
    again = plant("mirrored limbs", once)
    near = widen(sample.condition.mask, 3)
    assert not changed(sample, again)[near].any()
    symmetric = replace(sample, label=replace(sample.label, coco_keypoints=symmetric_keypoints(sample)))
    assert plant("mirrored limbs", symmetric) is None


def symmetric_keypoints(sample: Sample) -> np.ndarray:
    """All joints on the vertical line through the middle of the box, left ones where right ones are."""
    keypoints = sample.label.coco_keypoints.copy()
    keypoints[:, 1] = (keypoints[:, 1] + keypoints[mirror_permutation(COCO_KEYPOINTS), 1]) / 2
    keypoints[:, 0] = sample.label.bbox[0] + sample.label.bbox[2] / 2
    return keypoints


def test_a_shift_is_a_fifth_of_the_person(sample: Sample) -> None:
    after = plant("shifted pose", sample)
    grey, moved = (s.image.rgb.mean(axis=2) - s.image.rgb.mean() for s in (sample, after))
    # The two pictures correlate best at the shift.
    spectrum = np.fft.ifft2(np.fft.fft2(moved) * np.fft.fft2(grey).conj()).real
    peak = np.array(np.unravel_index(spectrum.argmax(), spectrum.shape))
    step = np.where(peak > 80, peak - 160, peak)
    assert np.linalg.norm(step) == pytest.approx(0.2 * sample.label.bbox[2:].max(), abs=2.0)


def test_the_second_person_stands_off_the_first(sample: Sample) -> None:
    rgb = np.full_like(sample.image.rgb, 7)
    other = replace(sample, image=replace(sample.image, rgb=rgb))
    found = [after for seed in range(5) if (after := plant("second person", sample, other, seed)) is not None]
    assert found
    for after in found:
        pasted = changed(sample, after)
        assert pasted.any() and not (pasted & widen(sample.condition.mask, 4)).any()
        assert (after.image.rgb[pasted] == 7).mean() > 0.95


def test_an_arm_goes_from_the_elbow_on(sample: Sample) -> None:
    found = [after for seed in range(4) if (after := plant("missing arm", sample, seed=seed)) is not None]
    for after in found:
        gone = changed(sample, after)
        places = np.argwhere(gone)[:, ::-1]
        reach = 0.25 * sample.label.bbox[2:].max()
        ends = sample.label.coco_keypoints[7:11, :2]
        distance = np.linalg.norm(places[:, None] - ends[None], axis=2).min(axis=1)
        assert gone.any() and (distance < reach).all()


def test_a_head_turns_by_what_is_drawn_and_takes_no_other_joint_along(sample: Sample) -> None:
    """A body at rest that faces the camera from afar."""
    (posed,) = pose_bodies(load_body(), [rest_parameters()])
    joints = (posed.joints @ rotvec_to_rotmat(np.array([np.pi, 0.0, 0.0])).T + [0.0, 0.0, 60.0]).astype(np.float32)
    K = make_K(20000.0, 160, 160)
    keypoints = project(joints.astype(np.float64), K).astype(np.float32)
    facing = replace(sample, label=replace(sample.label, joints_cam=joints, keypoints=keypoints, K=K))
    after = plant("wrong head direction", facing)
    assert after is not None
    rest = np.setdiff1d(np.arange(127), FROM_OUTPUT)
    assert (after.label.joints_cam[rest] == joints[rest]).all()
    seen = np.zeros((17, 2))
    seen[FROM_COCO] = keypoints[FROM_OUTPUT]
    found = head_turn(seen, np.ones(17), after.label.joints_cam, K)
    assert HEAD_TURNS[0] - 3 < found.degrees < HEAD_TURNS[1] + 3
    np.testing.assert_allclose(after.label.coco_keypoints[FROM_COCO, :2], after.label.keypoints[FROM_OUTPUT])
    turned = joints @ rotvec_to_rotmat(np.array([0.0, np.pi, 0.0])).T + np.array([0.0, 0.0, 120.0])
    away = replace(facing, label=replace(facing.label, joints_cam=turned.astype(np.float32)))
    assert plant("wrong head direction", away) is None


def test_an_empty_scene_is_the_scene(sample: Sample) -> None:
    after = plant("empty scene", sample)
    gone = changed(sample, after)
    near = widen(sample.condition.mask, round(0.09 * sample.label.bbox[2:].max()))
    assert not gone[~near].any() and gone[sample.condition.mask].mean() > 0.9


@pytest.mark.parametrize(("name", "contrast"), [("wash-out", (0.2, 0.3)), ("blur", (0.6, 1.0)), ("tint", (0.7, 1.1))])
def test_the_whole_picture_suffers(sample: Sample, name: str, contrast: tuple[float, float]) -> None:
    after = plant(name, sample)
    assert contrast[0] < after.image.rgb.std() / sample.image.rgb.std() < contrast[1]
