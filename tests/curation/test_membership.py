"""Who belongs to a domain: by the families of the named poses behind a sample, otherwise by nearness to the library."""

import numpy as np
import pytest

from posedreamer.curation.membership import decide, library_poses, load_domain
from posedreamer.curation.pose_distance import PoseSet, concatenate, mirrored
from posedreamer.stages.sampling.library import load_library

LIBRARY = load_library()
YOGA = load_domain("yoga", LIBRARY)
NAMED = list(LIBRARY.poses.values())
POSES = library_poses(LIBRARY)
IN_YOGA = np.array([pose.family in YOGA.families for pose in NAMED])


def jitter(poses, degrees, seed):
    rng = np.random.default_rng(seed)
    return PoseSet(poses.body_pose + rng.normal(0, np.deg2rad(degrees), poses.body_pose.shape), poses.up)


def between(a, b, share):
    """Rotation vectors and ups mixed linearly: near enough to an interpolation for small and moderate angles."""
    up = (1 - share) * POSES.up[a] + share * POSES.up[b]
    body_pose = (1 - share) * POSES.body_pose[a] + share * POSES.body_pose[b]
    return PoseSet(body_pose[None], (up / np.linalg.norm(up))[None])


def test_a_named_pose_belongs_by_its_family_and_by_nothing_else():
    tags = [(pose.family, pose.name, "full_body") for pose in NAMED]
    for poses in (POSES, mirrored(POSES), jitter(POSES, 25, 1)):
        decisions = decide(YOGA, LIBRARY, poses, tags)
        assert [decision.belongs for decision in decisions] == IN_YOGA.tolist()
        assert {decision.why for decision in decisions} == {"tags", "other_family"}


def test_without_a_family_nearness_decides_and_separates_the_whole_library():
    tags = [("walk.npz", "full_body")] * len(NAMED)
    for poses in (POSES, mirrored(POSES)):
        decisions = decide(YOGA, LIBRARY, poses, tags)
        assert [decision.belongs for decision in decisions] == IN_YOGA.tolist()
        assert all(decision.joints_deg < 1e-3 and decision.tilt_deg < 1e-3 for decision in decisions)


def test_the_thresholds_take_jittered_yoga_poses_and_no_jittered_other_ones():
    # 6 degrees on each axis of each joint is more than the library's own jitter.
    taken = np.mean(
        [[d.belongs for d in decide(YOGA, LIBRARY, jitter(POSES, 6, s), [()] * len(NAMED))] for s in range(8)], 0
    )
    assert taken[IN_YOGA].mean() >= 0.98
    assert taken[~IN_YOGA].mean() <= 0.01


def test_a_pose_far_from_every_named_one_does_not_belong():
    rng = np.random.default_rng(2)
    wild = PoseSet(rng.normal(0, 0.7, (50, 21, 3)), np.tile([0.0, 1.0, 0.0], (50, 1)))
    assert {decision.why for decision in decide(YOGA, LIBRARY, wild, [()] * 50)} == {"far"}


def test_the_same_joints_in_another_tilt_do_not_belong():
    tree = list(LIBRARY.poses).index("tree")
    lying = PoseSet(POSES.body_pose[[tree]], np.array([[0.0, 0.0, 1.0]]))
    assert not decide(YOGA, LIBRARY, lying, [("clip.npz",)])[0].belongs


def test_between_yoga_and_another_family_the_near_end_decides():
    tree = list(LIBRARY.poses).index("tree")
    for other in np.flatnonzero(~IN_YOGA):
        tags = [("yoga", NAMED[other].family, "tree", NAMED[other].name)]
        near, far = between(tree, other, 0.05), between(tree, other, 0.95)
        assert decide(YOGA, LIBRARY, near, tags)[0].why == "near", NAMED[other].name
        assert decide(YOGA, LIBRARY, far, tags)[0].why == "far", NAMED[other].name


def test_between_two_yoga_poses_all_belong():
    first, second = np.flatnonzero(IN_YOGA)[[0, -1]]
    poses = concatenate([between(first, second, share) for share in (0.1, 0.5, 0.9)])
    tags = [("yoga", NAMED[first].name, NAMED[second].name)] * 3
    assert [decision.why for decision in decide(YOGA, LIBRARY, poses, tags)] == ["tags"] * 3


def test_no_poses_no_decisions():
    assert decide(YOGA, LIBRARY, PoseSet(np.zeros((0, 21, 3)), np.zeros((0, 3))), []) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: x\nfamilies: [yoga]\n", "similarity"),
        ("title: x\nfamilies: [juggling]\nsimilarity: {joints_deg: 5, tilt_deg: 5}\n", "juggling"),
        ("title: x\nfamilies: [yoga]\nsimilarity: {joints_deg: 5, tilt_deg: 500}\n", "tilt_deg"),
        ("title: x\nfamilies: [yoga]\nnonsense: 1\nsimilarity: {joints_deg: 5, tilt_deg: 5}\n", "nonsense"),
    ],
)
def test_a_bad_domain_file_says_what_is_wrong(tmp_path, text, message):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_domain(tmp_path / "bad.yaml", LIBRARY)


def test_an_unknown_domain_lists_the_known_ones():
    with pytest.raises(ValueError, match="embedded are yoga"):
        load_domain("knitting", LIBRARY)


def test_no_tag_of_a_pose_is_the_name_of_a_family_so_that_tags_name_the_families_of_the_parents():
    families = set(LIBRARY.families())
    assert not families & {tag for pose in NAMED for tag in pose.tags}
    assert not families & set(LIBRARY.poses)
