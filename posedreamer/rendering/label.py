"""From body parameters and a camera to everything a label says about the picture.

The line draws labels with this function and `verify` draws them again with it: equal input gives equal output, bit for bit.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt16

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.posing import PosedBody, pose_body
from posedreamer.geometry.cameras import MIN_DEPTH, project
from posedreamer.geometry.skeletons import COCO_FROM_OUTPUT
from posedreamer.rendering.rasterizer import Backend, Raster, rasterize
from posedreamer.rendering.visibility import pixels_of, visible_keypoints
from posedreamer.sample import BodyParameters

MAX_DEPTH_MM = np.iinfo(np.uint16).max


class DrawnLabel(NamedTuple):
    """One body in front of one camera, drawn. Frames and pixels: `geometry/cameras.py`.

    posed: in the camera frame. joints_cam: metres; keypoints: their pixels, also outside the image.
    visible: `visibility.py`. coco_keypoints: x, y, v with v = 2 visible, 1 in the image but hidden, 0 outside (x and y are
    kept there). depth_mm: along z, 0 on the background. bbox: x, y, w, h of the mask, from the first pixel's corner to
    the last one's far corner; all 0 when the mask is empty.
    """

    posed: PosedBody
    raster: Raster
    joints_cam: Float32[np.ndarray, "127 3"]
    keypoints: Float32[np.ndarray, "127 2"]
    visible: Bool[np.ndarray, "127"]
    coco_keypoints: Float32[np.ndarray, "17 3"]
    mask: Bool[np.ndarray, "h w"]
    depth_mm: UInt16[np.ndarray, "h w"]
    bbox: Float32[np.ndarray, "4"]


def draw_label(
    body: BodyModel,
    parameters_cam: BodyParameters,
    K: Float[np.ndarray, "3 3"],
    width: int,
    height: int,
    backend: Backend = "numba",
) -> DrawnLabel:
    """The drawn label of a body given in the camera frame.

    A vertex or joint at or behind the camera, or a visible surface beyond 65.5 m, is a ValueError.
    """
    return draw_posed_label(body, pose_body(body, parameters_cam), K, width, height, backend)


def draw_posed_label(
    body: BodyModel,
    posed: PosedBody,
    K: Float[np.ndarray, "3 3"],
    width: int,
    height: int,
    backend: Backend = "numba",
) -> DrawnLabel:
    """`draw_label` of a body that is posed already, in the camera frame."""
    nearest = min(posed.vertices[:, 2].min(), posed.joints[:, 2].min())
    if not nearest > MIN_DEPTH:  # also true of NaN
        raise ValueError(
            f"draw_label: the whole body must be in front of the camera; its nearest point has depth {nearest:.4f} m, "
            f"expected more than {MIN_DEPTH}"
        )
    raster = rasterize(posed.vertices, body.faces, K, width, height, backend)
    keypoints = project(posed.joints, K).astype(np.float32)
    visible = visible_keypoints(body, raster, posed.joints, keypoints)
    inside, _, _ = pixels_of(keypoints, raster)
    levels = inside.astype(np.float32) + visible
    coco_keypoints = np.concatenate([keypoints, levels[:, None]], axis=1)[COCO_FROM_OUTPUT]
    mask = raster.face_id >= 0
    millimetres = np.rint(raster.depth * np.float32(1000.0))
    if millimetres.max() > MAX_DEPTH_MM:
        raise ValueError(f"draw_label: depth {millimetres.max() / 1000:.1f} m does not fit in 16 bit of millimetres")
    return DrawnLabel(
        posed=posed,
        raster=raster,
        joints_cam=posed.joints,
        keypoints=keypoints,
        visible=visible,
        coco_keypoints=coco_keypoints,
        mask=mask,
        depth_mm=millimetres.astype(np.uint16),
        bbox=mask_bbox(mask),
    )


def mask_bbox(mask: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "4"]:
    """x, y, w, h of the True pixels, counted from pixel corners; all 0 when there is none."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if len(columns) == 0:
        return np.zeros(4, dtype=np.float32)
    x, y = columns[0], rows[0]
    return np.array([x, y, columns[-1] + 1 - x, rows[-1] + 1 - y], dtype=np.float32)
