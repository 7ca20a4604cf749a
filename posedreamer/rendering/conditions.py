"""Condition maps: what a generator is shown of a label. Each is uint8 RGB (h, w, 3), black on the background, not antialiased.

Maps are linear numbers, not colours: no gamma is applied anywhere. What exactly each map means is said at its function;
`condition_renderer_id` names that meaning, so a data set or a trained model can say which maps it was made with.
"""

import colorsys
import functools
import hashlib
import json
from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.posing import pose_body, rest_parameters
from posedreamer.geometry.skeletons import SMPLX_JOINTS
from posedreamer.rendering.label import DrawnLabel, draw_label
from posedreamer.rendering.openpose import OPENPOSE_RULE, draw_openpose
from posedreamer.rendering.rasterizer import interpolate, vertex_normals
from posedreamer.rendering.visibility import face_parts
from posedreamer.sample import Label

CONDITION_KINDS = ("xyz", "depth", "normals", "parts", "openpose")

# The canonical pose of the xyz map: joint of body_pose -> rotation about the body's z axis, radians. Arms are lowered by
# pi / 2.3 and each leg is spread by pi / 18 from the T-pose, so that the left and right foot differ in x.
CANONICAL_POSE = {
    "left_shoulder": -np.pi / 2.3,
    "right_shoulder": np.pi / 2.3,
    "left_hip": np.pi / 18,
    "right_hip": -np.pi / 18,
}
FARTHEST_GREY = 64

# What makes each map what it is. A change of a map's meaning has to change its entry, and with it the id.
ENCODINGS: dict[str, dict[str, object]] = {
    "xyz": {
        "version": 1,
        "pose_z_rotation": {name: f"{angle:.9f}" for name, angle in CANONICAL_POSE.items()},
        "normalised": "each axis, minimum to maximum over the body's vertices",
        "channels": "XYZ in body axes to RGB",
        "rounding": "rint(255 c)",
    },
    "depth": {"version": 1, "value": "inverse depth, farthest to nearest pixel of the body", "grey": [FARTHEST_GREY, 255]},
    "normals": {"version": 1, "value": "rint(127.5 (1 - n))", "frame": "camera", "normals": "area-weighted, at vertices"},
    "parts": {"version": 1, "part": "joint of largest mean weight of a face", "palette": "golden-ratio hues"},
    "openpose": {"version": 1, **OPENPOSE_RULE},
}  # fmt: skip


def draw_condition(kind: str, body: BodyModel, drawn: DrawnLabel) -> UInt8[np.ndarray, "h w 3"]:
    """One map of CONDITION_KINDS, drawn from a label; `body` is the one that the label was drawn with."""
    match kind:
        case "xyz":
            return draw_xyz(body, drawn)
        case "depth":
            return draw_depth(drawn)
        case "normals":
            return draw_normals(body, drawn)
        case "parts":
            return draw_parts(body, drawn)
        case "openpose":
            height, width = drawn.mask.shape
            return draw_openpose(drawn.keypoints, drawn.visible, width, height)
        case other:
            raise ValueError(f"draw_condition: unknown kind {other!r}, expected one of {CONDITION_KINDS}")


def redraw_condition(body: BodyModel, kind: str, label: Label) -> UInt8[np.ndarray, "h w 3"]:
    """The map of a stored label: shards hold the xyz map alone, and what else the generator was given is drawn again."""
    return draw_condition(kind, body, draw_label(body, label.parameters, label.K, label.width, label.height))


def condition_renderer_id(kind: str) -> str:
    """Names the exact encoding of a map, such as `xyz-v1-5f0c8e21`: kind, version, hash of its parameters."""
    if kind not in ENCODINGS:
        raise ValueError(f"condition_renderer_id: unknown kind {kind!r}, expected one of {CONDITION_KINDS}")
    text = json.dumps(ENCODINGS[kind], sort_keys=True)
    return f"{kind}-v{ENCODINGS[kind]['version']}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


@functools.lru_cache(maxsize=8)
def xyz_colors(body: BodyModel) -> Float32[np.ndarray, "verts 3"]:
    """Colour of each vertex in the xyz map, in [0, 1]: its place in the canonical pose, whatever pose is drawn.

    The canonical body has zero betas and expression and the A-pose of CANONICAL_POSE (PoseDreamer's colour map; hands relaxed).
    Each axis runs from 0 at the smallest to 1 at the largest coordinate of all vertices: red x, from the body's right to
    its left; green y, from the soles to the crown; blue z, from the back to the front.
    """
    body_pose = np.zeros((21, 3), dtype=np.float32)
    for name, angle in CANONICAL_POSE.items():
        body_pose[SMPLX_JOINTS.index(name) - 1, 2] = angle
    vertices = pose_body(body, replace(rest_parameters(), body_pose=body_pose)).vertices.astype(np.float64)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    colors = ((vertices - low) / (high - low)).astype(np.float32)
    colors.setflags(write=False)
    return colors


def draw_xyz(body: BodyModel, drawn: DrawnLabel) -> UInt8[np.ndarray, "h w 3"]:
    """`xyz_colors` interpolated perspective-correctly over each face, rounded to the nearest of 0..255."""
    return np.rint(interpolate(drawn.raster, body.faces, 255.0 * xyz_colors(body))).astype(np.uint8)


def draw_depth(drawn: DrawnLabel) -> UInt8[np.ndarray, "h w 3"]:
    """Inverse depth as grey, near is bright, as the depth ControlNets were trained on (MiDaS: affine in 1 / z).

    The farthest visible point of the body is 64, the nearest 255, in three equal channels; a body at one depth is 255.
    """
    image = np.zeros((*drawn.mask.shape, 3), dtype=np.uint8)
    if not drawn.mask.any():
        return image
    inverse = 1.0 / drawn.raster.depth[drawn.mask].astype(np.float64)
    low, high = inverse.min(), inverse.max()
    place = (inverse - low) / (high - low) if high > low else np.ones_like(inverse)
    image[drawn.mask] = np.rint(FARTHEST_GREY + (255 - FARTHEST_GREY) * place).astype(np.uint8)[:, None]
    return image


def draw_normals(body: BodyModel, drawn: DrawnLabel) -> UInt8[np.ndarray, "h w 3"]:
    """Outward unit normals, in the colours that ControlNet's normal-bae model expects (the ScanNet protocol).

    Red is bright where the surface faces the image's left, green where it faces up, blue where it faces the camera:
    round(127.5 (1 - n)) of the camera-frame normal n (x right, y down, z forward), smooth over each face.
    """
    normals = interpolate(drawn.raster, body.faces, vertex_normals(drawn.posed.vertices, body.faces))[drawn.mask]
    length = np.sqrt(np.einsum("ij,ij->i", normals, normals))[:, None]
    unit = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    image = np.zeros((*drawn.mask.shape, 3), dtype=np.uint8)
    image[drawn.mask] = np.rint(127.5 * (1.0 - unit)).astype(np.uint8)
    return image


def draw_parts(body: BodyModel, drawn: DrawnLabel) -> UInt8[np.ndarray, "h w 3"]:
    """Each pixel's part (`visibility.face_parts`) in the colour of `part_palette`; `parts_from_colors` reads it back."""
    image = np.zeros((*drawn.mask.shape, 3), dtype=np.uint8)
    image[drawn.mask] = part_palette()[face_parts(body)[drawn.raster.face_id[drawn.mask]] + 1]
    return image


@functools.cache
def part_palette() -> UInt8[np.ndarray, "56 3"]:
    """Colour of the background (row 0, black) and of the 55 parts (row joint + 1); no two are equal, and none ever changes."""
    colors: list[tuple[int, ...]] = [(0, 0, 0)]
    for joint in range(len(SMPLX_JOINTS)):
        # Steps of the golden ratio keep the hues of neighbours apart; three shades tell apart hues that come close.
        hue, value = (joint * 0.6180339887) % 1.0, (1.0, 0.75, 0.5)[joint % 3]
        colors.append(tuple(round(255 * channel) for channel in colorsys.hsv_to_rgb(hue, 0.8, value)))
    return np.array(colors, dtype=np.uint8)


def parts_from_colors(image: UInt8[np.ndarray, "h w 3"]) -> Int32[np.ndarray, "h w"]:
    """The integer part map of a drawn `parts` image, -1 on the background; a colour outside the palette is a ValueError."""
    codes = image.astype(np.int32) @ np.array([65536, 256, 1], dtype=np.int32)
    palette = part_palette().astype(np.int32) @ np.array([65536, 256, 1], dtype=np.int32)
    order = np.argsort(palette)
    found = order[np.minimum(np.searchsorted(palette[order], codes), len(palette) - 1)]
    if not np.array_equal(palette[found], codes):
        raise ValueError("parts_from_colors: the image holds colours that are not in the palette (resized, or lossy?)")
    return (found - 1).astype(np.int32)
