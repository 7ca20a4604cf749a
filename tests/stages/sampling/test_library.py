"""The library: what it holds, and that every pose of it is possible."""

import numpy as np
import pytest
import yaml

from posedreamer.bodies.catalog import load_body
from posedreamer.stages.sampling.library import POSES, PoseLibrary, load_library, parse_pose
from posedreamer.stages.sampling.library_source import pose_to_draw
from posedreamer.stages.sampling.limits import load_joint_limits
from posedreamer.stages.sampling.penetration import PARTS, PenetrationCheck

LIBRARY = load_library()
FAMILIES = ("acrobatic", "dance", "everyday", "floor", "sport", "work", "yoga")


@pytest.fixture(scope="module")
def check() -> PenetrationCheck:
    return PenetrationCheck(load_body())


def test_the_library_is_as_large_as_promised() -> None:
    assert len(LIBRARY.poses) >= 56
    assert LIBRARY.families() == FAMILIES
    yoga = [pose for pose in LIBRARY.poses.values() if pose.family == "yoga"]
    assert len(yoga) >= 16
    assert all(pose.sanskrit and pose.title and pose.tags for pose in yoga)
    assert len({pose.sanskrit for pose in yoga}) == len(yoga)


@pytest.mark.parametrize("name", LIBRARY.poses)
def test_every_pose_is_possible(name: str, check: PenetrationCheck) -> None:
    pose = LIBRARY.poses[name]
    assert load_joint_limits().violations(pose.body_pose) == []
    hand_mean = check.body.get_buffer("hand_mean").numpy()
    assert check(pose_to_draw(pose, hand_mean), pose.contacts) == []


@pytest.mark.parametrize("name", LIBRARY.poses)
def test_contacts_name_parts_of_the_body(name: str) -> None:
    assert {part for pair in LIBRARY.poses[name].contacts for part in pair} <= set(PARTS)


def test_no_two_poses_are_alike() -> None:
    flat = np.stack([np.r_[pose.global_orient, pose.body_pose.ravel()] for pose in LIBRARY.poses.values()])
    distance = np.linalg.norm(flat[:, None] - flat[None], axis=-1) + 10 * np.eye(len(flat))
    assert distance.min() > 0.5


def test_plurals_and_shares() -> None:
    pose = parse_pose("a", "f", {"title": "a", "joints": {"knees": [30], "spine": [30], "shoulders": [0, 90]}}, "here")
    np.testing.assert_allclose(pose.body_pose[[3, 4], 0], np.radians(30))
    np.testing.assert_allclose(pose.body_pose[[2, 5, 8], 0], np.radians(10))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"title": "a", "joints": {"knee": [3]}}, "unknown joint knee"),
        ({"title": "a", "joints": {"knees": [3], "left_knee": [4]}}, "second time"),
        ({"title": "a", "joints": {"knees": [1, 2, 3, 4]}}, "one to three angles"),
        ({"title": "a", "joints": {}, "hands": "claw"}, "hand shape 'claw'"),
        ({"title": "a", "joints": {}, "colour": "red"}, "colour"),
        ({"joints": {}}, "expected title"),
    ],
)
def test_what_is_wrong_with_a_pose_is_said(entry: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_pose("a", "f", entry, "poses.yaml: a")


def test_a_name_stands_once(tmp_path) -> None:
    for family in ("a", "b"):
        (tmp_path / f"{family}.yaml").write_text(yaml.safe_dump({"twin": {"title": "t", "joints": {}}}))
    with pytest.raises(ValueError, match="twin"):
        PoseLibrary.from_directory(tmp_path)
    with pytest.raises(ValueError, match=r"no \.yaml"):
        PoseLibrary.from_directory(tmp_path / "none")
    assert sorted(path.stem for path in POSES.glob("*.yaml")) == list(FAMILIES)
