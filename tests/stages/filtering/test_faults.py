"""A planted fault changes what it says, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.estimators.head_pose import FROM_COCO, FROM_OUTPUT, head_turn
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
    once = plant("mirrored limbs", sample)
    assert once is not None and changed(sample, once).mean() > 0.3
    again = plant("mirrored limbs", once)
    near = widen(sample.condition.mask, 3)
    assert not changed(sample, again)[near].any()
    symmetric = replace(sample, label=replace(sample.label, coco_keypoints=symmetric_keypoints(sample)))
    assert plant("mirrored limbs", symmetric) is None


def symmetric_keypoints(sample: Sample) -> np.ndarray:
    """All joints on the vertical line through the middle of the box."""
    keypoints = sample.label.coco_keypoints.copy()
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
    after = plant("wrong head direction", sample)
    if after is None:
        pytest.skip("the sample's head faces away")
    rest = np.setdiff1d(np.arange(127), FROM_OUTPUT)
    assert (after.label.joints_cam[rest] == sample.label.joints_cam[rest]).all()
    keypoints = np.zeros((17, 2))
    keypoints[FROM_COCO] = sample.label.keypoints[FROM_OUTPUT]
    found = head_turn(keypoints, np.ones(17), after.label.joints_cam, after.label.K)
    assert HEAD_TURNS[0] - 6 < found.degrees < HEAD_TURNS[1] + 6


def test_an_empty_scene_is_the_scene(sample: Sample) -> None:
    after = plant("empty scene", sample)
    gone = changed(sample, after)
    near = widen(sample.condition.mask, round(0.09 * sample.label.bbox[2:].max()))
    assert not gone[~near].any() and gone[sample.condition.mask].mean() > 0.9


@pytest.mark.parametrize(("name", "contrast"), [("wash-out", (0.2, 0.3)), ("blur", (0.6, 1.0)), ("tint", (0.7, 1.1))])
def test_the_whole_picture_suffers(sample: Sample, name: str, contrast: tuple[float, float]) -> None:
    after = plant(name, sample)
    assert contrast[0] < after.image.rgb.std() / sample.image.rgb.std() < contrast[1]
