"""Is a stored label true? Each array against the others, and all of them against the body drawn again.

Rendering is deterministic, so tolerances only have to bear another machine's last float32 bits (about 2e-6 m, 1e-2 px):

- joints within 10 micrometres and a millionth of their distance. Of all 55 joints turned by 0.02 rad about any axis, the
  eyeball about its line of sight moves a keypoint least: by 40 micrometres, every other one by 280 or more;
- keypoints within 0.1 px of the drawn ones (0.5 asked for); coco_keypoints and bbox exactly as keypoints and mask say;
- each pixel of mask, depth (2 mm) and xyz map (2 of 255) as drawn, or as drawn with the camera's principal point a
  hundredth of a pixel away: that forgives a silhouette pixel whose centre lies on the edge, and no other. The mask must
  also be exactly where the depth map is not 0, so no column of it can get lost; its IoU is far above the 0.99 asked for.
"""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8, UInt16

from posedreamer.bodies.body import BodyModel
from posedreamer.geometry.skeletons import COCO_FROM_OUTPUT, OUTPUT_JOINTS
from posedreamer.rendering.conditions import draw_condition
from posedreamer.rendering.label import DrawnLabel, draw_label, mask_bbox
from posedreamer.rendering.visibility import HIDING_DISTANCE, pixels_of
from posedreamer.sample import Label

JOINT_TOLERANCE = 1e-5  # metres, and a millionth of the distance from the camera
KEYPOINT_TOLERANCE = 0.1  # pixels
DEPTH_TOLERANCE_MM = 2
COLOR_TOLERANCE = 2
EDGE_SHIFT = 0.01  # pixels
HIDING_TOLERANCE = 1e-4  # metres; the rule for visibility is a threshold, and float noise can step over it
_SHIFTS = ((EDGE_SHIFT, 0.0), (-EDGE_SHIFT, 0.0), (0.0, EDGE_SHIFT), (0.0, -EDGE_SHIFT))


Redraw = Callable[[], list[DrawnLabel]]


class StoredMaps(NamedTuple):
    """The maps of one sample as read from its shard."""

    mask: Bool[np.ndarray, "h w"]
    depth_mm: UInt16[np.ndarray, "h w"]
    xyz: UInt8[np.ndarray, "h w 3"]


def label_problems(label: Label, maps: StoredMaps, body: BodyModel) -> list[str]:
    """What is untrue about a label, in words; nothing if it is true.

    maps: of the label's width and height (checked by the caller).
    """
    camera = list(_camera_problems(label))
    if camera:
        return camera
    try:
        drawn = draw_label(body, label.parameters, label.K, label.width, label.height)
    except ValueError as error:
        return [f"label cannot be drawn: {error}"]

    @functools.cache
    def shifted() -> list[DrawnLabel]:
        cameras = [_shift(label.K, *shift) for shift in _SHIFTS]
        return [draw_label(body, label.parameters, K, label.width, label.height) for K in cameras]

    return [
        *_array_problems(label, maps),
        *_drawn_problems(label, drawn, shifted),
        *_map_problems(maps, body, drawn, shifted),
    ]


def _camera_problems(label: Label) -> Iterator[str]:
    T, K = label.T_cam_from_world, label.K
    rotation = T[:3, :3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6) or np.linalg.det(rotation) < 0:
        yield "T_cam_from_world: its 3 x 3 part is not a rotation"
    if not np.array_equal(T[3], [0, 0, 0, 1]) or not np.isfinite(T).all():
        yield f"T_cam_from_world: last row {T[3]}, expected 0 0 0 1 and finite numbers"
    if not np.array_equal(K[2], [0, 0, 1]) or not (K[0, 0] > 0 and K[1, 1] > 0):
        yield f"K: got rows {K.tolist()}, expected positive focal lengths and last row 0 0 1"


def _array_problems(label: Label, maps: StoredMaps) -> Iterator[str]:
    """Stored arrays against one another, exactly: these were made from those, in the same float32."""
    keypoints = label.keypoints
    inside = ((keypoints >= 0) & (keypoints < (label.width, label.height))).all(axis=1)
    if (label.visible & ~inside).any():
        yield f"visible: keypoints outside the image: {_names(label.visible & ~inside)}"
    levels = inside.astype(np.float32) + label.visible
    expected = np.concatenate([keypoints, levels[:, None]], axis=1)[COCO_FROM_OUTPUT]
    if not np.array_equal(label.coco_keypoints, expected):
        rows = np.flatnonzero((label.coco_keypoints != expected).any(axis=1)).tolist()
        yield f"coco_keypoints: rows {rows} are not what keypoints and visible say"
    if not np.array_equal(label.bbox, mask_bbox(maps.mask)):
        yield f"bbox: got {label.bbox.tolist()}, the mask says {mask_bbox(maps.mask).tolist()}"
    if not np.array_equal(maps.mask, maps.depth_mm > 0):
        yield f"mask: {(maps.mask != (maps.depth_mm > 0)).sum()} pixels are not what the depth map says"
    if maps.xyz[~maps.mask].any():
        yield "condition (xyz): pixels outside the mask are not black"


def _drawn_problems(label: Label, drawn: DrawnLabel, shifted: Redraw) -> Iterator[str]:
    """joints_cam, keypoints and visible against the body drawn from the parameters."""
    gap = np.linalg.norm(label.joints_cam - drawn.joints_cam, axis=1)
    if not (gap <= JOINT_TOLERANCE + 1e-6 * np.linalg.norm(drawn.joints_cam, axis=1)).all():  # NaN too
        worst = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
        yield f"joints_cam: {OUTPUT_JOINTS[worst]} lies {gap[worst] * 1000:.3f} mm from where the parameters put it"
    gap_px = np.linalg.norm(label.keypoints - drawn.keypoints, axis=1)
    # Far outside the image float32 pixels get coarse.
    allowed = KEYPOINT_TOLERANCE + 1e-5 * np.linalg.norm(drawn.keypoints, axis=1)
    if not (gap_px <= allowed).all():
        worst = int(np.argmax(np.where(np.isnan(gap_px), np.inf, gap_px)))
        yield f"keypoints: {OUTPUT_JOINTS[worst]} lies {gap_px[worst]:.2f} px from where the parameters put it"
    _, columns, rows = pixels_of(drawn.keypoints, drawn.raster)
    in_front = drawn.joints_cam[:, 2] - drawn.raster.depth[rows, columns]
    wrong = label.visible != drawn.visible
    wrong &= np.abs(in_front - HIDING_DISTANCE) > HIDING_TOLERANCE
    for other in shifted() if wrong.any() else []:
        wrong &= label.visible != other.visible
    if wrong.any():
        yield f"visible: wrong for {_names(wrong)}"


def _map_problems(maps: StoredMaps, body: BodyModel, drawn: DrawnLabel, shifted: Redraw) -> Iterator[str]:
    wrong = _wrong_pixels(maps, body, drawn)
    for other in shifted() if any(pixels.any() for pixels in wrong.values()) else []:
        for name, pixels in _wrong_pixels(maps, body, other).items():
            wrong[name] &= pixels
    for name, pixels in wrong.items():
        if pixels.any():
            row, column = np.argwhere(pixels)[0]
            yield f"{name}: {pixels.sum()} pixels differ from the drawn ones, the first at column {column} row {row}"


def _wrong_pixels(maps: StoredMaps, body: BodyModel, drawn: DrawnLabel) -> dict[str, np.ndarray]:
    depth_gap = np.abs(maps.depth_mm.astype(np.int32) - drawn.depth_mm)
    color_gap = np.abs(maps.xyz.astype(np.int16) - draw_condition("xyz", body, drawn)).max(axis=-1)
    return {
        "mask": maps.mask != drawn.mask,
        # A surface nearer than that would otherwise pass for background.
        "depth": (depth_gap > DEPTH_TOLERANCE_MM) | ((maps.depth_mm > 0) != drawn.mask),
        "condition (xyz)": color_gap > COLOR_TOLERANCE,
    }


def _shift(K: Float[np.ndarray, "3 3"], x: float, y: float) -> Float[np.ndarray, "3 3"]:
    return K + np.array([[0.0, 0.0, x], [0.0, 0.0, y], [0.0, 0.0, 0.0]])


def _names(which: Bool[np.ndarray, "127"]) -> str:
    return ", ".join(OUTPUT_JOINTS[index] for index in np.flatnonzero(which))
