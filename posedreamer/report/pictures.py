"""A sample as small pictures for a page: what was generated, the label drawn over it, and the map that it was made from."""

import base64
import math
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from posedreamer.bodies.body import BodyModel
from posedreamer.geometry.cameras import resize_K
from posedreamer.rendering.label import draw_label
from posedreamer.rendering.overlay import draw_mesh, draw_skeleton
from posedreamer.sample import Label, Sample

SIZE = 288  # longer side of a panel, pixels
THUMB_SIZE = 144
QUALITY = 80
MESH_OPACITY = 0.6


class Panel(NamedTuple):
    """One picture of a strip; uri holds the whole image."""

    name: str
    uri: str


def sample_panels(sample: Sample, body: BodyModel, size: int = SIZE) -> list[Panel]:
    """Picture, skeleton, mesh and condition of a stored sample, side by side in that order.

    Overlays are drawn at the size of the panel, from the label, so that lines stay crisp on a 128 px image.
    """
    label, condition, image = sample.label, sample.condition, sample.image
    if label is None or condition is None or image is None:
        raise ValueError(f"sample {sample.key}: a gallery needs label, condition and image")
    factor = scale_to(size, label.width, label.height)
    rgb = resize(image.rgb, factor)
    scaled = scale_label(label, factor, rgb.shape[1], rgb.shape[0])
    drawn = draw_label(body, scaled.parameters, scaled.K, scaled.width, scaled.height)
    panels = {"picture": rgb, "skeleton": draw_skeleton(rgb, scaled.coco_keypoints)}
    panels["mesh"] = draw_mesh(rgb, body, drawn, MESH_OPACITY)
    panels["xyz"] = resize(condition.xyz, factor)
    if condition.kind != "xyz":
        panels[condition.kind] = resize(condition.control, factor)
    return [Panel(name, to_data_uri(pixels)) for name, pixels in panels.items()]


def sample_thumb(sample: Sample, size: int = THUMB_SIZE) -> str:
    """The picture with the skeleton over it, small, as a data URI."""
    label, image = sample.label, sample.image
    if label is None or image is None:
        raise ValueError(f"sample {sample.key}: a gallery needs label and image")
    factor = scale_to(size, label.width, label.height)
    rgb = resize(image.rgb, factor)
    return to_data_uri(draw_skeleton(rgb, scale_label(label, factor, rgb.shape[1], rgb.shape[0]).coco_keypoints))


def scale_to(size: int, width: int, height: int) -> float:
    """The factor that gives the longer side `size` pixels."""
    return size / max(width, height)


def resize(rgb: UInt8[np.ndarray, "h w 3"], factor: float) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The image scaled by a factor; pixel areas are averaged on the way down."""
    height, width = (max(1, math.floor(side * factor + 0.5)) for side in rgb.shape[:2])
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


def scale_label(label: Label, factor: float, width: int, height: int) -> Label:
    """The label of the image scaled by a factor: pixel coordinates and K's first two rows are multiplied by it."""
    coco = label.coco_keypoints.copy()
    coco[:, :2] *= factor
    return replace(
        label,
        K=resize_K(label.K, factor),
        keypoints=label.keypoints * np.float32(factor),
        coco_keypoints=coco,
        bbox=label.bbox * np.float32(factor),
        width=width,
        height=height,
    )


def to_data_uri(rgb: UInt8[np.ndarray, "h w 3"]) -> str:
    """The image as a WebP in a data URI."""
    done, encoded = cv2.imencode(".webp", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"an image of shape {rgb.shape} could not be encoded as WebP")
    return "data:image/webp;base64," + base64.b64encode(encoded.tobytes()).decode()
