"""Joint tables: the order is that of the official model, and left and right are each other's mirror."""

import numpy as np
import pytest

from posedreamer.geometry.skeletons import (
    BODY_JOINTS,
    COCO_BONES,
    COCO_FROM_OUTPUT,
    COCO_KEYPOINTS,
    COCO_SIGMAS,
    EXTRA_JOINT_VERTICES,
    FACE_LANDMARKS,
    OUTPUT_JOINTS,
    SMPLX_JOINTS,
    SMPLX_PARENTS,
    mirror_name,
    mirror_permutation,
)


def test_sizes() -> None:
    assert (len(BODY_JOINTS), len(SMPLX_JOINTS), len(SMPLX_PARENTS)) == (22, 55, 55)
    assert (len(EXTRA_JOINT_VERTICES), len(FACE_LANDMARKS), len(OUTPUT_JOINTS)) == (21, 51, 127)
    assert len(set(OUTPUT_JOINTS)) == 127


def test_the_order_is_that_of_the_official_package() -> None:
    names = pytest.importorskip("smplx.joint_names", reason="the extra [smplx] is not installed").JOINT_NAMES
    assert tuple(names[:127]) == OUTPUT_JOINTS
    vertex_ids = pytest.importorskip("smplx.vertex_ids").vertex_ids["smplx"]
    assert sorted(EXTRA_JOINT_VERTICES.values()) == sorted(vertex_ids.values())
    assert EXTRA_JOINT_VERTICES["left_ear"] == vertex_ids["lear"] and EXTRA_JOINT_VERTICES["nose"] == vertex_ids["nose"]
    assert EXTRA_JOINT_VERTICES["right_pinky"] == vertex_ids["rpinky"]


def test_the_tree_has_one_root_and_parents_come_first() -> None:
    assert SMPLX_PARENTS[0] == -1
    assert all(0 <= parent < joint for joint, parent in enumerate(SMPLX_PARENTS) if joint)


def test_the_tree_is_its_own_mirror_image() -> None:
    mirror = mirror_permutation(SMPLX_JOINTS)
    for joint, parent in enumerate(SMPLX_PARENTS[1:], start=1):
        assert SMPLX_PARENTS[mirror[joint]] == mirror[parent]


@pytest.mark.parametrize("names", [SMPLX_JOINTS, COCO_KEYPOINTS, BODY_JOINTS, OUTPUT_JOINTS])
def test_mirroring_twice_changes_nothing(names: tuple[str, ...]) -> None:
    mirror = mirror_permutation(names)
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(names)))
    swapped = [name for name in names if mirror_name(name) != name]
    assert all(name.startswith(("left_", "right_")) for name in swapped) and swapped


def test_coco_points_are_the_output_joints_of_that_name() -> None:
    assert [OUTPUT_JOINTS[index] for index in COCO_FROM_OUTPUT] == list(COCO_KEYPOINTS)
    assert {end for bone in COCO_BONES for end in bone} == set(range(17))
    mirror = mirror_permutation(COCO_KEYPOINTS)
    bones = {frozenset(bone) for bone in COCO_BONES}
    assert {frozenset(mirror[list(bone)]) for bone in COCO_BONES} == bones
    np.testing.assert_array_equal(COCO_SIGMAS[mirror], COCO_SIGMAS)


def test_the_sigmas_are_those_of_pycocotools() -> None:
    cocoeval = pytest.importorskip("pycocotools.cocoeval", reason="pycocotools is not installed")
    np.testing.assert_allclose(cocoeval.Params("keypoints").kpt_oks_sigmas, COCO_SIGMAS)
