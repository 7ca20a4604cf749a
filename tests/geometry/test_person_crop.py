"""Laws of person crops: what is projected into the picture and moved by the homography is what the turned camera sees."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedreamer.geometry.cameras import make_K, project
from posedreamer.geometry.person_crop import MARGIN, look_at_person

places = st.floats(20.0, 200.0)


def moved(homography, pixels):
    homogeneous = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1) @ homography.T
    return homogeneous[:, :2] / homogeneous[:, 2:]


@settings(max_examples=40, deadline=None)
@given(x=places, y=places, width=st.floats(5.0, 90.0), height=st.floats(5.0, 90.0), zoom=st.floats(0.7, 1.4), right=st.floats(-0.2, 0.2), down=st.floats(-0.2, 0.2), roll=st.floats(-3.0, 3.0))  # fmt: skip
def test_crop_of_a_projection_is_the_projection_into_the_crop(x, y, width, height, zoom, right, down, roll):
    K = make_K(310.0, 256, 256)
    crop = look_at_person(np.array([x, y, width, height]), K, 128, zoom=zoom, shift=(right, down), roll=roll)
    points = np.random.default_rng(0).normal(size=(20, 3)) * 0.3 + np.array([0.0, 0.0, 4.0])
    expected = project(points @ crop.R_crop_from_cam.T, crop.K)
    np.testing.assert_allclose(moved(crop.homography, project(points, K)), expected, atol=1e-6)
    np.testing.assert_allclose(crop.R_crop_from_cam @ crop.R_crop_from_cam.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(crop.R_crop_from_cam) == pytest.approx(1.0)


def test_the_box_fills_the_crop_but_for_the_margin_and_upright_stays_upright():
    K = make_K(400.0, 256, 256)
    box = np.array([108.0, 88.0, 40.0, 80.0])
    crop = look_at_person(box, K, 100)
    corners = np.array([[128.0, 88.0], [128.0, 168.0], [128.0, 128.0]])
    seen = moved(crop.homography, corners)
    np.testing.assert_allclose(seen[:, 0], 50.0, atol=1e-9)
    np.testing.assert_allclose(seen[1, 1] - seen[0, 1], 100 / MARGIN, rtol=0.02)
    np.testing.assert_allclose(seen[2, 1], 50.0, atol=1e-9)
    nearer = moved(look_at_person(box, K, 100, zoom=1.2).homography, corners)
    np.testing.assert_allclose(nearer[1, 1] - nearer[0, 1], 1.2 * (seen[1, 1] - seen[0, 1]), rtol=0.02)


def test_a_roll_turns_clockwise_and_a_shift_moves_the_middle_away():
    K = make_K(400.0, 256, 256)
    box = np.array([108.0, 108.0, 40.0, 40.0])
    above = np.array([[128.0, 118.0]])
    rolled = moved(look_at_person(box, K, 100, roll=np.pi / 2).homography, above)
    assert rolled[0, 0] > 60 and rolled[0, 1] == pytest.approx(50.0)
    shifted = moved(look_at_person(box, K, 100, shift=(0.1, 0.0)).homography, np.array([[128.0, 128.0]]))
    assert shifted[0, 0] == pytest.approx(40.0, abs=0.1)


def test_an_empty_box_is_an_error():
    with pytest.raises(ValueError, match="empty box"):
        look_at_person(np.array([3.0, 4.0, 0.0, 0.0]), make_K(400.0, 256, 256), 100)
