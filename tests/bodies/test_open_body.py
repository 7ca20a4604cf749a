"""The embedded body as an asset: its size, its symmetry, its people, its anatomy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from posedreamer.bodies.catalog import OPEN_BODY_DIRECTORY, load_body
from posedreamer.bodies.posing import parameters_from_arrays, pose_body, rest_parameters
from posedreamer.geometry.rotations import mirror_rotvec
from posedreamer.geometry.skeletons import BODY_JOINTS, OUTPUT_JOINTS, mirror_permutation
from posedreamer.sample import PARAMETER_SHAPES

FLIP = np.array([-1.0, 1.0, 1.0])


def stature(betas):
    return np.ptp(pose_body(load_body(), replace(rest_parameters(), betas=np.float32(betas))).vertices[:, 1])


def test_the_assets_fit_their_budget():
    assert sum(path.stat().st_size for path in OPEN_BODY_DIRECTORY.iterdir()) < 3_000_000


def test_the_first_beta_is_stature_and_three_units_stay_human():
    heights = [stature(beta * np.eye(10)[0]) for beta in (-3, -2, -1, 0, 1, 2, 3)]
    assert np.all(np.diff(heights) > 0.08)
    assert heights[0] > 1.42 and heights[-1] < 2.08
    for column in range(1, 10):
        for beta in (-3, 3):
            assert 1.55 < stature(beta * np.eye(10)[column]) < 1.95


def test_a_population_has_human_statures():
    rng = np.random.default_rng(0)
    heights = np.array([stature(rng.normal(size=10)) for _ in range(40)])
    assert 1.70 < heights.mean() < 1.80 and 0.06 < heights.std() < 0.14


def test_every_other_beta_is_stockier():
    def stockiness(betas):
        vertices = pose_body(load_body(), replace(rest_parameters(), betas=np.float32(betas))).vertices
        return volume(vertices) / np.ptp(vertices[:, 1]) ** 3

    for column in range(1, 10):
        assert stockiness(np.eye(10)[column]) > stockiness(-np.eye(10)[column]), column


def test_mirrored_parameters_pose_the_mirrored_body():
    rng = np.random.default_rng(3)
    drawn = {name: 0.5 * rng.normal(size=shape) for name, shape in PARAMETER_SHAPES.items()}
    drawn["expression"] *= 0  # face actions are one-sided
    body_joints = mirror_permutation(BODY_JOINTS)[1:] - 1
    mirrored = {
        "betas": drawn["betas"],
        "expression": drawn["expression"],
        "global_orient": mirror_rotvec(drawn["global_orient"]),
        "body_pose": mirror_rotvec(drawn["body_pose"][body_joints]),
        "left_hand_pose": mirror_rotvec(drawn["right_hand_pose"]),
        "right_hand_pose": mirror_rotvec(drawn["left_hand_pose"]),
        "jaw_pose": mirror_rotvec(drawn["jaw_pose"]),
        "leye_pose": mirror_rotvec(drawn["reye_pose"]),
        "reye_pose": mirror_rotvec(drawn["leye_pose"]),
        "transl": drawn["transl"] * FLIP,
    }
    here = pose_body(load_body(), parameters_from_arrays(drawn))
    there = pose_body(load_body(), parameters_from_arrays(mirrored))
    # Eyes and the face's landmarks included; 0.1 mm for the float16 of the file.
    permutation = mirror_permutation(OUTPUT_JOINTS)
    assert np.abs(here.joints[permutation] * FLIP - there.joints)[:76].max() < 1e-4
    assert np.abs(here.joints[permutation] * FLIP - there.joints)[76:].max() < 2e-3
    assert cKDTree(there.vertices).query(here.vertices * FLIP)[0].max() < 1e-4


def test_the_named_vertices_are_where_their_names_say():
    joints = dict(zip(OUTPUT_JOINTS, pose_body(load_body(), rest_parameters()).joints, strict=True))
    assert joints["nose"][2] == max(joint[2] for name, joint in joints.items() if "toe" not in name)
    assert abs(joints["nose"][0]) < 2e-3
    assert joints["left_ear"][0] > joints["left_eye"][0] > 0 > joints["right_eye"][0] > joints["right_ear"][0]
    assert joints["left_heel"][2] < joints["left_ankle"][2] < joints["left_big_toe"][2]
    assert joints["left_small_toe"][0] > joints["left_big_toe"][0]
    assert joints["left_middle"][0] == max(joint[0] for joint in joints.values())
    assert joints["nose1"][1] > joints["nose4"][1] > joints["mouth_top"][1] > joints["lip_top"][1]
    assert joints["lip_bottom"][1] > joints["mouth_bottom"][1]
    assert joints["left_eye_brow3"][1] > joints["left_eye2"][1] > joints["left_eye6"][1]


# What correctives mend, with the same measure without them in brackets.


@pytest.mark.parametrize(("side", "sign"), [("left", 1.0), ("right", -1.0)])
def test_an_arm_that_hangs_drops_the_deltoid(side, sign):
    hanging = turned(**{f"{side}_shoulder": (0, 0, -75 * sign)})
    shoulder = hanging.joints[BODY_JOINTS.index(f"{side}_shoulder")]
    x, y, z = ((hanging.vertices - shoulder) * [sign, 1, 1]).T
    assert y[(x > 0.015) & (x < 0.030) & (np.abs(z) < 0.05)].max() < 0.030  # metres (0.032)


def test_sitting_keeps_the_volume_of_the_hips():
    sitting = turned(left_hip=(-90, 0, 0), right_hip=(-90, 0, 0))
    assert volume(sitting.vertices) > 0.97 * volume(turned().vertices)  # (0.953)


@pytest.mark.parametrize(("side", "sign"), [("left", 1.0), ("right", -1.0)])
def test_a_turned_hand_does_not_wring_the_wrist(side, sign):
    rest, twisted = turned(), turned(**{f"{side}_wrist": (80, 0, 0)})
    wrist = rest.joints[BODY_JOINTS.index(f"{side}_wrist")]
    ring = np.abs(rest.vertices[:, 0] - wrist[0]) < 0.012
    girth = [np.linalg.norm((one.vertices[ring] - wrist)[:, 1:], axis=1).mean() for one in (twisted, rest)]
    assert girth[0] > 0.9 * girth[1]  # (0.81)


def turned(**degrees):
    pose = np.zeros((21, 3), dtype=np.float32)
    for joint, angles in degrees.items():
        pose[BODY_JOINTS.index(joint) - 1] = np.radians(angles)
    return pose_body(load_body(), replace(rest_parameters(), body_pose=pose))


def volume(vertices):
    a, b, c = (vertices.astype(np.float64)[load_body().faces[:, corner]] for corner in range(3))
    return np.einsum("fi,fi->", a, np.cross(b, c)) / 6
