"""Condition maps against what they claim to encode, each checked by another route than the one that drew it."""

import re
import subprocess
import sys

import numpy as np
import pytest

from posedreamer.bodies.body import BodyModel
from posedreamer.geometry.cameras import make_K, unproject
from posedreamer.geometry.skeletons import FACE_LANDMARKS, OUTPUT_JOINTS, SMPLX_JOINTS
from posedreamer.rendering.conditions import (
    CONDITION_KINDS,
    ENCODINGS,
    condition_renderer_id,
    draw_condition,
    part_palette,
    parts_from_colors,
    xyz_colors,
)
from posedreamer.rendering.openpose import draw_openpose
from posedreamer.rendering.visibility import part_map

BACK = np.pi


@pytest.mark.parametrize("kind", CONDITION_KINDS)
def test_every_map_is_black_outside_the_body_and_repeats_itself(draw, body: BodyModel, kind: str) -> None:
    drawn = draw("squat", 0.5)
    image = draw_condition(kind, body, drawn)
    assert image.shape == (256, 256, 3) and image.any()
    if kind != "openpose":  # whose lines run from joint to joint, also through the air
        np.testing.assert_array_equal(image.any(axis=-1), drawn.mask)
    assert image.tobytes() == draw_condition(kind, body, draw("squat", 0.5)).tobytes()


@pytest.mark.parametrize("kind", CONDITION_KINDS)
def test_an_empty_label_gives_a_black_map(draw, body: BodyModel, kind: str) -> None:
    drawn = draw("t_pose", aim=(9.0, 0.0, 0.0), size=64)
    assert not drawn.mask.any() and not draw_condition(kind, body, drawn).any()


def test_xyz_colors_span_the_canonical_body(body: BodyModel) -> None:
    colors = xyz_colors(body)
    np.testing.assert_array_equal(colors.min(axis=0), 0.0)
    np.testing.assert_array_equal(colors.max(axis=0), 1.0)
    soles, crown = colors[colors[:, 1] < 0.02], colors[colors[:, 1] > 0.98]
    np.testing.assert_allclose(crown[:, 0].mean(), 0.5, atol=0.02)  # the head is in the middle
    # The A-pose spreads the legs, so the left sole (body's left: larger x) is redder than the right one ...
    left, right = (soles[np.sign(soles[:, 0] - 0.5) == side] for side in (1, -1))
    assert left[:, 0].min() - right[:, 0].max() > 0.1
    # ... and lowers the arms, so that no hand is as high as the shoulders.
    hands = np.isin(body.weights.numpy().argmax(axis=1), [SMPLX_JOINTS.index(f"{s}_wrist") for s in ("left", "right")])
    assert colors[hands, 1].max() < 0.65


def test_xyz_shows_the_same_color_on_the_same_spot_in_every_pose(draw, body: BodyModel) -> None:
    for drawn in (draw("t_pose"), draw("squat", 0.7, betas=1.0), draw("crossed", 2.5)):
        image = draw_condition("xyz", body, drawn)
        rows, columns = np.nonzero(drawn.mask)
        corners = body.faces[drawn.raster.face_id[rows, columns]]
        expected = np.einsum("nk,nkc->nc", drawn.raster.barycentrics[rows, columns], xyz_colors(body)[corners])
        # Half a step of rounding, and float32.
        assert np.abs(image[rows, columns] / 255.0 - expected).max() <= 0.5 / 255 + 1e-5


def test_depth_is_affine_in_inverse_depth_and_near_is_bright(draw, body: BodyModel) -> None:
    drawn = draw("squat", 0.4)
    image = draw_condition("depth", body, drawn)
    assert (image == image[..., :1]).all()
    grey, inverse = image[drawn.mask][:, 0].astype(float), 1.0 / drawn.raster.depth[drawn.mask]
    assert grey.min() == 64 and grey.max() == 255
    assert drawn.raster.depth[drawn.mask][grey.argmax()] == pytest.approx(
        drawn.raster.depth[drawn.mask].min(), abs=0.01
    )
    slope, offset = np.polyfit(inverse, grey, 1)
    assert slope > 0 and np.abs(slope * inverse + offset - grey).max() < 0.6


def test_normals_equal_those_of_the_depth_map(draw, body: BodyModel) -> None:
    size = 512
    drawn = draw("arms_down", 0.5, size=size)
    decoded = 1.0 - draw_condition("normals", body, drawn) / 127.5
    centres = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1) + 0.5
    points = unproject(centres, drawn.raster.depth, make_K(1.1 * size, size, size))
    step_x, step_y = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
    normals = np.cross(step_y, step_x)  # towards the camera
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    flat = (np.linalg.norm(step_x, axis=-1) < 0.02) & (np.linalg.norm(step_y, axis=-1) < 0.02) & drawn.mask[1:-1, 1:-1]
    assert flat.sum() > 15_000
    angles = np.degrees(np.arccos(np.clip((normals * decoded[1:-1, 1:-1]).sum(-1), -1, 1)))[flat]
    assert np.median(angles) < 3.0 and np.percentile(angles, 95) < 15.0  # flat faces against smooth normals


def test_normals_are_red_on_the_left_green_on_top_blue_in_front(draw, body: BodyModel) -> None:
    drawn = draw("arms_down")
    image = draw_condition("normals", body, drawn)
    rows, columns = np.nonzero(drawn.mask)
    x, y = OUTPUT_JOINTS.index("spine2"), OUTPUT_JOINTS.index("head")
    belt = image[int(drawn.keypoints[x, 1])][drawn.mask[int(drawn.keypoints[x, 1])]].astype(int)
    assert belt[0, 0] > 170 and belt[-1, 0] < 85
    assert image[rows.min(), columns[rows == rows.min()]][:, 1].min() > 170
    assert image[tuple(drawn.keypoints[y, ::-1].astype(int))][2] > 200


def test_parts_can_be_read_back(draw, body: BodyModel) -> None:
    assert len(np.unique(part_palette(), axis=0)) == 56
    drawn = draw("squat", -0.8)
    image = draw_condition("parts", body, drawn)
    np.testing.assert_array_equal(parts_from_colors(image), part_map(body, drawn.raster))
    with pytest.raises(ValueError, match="palette"):
        parts_from_colors(image // 2)


# OpenPose's own colours of keypoints 0-17, as every openpose ControlNet has seen them.
LIMB_COLORS = {
    "right_knee": (0, 255, 255), "right_ankle": (0, 170, 255), "left_knee": (0, 0, 255), "left_ankle": (85, 0, 255),
    "right_elbow": (255, 255, 0), "left_elbow": (0, 255, 0),
}  # fmt: skip


@pytest.mark.parametrize("yaw", [0.0, BACK])
def test_openpose_draws_joints_in_their_colors(draw, body: BodyModel, yaw: float) -> None:
    drawn = draw("arms_down", yaw)
    image = draw_condition("openpose", body, drawn)
    for name, color in LIMB_COLORS.items():
        x, y = drawn.keypoints[OUTPUT_JOINTS.index(name)].astype(int)
        np.testing.assert_array_equal(image[y, x], color)


def test_openpose_draws_hidden_limbs_but_no_hidden_face(draw, body: BodyModel) -> None:
    front, back, behind_back = draw("t_pose"), draw("t_pose", BACK), draw("behind_back")
    white = [int((draw_condition("openpose", body, drawn) == 255).all(axis=-1).sum()) for drawn in (front, back)]
    assert white[0] > 100 and white[1] == 0
    elbow = OUTPUT_JOINTS.index("left_wrist")
    assert not behind_back.visible[elbow]
    x, y = behind_back.keypoints[elbow].astype(int)
    assert draw_condition("openpose", body, behind_back)[y - 5 : y + 6, x - 5 : x + 6].any()


def test_openpose_drops_what_is_outside() -> None:
    keypoints, visible = np.full((127, 2), -5.0, dtype=np.float32), np.zeros(127, dtype=bool)
    assert not draw_openpose(keypoints, visible, 64, 48).any()
    left_knee, left_hip = OUTPUT_JOINTS.index("left_knee"), OUTPUT_JOINTS.index("left_hip")
    keypoints[left_knee] = (30, 20)
    alone = draw_openpose(keypoints, visible, 64, 48)
    assert (alone.any(axis=-1).nonzero()[1].max() - 30) <= 4  # a dot without a line
    keypoints[left_hip] = (60, 40)
    assert draw_openpose(keypoints, visible, 64, 48).any(axis=-1).sum() > alone.any(axis=-1).sum() + 100
    for name in ("left_wrist", *(f"left_{finger}1" for finger in ("index", "middle"))):
        keypoints[OUTPUT_JOINTS.index(name)] = (10, 10)  # too little of a hand
    blue = (draw_openpose(keypoints, visible, 64, 48) == (0, 0, 255)).all(axis=-1)
    assert not blue[:15, :15].any()
    keypoints[[OUTPUT_JOINTS.index(name) for name in FACE_LANDMARKS]] = (40, 10)
    assert not draw_openpose(keypoints, visible, 64, 48)[5:15, 35:45].any()  # hidden


def test_openpose_draws_heads_only_as_far_as_they_are_seen() -> None:
    keypoints, visible = np.full((127, 2), -5.0, dtype=np.float32), np.zeros(127, dtype=bool)
    nose, eye, landmark = (OUTPUT_JOINTS.index(name) for name in ("nose", "left_eye", FACE_LANDMARKS[0]))
    keypoints[[nose, eye, landmark]] = [(20, 20), (40, 20), (30, 40)]
    assert not draw_openpose(keypoints, visible, 64, 48).any()
    visible[landmark] = True
    assert not draw_openpose(keypoints, visible, 64, 48).any()  # a jaw from behind is no face
    visible[[nose, eye]] = True
    image = draw_openpose(keypoints, visible, 64, 48)
    np.testing.assert_array_equal(image[20, 20], (255, 0, 0))
    np.testing.assert_array_equal(image[40, 30], (255, 255, 255))


def test_openpose_leaves_the_detectors_of_controlnet_aux_alone() -> None:
    code = (
        "import sys, numpy as np; from posedreamer.rendering.openpose import draw_openpose\n"
        "draw_openpose(np.ones((127, 2), np.float32), np.ones(127, bool), 8, 8)\n"
        "sys.exit(sorted({'controlnet_aux', 'timm', 'torchvision'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_renderer_ids_name_kind_version_and_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [condition_renderer_id(kind) for kind in CONDITION_KINDS]
    for kind, name in zip(CONDITION_KINDS, ids, strict=True):
        assert re.fullmatch(rf"{kind}-v\d+-[0-9a-f]{{8}}", name)
    assert len(set(ids)) == len(ids)
    monkeypatch.setitem(ENCODINGS["depth"], "grey", [0, 255])
    assert condition_renderer_id("depth") != ids[CONDITION_KINDS.index("depth")]


def test_unknown_kinds_are_refused(draw, body: BodyModel) -> None:
    with pytest.raises(ValueError, match="unknown kind 'canny'"):
        draw_condition("canny", body, draw("t_pose", size=32))
    with pytest.raises(ValueError, match="unknown kind 'canny'"):
        condition_renderer_id("canny")
