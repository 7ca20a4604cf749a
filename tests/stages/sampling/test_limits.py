"""Joint limits: where they cut, and that noise never crosses them."""

import numpy as np
import pytest
import yaml

from posedreamer.geometry.rotations import compose_rotvec, mirror_rotvec
from posedreamer.geometry.skeletons import BODY_JOINTS
from posedreamer.stages.sampling.angles import angles_to_rotvec
from posedreamer.stages.sampling.library import load_library
from posedreamer.stages.sampling.limits import JOINT_LIMITS, load_joint_limits
from posedreamer.stages.sampling.sources import MIRROR_BODY

LIMITS = load_joint_limits()


def pose_with(**joints: list[float]) -> np.ndarray:
    pose = np.zeros((21, 3))
    for joint, angles in joints.items():
        pose[BODY_JOINTS.index(joint) - 1] = angles_to_rotvec(joint, np.array(angles, dtype=np.float64))
    return pose


@pytest.mark.parametrize(
    ("joints", "joint"),
    [
        ({"left_knee": [-20, 0, 0]}, "left_knee flexion"),
        ({"right_elbow": [170, 0, 0]}, "right_elbow flexion"),
        ({"left_hip": [-80, 0, 0]}, "left_hip flexion"),
        ({"head": [0, 0, 90]}, "head turn"),
        ({"left_shoulder": [-120, -45, 0]}, "left_shoulder swing"),
        ({"right_shoulder": [-120, -45, 0]}, "right_shoulder swing"),
        ({"left_shoulder": [60, 45, 110]}, "left_shoulder twist"),
        ({"right_shoulder": [60, 45, -110]}, "right_shoulder twist"),
    ],
)
def test_impossible_joints_are_named(joints: dict, joint: str) -> None:
    found = LIMITS.violations(pose_with(**joints))
    assert found[0].startswith(joint)
    assert all(text.startswith(joint.split()[0]) for text in found)


def test_shoulder_angles_of_the_reference_are_swing_and_twist() -> None:
    for side in ("left", "right"):
        rotvec = angles_to_rotvec(f"{side}_shoulder", np.array([60.0, 45.0, 25.0]))
        values = {name: value for name, value, _, _ in LIMITS._measure(f"{side}_shoulder", rotvec)}
        np.testing.assert_allclose([values["swing"], values["twist"]], [0, 25], atol=1e-5)
        raised = angles_to_rotvec(f"{side}_shoulder", np.array([90.0, 45.0, 0.0]))
        # Flexion turns about the lateral axis, the arm stands 45 degrees off it: the chord is shorter than 30 degrees.
        swing = LIMITS._measure(f"{side}_shoulder", raised)[0][1]
        assert 18 < swing < 30


def test_rest_pose_and_mirror_images_are_alike_inside() -> None:
    assert LIMITS.violations(np.zeros((21, 3))) == []
    rng = np.random.default_rng(1)
    limbs = [i for i, joint in enumerate(BODY_JOINTS[1:]) if joint.startswith(("left_", "right_"))]
    for _ in range(20):
        pose = np.zeros((21, 3))
        pose[limbs] = rng.normal(0, 0.7, (len(limbs), 3))
        mirrored = LIMITS.violations(mirror_rotvec(pose[MIRROR_BODY]))
        assert sorted(map(_swap_side, mirrored)) == sorted(LIMITS.violations(pose))


def _swap_side(text: str) -> str:
    return text.replace("left_", "?").replace("right_", "left_").replace("?", "right_")


def test_jitter_stays_inside_and_has_the_written_size() -> None:
    rng = np.random.default_rng(2)
    pose = load_library().poses["stand_relaxed"].body_pose
    knee, elbow = BODY_JOINTS.index("left_knee") - 1, BODY_JOINTS.index("left_elbow") - 1
    turned = []
    for _ in range(150):
        jittered = LIMITS.add_jitter(pose, rng)
        assert LIMITS.violations(jittered) == []
        turned.append(compose_rotvec(-pose[elbow], jittered[elbow]))
        assert abs(jittered[knee]).max() < np.radians(25)
    np.testing.assert_allclose(np.degrees(np.std(turned, axis=0)), LIMITS.jitter["elbow"], rtol=0.25)


def test_no_jitter_is_the_pose_itself() -> None:
    pose = load_library().poses["walk"].body_pose
    np.testing.assert_allclose(LIMITS.add_jitter(pose, np.random.default_rng(0), scale=0.0), pose, atol=1e-12)


def test_a_wrong_file_is_said(tmp_path) -> None:
    raw = yaml.safe_load(JOINT_LIMITS.read_text())
    del raw["jitter"]["knee"]
    path = tmp_path / "limits.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    with pytest.raises(ValueError, match="jitter"):
        load_joint_limits(path)
    raw = yaml.safe_load(JOINT_LIMITS.read_text())
    raw["limits"]["knee"] = {"flexion": [0, 1]}
    path = tmp_path / "limits2.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    with pytest.raises(ValueError, match="knee"):
        load_joint_limits(path)
