import re
from dataclasses import replace

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import pose_bodies
from posedreamer.geometry.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from posedreamer.geometry.skeletons import SMPLX_JOINTS
from posedreamer.rendering.label import draw_label, mask_bbox
from posedreamer.sample import PARAMETER_SHAPES
from posedreamer.storage.truth import JOINT_TOLERANCE, StoredMaps, label_problems

# In the order of SMPLX_JOINTS.
POSE_FIELDS = (
    "global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "left_hand_pose", "right_hand_pose",
)  # fmt: skip


@pytest.fixture(params=range(4))
def sample(request, true_samples):
    return true_samples[request.param]


def problems(sample, **changes) -> list[str]:
    """What is found about the sample's label, with some of its arrays, parameters or maps replaced."""
    condition, label = sample.condition, sample.label
    maps = StoredMaps(condition.mask, condition.depth_mm, condition.xyz)
    parameters = replace(label.parameters, **{n: changes.pop(n) for n in list(changes) if n in PARAMETER_SHAPES})
    maps = maps._replace(**{name: changes.pop(name) for name in list(changes) if name in StoredMaps._fields})
    return label_problems(replace(label, parameters=parameters, **changes), maps, load_body())


def turn(parameters, joint: int, axis: int, angle: float):
    """The parameters with one of the 55 joints turned about one of its own axes."""
    first = 0
    for name in POSE_FIELDS:
        rotvecs = getattr(parameters, name).reshape(-1, 3).copy()
        if joint < first + len(rotvecs):
            rotmat = rotvec_to_rotmat(rotvecs[joint - first].astype(np.float64))
            turned = rotmat @ rotvec_to_rotmat(angle * np.eye(3)[axis])
            rotvecs[joint - first] = rotmat_to_rotvec(turned)
            return replace(parameters, **{name: rotvecs.reshape(PARAMETER_SHAPES[name])})
        first += len(rotvecs)
    raise AssertionError(joint)


def test_true_labels_are_true(sample):
    assert problems(sample) == []


def test_float_noise_is_no_untruth(sample):
    # Another machine's last bits: a millionth of a metre, a thousandth of a pixel.
    rng, label = np.random.default_rng(0), sample.label
    transl = label.parameters.transl + np.float32(1e-6)
    joints = label.joints_cam + rng.uniform(-1e-6, 1e-6, (127, 3)).astype(np.float32)
    K = label.K + np.array([[0, 0, 1e-3], [0, 0, -1e-3], [0, 0, 0]])
    assert problems(sample, transl=transl, joints_cam=joints, K=K) == []


def test_each_joint_turned_by_a_fiftieth_of_a_radian_is_noticed(sample):
    parameters = sample.label.parameters
    turned = [turn(parameters, joint, axis, 0.02) for joint in range(55) for axis in range(3)]
    gaps = [np.linalg.norm(one.joints - sample.label.joints_cam, axis=1) for one in pose_bodies(load_body(), turned)]
    allowed = JOINT_TOLERANCE + 1e-6 * np.linalg.norm(sample.label.joints_cam, axis=1)
    missed = [(SMPLX_JOINTS[i // 3], i % 3) for i, gap in enumerate(gaps) if not (gap > 2 * allowed).any()]
    assert missed == []


@pytest.mark.parametrize("joint", ["pelvis", "left_wrist", "jaw", "left_eye_smplhf", "right_pinky3"])
def test_a_turned_joint_is_reported(true_samples, joint):
    sample = true_samples[0]
    turned = turn(sample.label.parameters, SMPLX_JOINTS.index(joint), 0, 0.02)
    found = problems(sample, **{name: getattr(turned, name) for name in PARAMETER_SHAPES})
    assert any(reason.startswith("joints_cam: ") for reason in found)


@pytest.mark.parametrize("axis", range(3))
def test_a_body_moved_by_five_millimetres_is_noticed_even_if_the_joints_moved_along(sample, axis):
    label = sample.label
    moved = replace(
        label.parameters, transl=label.parameters.transl + np.float32(0.005) * np.eye(3, dtype=np.float32)[axis]
    )
    assert any(reason.startswith("joints_cam: ") for reason in problems(sample, transl=moved.transl))
    drawn = draw_label(load_body(), moved, label.K, label.width, label.height)
    arrays = {name: getattr(drawn, name) for name in ("joints_cam", "keypoints", "visible", "coco_keypoints")}
    found = problems(sample, transl=moved.transl, **arrays)
    assert any(reason.startswith(("mask: ", "depth: ", "condition")) for reason in found)


@pytest.mark.parametrize("name", ["betas", "expression"])
def test_changed_shape_and_face_are_noticed(true_samples, name):
    for index in range(10):
        changed = getattr(true_samples[0].label.parameters, name).copy()
        changed[index] += np.float32(0.1)
        assert problems(true_samples[0], **{name: changed})


def test_a_lost_column_of_the_mask_is_noticed(sample):
    mask = sample.condition.mask
    columns = np.flatnonzero(mask.any(axis=0))
    # The outermost ones hold the fewest pixels.
    for column in (*columns[:2], columns[len(columns) // 2], *columns[-2:]):
        less = mask.copy()
        less[:, column] = False
        found = problems(sample, mask=less, bbox=mask_bbox(less))
        assert any(reason.startswith("mask: ") for reason in found), column


def test_a_mask_moved_or_cut_by_a_column_is_noticed(sample):
    maps = sample.condition
    for other in (np.roll(maps.mask, 1, axis=1), np.pad(maps.mask[:, 1:], ((0, 0), (0, 1)))):
        assert any(reason.startswith("mask: ") for reason in problems(sample, mask=other, bbox=mask_bbox(other)))


@pytest.mark.parametrize("name", ["mask", "depth_mm", "xyz"])
def test_a_single_pixel_inside_or_outside_the_body_is_noticed(sample, name):
    maps = sample.condition
    for row, column in (np.argwhere(maps.mask)[len(np.argwhere(maps.mask)) // 2], (0, 0)):
        changed = getattr(maps, name).copy()
        changed[row, column] = 255 - changed[row, column] if name == "xyz" else changed[row, column] == 0
        changes = {name: changed} | ({"bbox": mask_bbox(changed)} if name == "mask" else {})
        said = f"1 pixels differ from the drawn ones, the first at column {column} row {row}"
        assert any(said in reason for reason in problems(sample, **changes))


def test_mask_depth_and_xyz_map_must_agree_on_where_the_body_is(sample):
    # Even in a pixel whose centre lies on the silhouette's edge, where each alone would be forgiven.
    maps = sample.condition
    row, column = np.argwhere(~maps.mask & np.roll(maps.mask, 1, axis=1))[0]
    depth, xyz = maps.depth_mm.copy(), maps.xyz.copy()
    depth[row, column], xyz[row, column] = 3000, 9
    assert "mask: 1 pixels are not what the depth map says" in problems(sample, depth_mm=depth)
    assert "condition (xyz): pixels outside the mask are not black" in problems(sample, xyz=xyz)


def test_depth_may_be_two_millimetres_off_and_no_more(sample):
    mask, depth = sample.condition.mask, sample.condition.depth_mm
    shifts = {gap: np.where(mask, depth + np.uint16(gap), 0).astype(np.uint16) for gap in (2, 3)}
    assert problems(sample, depth_mm=shifts[2]) == []
    (reason,) = problems(sample, depth_mm=shifts[3])
    # On steep surfaces a hundredth of a pixel is worth another millimetre.
    assert int(re.match(r"depth: (\d+) pixels", reason)[1]) > mask.sum() / 2


def test_derived_arrays_must_be_what_they_are_derived_from(sample):
    label = sample.label
    far = label.keypoints.copy()
    far[3, 0] += np.float32(0.5)
    assert any(reason.startswith("keypoints: spine1") for reason in problems(sample, keypoints=far))
    coco = label.coco_keypoints.copy()
    coco[5, 2] = 1 - coco[5, 2] / 2
    assert problems(sample, coco_keypoints=coco) == ["coco_keypoints: rows [5] are not what keypoints and visible say"]
    assert problems(sample, bbox=label.bbox + np.float32(1))[0].startswith("bbox: ")
    unseen = label.visible.copy()
    unseen[np.flatnonzero(unseen)[0]] = False
    assert any(reason.startswith("visible: wrong for") for reason in problems(sample, visible=unseen))
    nothing = np.full_like(label.joints_cam, np.nan)
    assert any(reason.startswith("joints_cam: ") for reason in problems(sample, joints_cam=nothing))


@pytest.mark.parametrize(
    ("change", "start"),
    [
        ({"T_cam_from_world": np.diag([1.0, 1.0, 1.001, 1.0])}, "T_cam_from_world: its 3 x 3 part"),
        ({"T_cam_from_world": np.diag([1.0, 1.0, -1.0, 1.0])}, "T_cam_from_world: its 3 x 3 part"),
        ({"T_cam_from_world": np.diag([1.0, 1.0, 1.0, 2.0])}, "T_cam_from_world: last row"),
        ({"K": np.diag([-100.0, 100.0, 1.0])}, "K: "),
        ({"K": np.full((3, 3), np.nan)}, "K: "),
        ({"transl": np.array([0, 0, -5], np.float32)}, "label cannot be drawn: "),
        ({"transl": np.array([0, 0, np.nan], np.float32)}, "label cannot be drawn: "),
    ],
)
def test_an_impossible_camera_or_place_is_reported(true_samples, change, start):
    assert problems(true_samples[0], **change)[0].startswith(start)


def test_a_changed_focal_length_is_noticed(sample):
    assert problems(sample, K=np.diag([1.01, 1.01, 1.0]) @ sample.label.K)
