"""The judge finds people on real photos, nobody where nobody is, and the same pose wherever the person stands."""

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import skimage.data

from posedreamer.estimators.keypoints import (
    Detection,
    KeypointDetector,
    Square,
    cut,
    person_square,
    turned_back,
    whole_square,
)
from posedreamer.geometry.skeletons import COCO_KEYPOINTS


@pytest.fixture(scope="module")
def detector() -> KeypointDetector:
    return KeypointDetector(threads=1).setup()


def astronaut() -> np.ndarray:
    return np.ascontiguousarray(skimage.data.astronaut()[..., :3])


def camera() -> np.ndarray:
    return np.repeat(skimage.data.camera()[..., None], 3, axis=2)


def grace_hopper() -> np.ndarray:
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


# Where a human eye sees them, pixels; 12 px is a quarter of a head here.
SEEN = {
    "astronaut": (astronaut, {"nose": (224, 125), "left_eye": (245, 104), "right_eye": (203, 102)}, 11),
    "camera": (camera, {"nose": (246, 158), "right_shoulder": (88, 168)}, 12),
    "grace_hopper": (grace_hopper, {"nose": (261, 225), "left_eye": (304, 193), "right_eye": (219, 193)}, 7),
}


@pytest.mark.parametrize("name", SEEN)
def test_finds_people_on_real_photos(detector: KeypointDetector, name: str) -> None:
    make, seen, found = SEEN[name]
    detection = detector.detect(make())
    assert (detection.confidence > 0.3).sum() >= found
    for joint, place in seen.items():
        index = COCO_KEYPOINTS.index(joint)
        assert detection.confidence[index] > 0.5
        assert np.linalg.norm(detection.keypoints[index] - place) < 12, (joint, detection.keypoints[index])


@pytest.mark.parametrize("name", ["coffee", "cat", "rocket", "gravel", "brick", "grass", "moon", "page", "coins"])
def test_finds_nobody_on_empty_photos(detector: KeypointDetector, name: str) -> None:
    photo = getattr(skimage.data, name)()
    photo = photo if photo.ndim == 3 else np.repeat(photo[..., None], 3, axis=2)
    # People on the photos above: .30 and more.
    assert detector.detect(np.ascontiguousarray(photo)).confidence.mean() < 0.25


def test_moves_with_the_picture(detector: KeypointDetector) -> None:
    """A black border on one side moves the keypoints by its width; 8 px = 1/75 of the longer side."""
    bordered = cv2.copyMakeBorder(astronaut(), 0, 0, 90, 0, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    plain, moved = detector.detect(astronaut()), detector.detect(bordered)
    sure = plain.confidence > 0.65  # a hip under a suit is a guess
    np.testing.assert_allclose(moved.keypoints[sure], plain.keypoints[sure] + [90, 0], atol=8)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_finds_people_who_lie_or_stand_on_their_heads(detector: KeypointDetector, quarters: int) -> None:
    """The turned picture gives the turned keypoints; 4 px = 1/128 of the picture."""
    picture = np.ascontiguousarray(camera()[:, :480])
    plain, turned = detector.detect(picture), detector.detect(np.ascontiguousarray(np.rot90(picture, quarters)))
    sure = plain.confidence > 0.5
    assert sure.sum() > 8
    back = turned_back(turned, quarters, *picture.shape[:2])
    np.testing.assert_allclose(back.keypoints[sure], plain.keypoints[sure], atol=4)


@pytest.mark.parametrize("quarters", range(5))
def test_turned_keypoints_lie_where_the_turned_pixel_does(quarters: int) -> None:
    picture = np.zeros((30, 50), np.uint8)
    picture[4, 17] = 1
    ((row, column),) = np.argwhere(np.rot90(picture, quarters))
    there = np.tile(np.array([column + 0.5, row + 0.5], np.float32), (17, 1))
    back = turned_back(Detection(there, np.ones(17, np.float32)), quarters, 30, 50)
    np.testing.assert_allclose(back.keypoints, np.tile([17.5, 4.5], (17, 1)))


def test_finds_a_person_in_the_corner(detector: KeypointDetector) -> None:
    """Half as large, in a corner: found where the middle has no preference."""
    scene = np.repeat(skimage.data.grass()[..., None], 3, axis=2)
    scene[-200:, -200:] = cv2.resize(astronaut(), (200, 200), interpolation=cv2.INTER_AREA)
    found = detector.detect_anywhere(scene)
    nose = COCO_KEYPOINTS.index("nose")
    expected = np.array([224.0, 125.0]) * 200 / 512 + 312
    assert found.confidence[nose] > 0.5 and np.linalg.norm(found.keypoints[nose] - expected) < 8


@pytest.mark.parametrize(("picture", "looks"), [(np.full((256, 256, 3), 128, np.uint8), 1), (astronaut(), 2)])
def test_what_nobody_is_in_is_not_looked_at_closer(detector, monkeypatch, picture, looks) -> None:
    squares, locate = [], detector._locate
    monkeypatch.setattr(detector, "_locate", lambda rgb, square, *more: squares.append(square) or locate(rgb, square, *more))  # fmt: skip
    detector.detect_anywhere(picture)
    assert len(squares) == looks and squares[0] == whole_square(*picture.shape[:2])


def test_batch_equals_single(detector: KeypointDetector) -> None:
    """To the last bit, whatever stands beside it."""
    together = detector.detect_batch([camera(), astronaut()[:300]])
    alone = detector.detect(astronaut()[:300])
    np.testing.assert_array_equal(together[1].keypoints, alone.keypoints)
    np.testing.assert_array_equal(together[1].confidence, alone.confidence)


def test_cut_keeps_places() -> None:
    """A white pixel block lands where the square says, over the picture's edge too."""
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[8:12, 20:24] = 255
    square = Square(-10, -20, 80)
    small = cut(picture, square, 20)[..., 0]
    row, column = np.average(np.argwhere(small > 0) + 0.5, axis=0, weights=small[small > 0])
    assert (column * 4 + square.x, row * 4 + square.y) == pytest.approx((22, 10), abs=1e-9)
    assert cut(picture, Square(100, 100, 8), 20).max() == 0
    assert cut(picture, Square(-30, -30, 8), 20).max() == 0


def test_whole_square_holds_the_picture_in_its_middle() -> None:
    assert whole_square(40, 60) == Square(0, -10, 60)
    assert whole_square(60, 40) == Square(-10, 0, 60)


def test_person_square_holds_the_confident_keypoints(detector: KeypointDetector) -> None:
    detection = detector.detect(astronaut())
    x, y, side = person_square(detection, 512, 512)
    points = detection.keypoints[detection.confidence >= 0.2]
    assert (points >= [x, y]).all() and (points <= [x + side, y + side]).all()


def test_setup_comes_first() -> None:
    with pytest.raises(ValueError, match="setup"):
        KeypointDetector(threads=1).detect(astronaut())
    with pytest.raises(ValueError, match="threads"):
        KeypointDetector(threads=0)
