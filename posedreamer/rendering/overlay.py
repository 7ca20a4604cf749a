"""Labels drawn over pictures, for people to look at: the COCO skeleton and the body mesh. Nothing here is fed to a model."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from posedreamer.bodies.body import BodyModel
from posedreamer.geometry.skeletons import COCO_BONES, COCO_KEYPOINTS
from posedreamer.rendering.label import DrawnLabel
from posedreamer.rendering.rasterizer import interpolate, vertex_normals

LEFT, RIGHT, MIDDLE = (255, 140, 0), (0, 150, 255), (60, 220, 90)
MESH_COLOR = np.array([150.0, 190.0, 255.0], dtype=np.float32)  # of a label's body
LEARNER_COLOR = np.array([255.0, 170.0, 110.0], dtype=np.float32)  # of a body that a mesh estimator sees
SUBPIXEL_BITS = 4  # cv2 draws at 1/16 pixel


def draw_skeleton(
    rgb: UInt8[np.ndarray, "h w 3"], coco_keypoints: Float[np.ndarray, "17 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy with the 17 keypoints and their bones: the person's left orange, right blue, between them green.

    Visible keypoints (v = 2) are full dots, hidden ones (v = 1) rings, and those outside (v = 0) are not drawn, nor their
    bones. Bones to a hidden keypoint are thin.
    """
    image = np.ascontiguousarray(rgb).copy()
    scale = max(image.shape[:2]) / 512.0
    thickness = max(1, round(2.5 * scale))
    for first, second in COCO_BONES:
        levels = coco_keypoints[[first, second], 2]
        if levels.min() > 0:
            width = thickness if levels.min() == 2 else max(1, thickness // 2)
            start, end = _fixed_point(coco_keypoints[first]), _fixed_point(coco_keypoints[second])
            cv2.line(image, start, end, _side_color(first, second), width, cv2.LINE_AA, SUBPIXEL_BITS)
    radius = round(max(1.5, 4.0 * scale) * 2**SUBPIXEL_BITS)
    for index, keypoint in enumerate(coco_keypoints):
        if keypoint[2] == 0:
            continue
        center = _fixed_point(keypoint)
        if keypoint[2] == 2:
            cv2.circle(image, center, radius, (255, 255, 255), -1, cv2.LINE_AA, SUBPIXEL_BITS)
            cv2.circle(image, center, round(0.7 * radius), _side_color(index, index), -1, cv2.LINE_AA, SUBPIXEL_BITS)
        else:
            cv2.circle(
                image, center, radius, _side_color(index, index), max(1, thickness // 2), cv2.LINE_AA, SUBPIXEL_BITS
            )
    return image


def draw_mesh(
    rgb: UInt8[np.ndarray, "h w 3"],
    body: BodyModel,
    drawn: DrawnLabel,
    opacity: float = 0.7,
    color: Float[np.ndarray, "3"] = MESH_COLOR,
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy with the body over it, lit from the camera, its outline antialiased.

    opacity: 0 shows the picture alone, 1 the mesh alone. A picture of another size than the label is a ValueError.
    """
    if rgb.shape[:2] != drawn.mask.shape:
        raise ValueError(f"draw_mesh: the picture is {rgb.shape[:2]}, the label {drawn.mask.shape} (height, width)")
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f"draw_mesh: opacity must be in [0, 1], got {opacity}")
    # The cover's edge is blurred by a pixel, so the shade of the edge has to run on by a pixel.
    shade = interpolate(drawn.raster, body.faces, 0.3 - 0.7 * vertex_normals(drawn.posed.vertices, body.faces)[:, 2:])
    shade = np.where(drawn.mask, np.clip(shade[..., 0], 0.15, 1.0), 0.0).astype(np.float32)
    weight = cv2.GaussianBlur(drawn.mask.astype(np.float32), (3, 3), 0)
    spread = cv2.GaussianBlur(shade, (3, 3), 0) / np.maximum(weight, 1e-6)
    mesh = np.where(drawn.mask, shade, spread)[..., None] * color
    cover = opacity * weight[..., None]
    return np.rint((1.0 - cover) * rgb + cover * mesh).astype(np.uint8)


def _side_color(first: int, second: int) -> tuple[int, int, int]:
    sides = {COCO_KEYPOINTS[index].partition("_")[0] for index in (first, second)} - {"nose"}
    return {"left": LEFT, "right": RIGHT}[sides.pop()] if len(sides) == 1 else MIDDLE


def _fixed_point(keypoint: Float[np.ndarray, " 3"]) -> tuple[int, int]:
    """cv2 counts from the first pixel's centre, we from its corner."""
    x, y = np.rint((keypoint[:2].astype(np.float64) - 0.5) * 2**SUBPIXEL_BITS).astype(int)
    return int(x), int(y)
