"""Laws of the observer that need no training."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from posedreamer.estimators.observer import INPUT_SIZE, Observer, ObserverNet, to_input
from posedreamer.rendering.attributes import VALUES


@pytest.fixture(scope="module")
def observer(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "observer.safetensors"
    torch.manual_seed(0)
    save_file({key: value.half() for key, value in ObserverNet().state_dict().items()}, path)
    return Observer().setup(path)


def pictures(count=3, height=80, width=120):
    return list(np.random.default_rng(0).integers(0, 256, (count, height, width, 3)).astype(np.uint8))


def test_an_observation_has_the_picture_s_size_and_every_attribute(observer):
    (seen,) = observer.observe(pictures(1))
    assert seen.body.shape == (80, 120) and seen.body.min() >= 0 and seen.body.max() <= 1
    assert {name: tuple(shares) for name, shares in seen.attributes.items()} == VALUES
    for name, shares in seen.attributes.items():
        assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)
        assert shares[seen.value(name)] == max(shares.values())


def test_neighbours_in_a_batch_change_nothing(observer):
    three = pictures()
    together = observer.observe(three)
    alone = [observer.observe([picture])[0] for picture in three]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.keypoints.keypoints, other.keypoints.keypoints, atol=0.5)
        np.testing.assert_allclose(one.body, other.body, atol=1e-5)
        assert one.attributes["top"] == pytest.approx(other.attributes["top"], abs=1e-5)


def test_keypoints_are_in_the_picture_s_pixels(observer):
    """Twice as large a picture has them twice as far away."""
    (picture,) = pictures(1, INPUT_SIZE, INPUT_SIZE)
    large = picture.repeat(2, axis=0).repeat(2, axis=1)
    one, other = (seen.keypoints for seen in observer.observe([picture, large]))
    np.testing.assert_allclose(2 * one.keypoints, other.keypoints, atol=1e-3)
    assert one.keypoints.min() >= 0 and one.keypoints.max() <= INPUT_SIZE
    assert 0 <= one.confidence.min() and one.confidence.max() <= 1


def test_black_is_minus_one_and_white_is_one():
    assert (to_input(np.zeros((30, 50, 3), np.uint8)) == -1).all()
    assert (to_input(np.full((INPUT_SIZE, INPUT_SIZE, 3), 255, np.uint8)) == 1).all()


def test_it_says_when_setup_was_forgotten():
    with pytest.raises(ValueError, match=r"call setup\(\)"):
        Observer().observe(pictures(1))
