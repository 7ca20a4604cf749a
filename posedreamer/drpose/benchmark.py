"""How well a multi-view model's views show a known pose, and how they look: an open counterpart of DrPose's MixamoRP.

Poses are judged by the independent detector on the enlarged colour views, never by the reward: view by view, and in 3D by
triangulation over all views. The detector's own answers on true views are the floor. Looks are compared with the true views: PSNR and SSIM
of colours, degrees between normals, and the cast of colours, the washing out that DrPose's reviewers saw.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from skimage.metrics import structural_similarity

from posedreamer.drpose.views import VIEWS, project_to_views, triangulate
from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.geometry.skeletons import COCO_FROM_OUTPUT, COCO_KEYPOINTS
from posedreamer.metrics.oks import oks_per_joint
from posedreamer.metrics.pose import mpjpe_mm, pa_mpjpe_mm

JUDGED_SIZE = 256  # views are enlarged to this before the detector sees them
WHITE = 255
LEAST_WEIGHT = 1e-3  # of a keypoint that no view shows: it is then placed by all alike
HIPS = tuple(COCO_KEYPOINTS.index(name) for name in ("left_hip", "right_hip"))


class PoseMeasures(NamedTuple):
    """oks: over all 17 keypoints, in sight or not; area: of the true view's silhouette. mpjpe_mm: from the middle of the hips."""

    oks: Float[np.ndarray, "subjects views"]
    mpjpe_mm: Float[np.ndarray, " subjects"]
    pa_mpjpe_mm: Float[np.ndarray, " subjects"]


class LookMeasures(NamedTuple):
    """Means over views, against the true ones. psnr, ssim: of colours; normal_degrees, color_cast: where both show the body, nan where no view
    does; color_cast: of the mean colour, drawn less true, RGB in 0 to 255.
    """

    psnr: Float[np.ndarray, " subjects"]
    ssim: Float[np.ndarray, " subjects"]
    normal_degrees: Float[np.ndarray, " subjects"]
    color_cast: Float[np.ndarray, "subjects 3"]


def measure_poses(
    colors: UInt8[np.ndarray, "subjects views h w 3"],
    joints: Float[np.ndarray, "subjects 127 3"],
    diagonal: Float[np.ndarray, " subjects"],
    area: Float[np.ndarray, "subjects views"],
    judge: KeypointDetector,
) -> PoseMeasures:
    """What the judge sees in views as they are stored. joints: subject's frame, whose unit is `diagonal` metres; area: square pixels."""
    size = colors.shape[2]
    keypoints, confidence = read_keypoints(colors, judge)
    expected = torch.from_numpy(np.asarray(joints[:, COCO_FROM_OUTPUT], dtype=np.float64))
    places = project_to_views(expected, size, as_stored=False)[..., :2].numpy()
    oks = oks_per_joint(keypoints, places, area).mean(axis=-1)
    weights = np.maximum(confidence, LEAST_WEIGHT) ** 2
    found = triangulate(torch.from_numpy(keypoints), torch.from_numpy(weights), size).numpy()
    scale = np.asarray(diagonal, dtype=np.float64)[:, None, None]
    pair = [_with_middle(points * scale) for points in (found, expected.numpy())]
    return PoseMeasures(
        oks, mpjpe_mm(*pair, root=len(COCO_KEYPOINTS)), pa_mpjpe_mm(*(points[:, :-1] for points in pair))
    )


def read_keypoints(
    colors: UInt8[np.ndarray, "subjects views h w 3"], judge: KeypointDetector
) -> tuple[Float[np.ndarray, "subjects views 17 2"], Float[np.ndarray, "subjects views 17"]]:
    """Keypoints and confidences in pixels of the views as their cameras see them: stored mirror images are turned round first."""
    scale = JUDGED_SIZE / colors.shape[2]
    keypoints, confidence = np.zeros((*colors.shape[:2], 17, 2)), np.zeros((*colors.shape[:2], 17))
    for subject, views in enumerate(colors):
        for place, (view, picture) in enumerate(zip(VIEWS, views, strict=True)):
            seen = np.ascontiguousarray(picture[:, ::-1] if view.is_mirrored else picture)
            large = cv2.resize(seen, (JUDGED_SIZE, JUDGED_SIZE), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
            detection = judge.detect(large)
            keypoints[subject, place], confidence[subject, place] = detection.keypoints / scale, detection.confidence
    return keypoints, confidence


def measure_looks(
    drawn: UInt8[np.ndarray, "subjects domains views h w 3"],
    normals: UInt8[np.ndarray, "subjects views h w 3"],
    colors: UInt8[np.ndarray, "subjects views h w 3"],
) -> LookMeasures:
    """Drawn views (normals, colours) against the true ones."""
    rows = [
        [_looks(*one) for one in zip(shown[0], shown[1], shape, color, strict=True)]
        for shown, shape, color in zip(drawn, normals, colors, strict=True)
    ]
    return LookMeasures(*(_mean_of_views(np.array([[one[k] for one in row] for row in rows])) for k in range(4)))


def silhouette_area(normals: UInt8[np.ndarray, "subjects views h w 3"]) -> Float[np.ndarray, "subjects views"]:
    """Square pixels of each view that show the dressed body."""
    return (normals < WHITE).any(axis=-1).sum(axis=(2, 3)).astype(np.float64)


def _mean_of_views(values: Float[np.ndarray, "subjects views ..."]) -> Float[np.ndarray, "subjects ..."]:
    """Of those views that have a value; nan where none has."""
    told = np.isfinite(values)
    total, count = np.where(told, values, 0.0).sum(axis=1), told.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _looks(
    shape: UInt8[np.ndarray, "h w 3"],
    color: UInt8[np.ndarray, "h w 3"],
    true_shape: UInt8[np.ndarray, "h w 3"],
    true_color: UInt8[np.ndarray, "h w 3"],
) -> tuple[float, float, float, Float[np.ndarray, "3"]]:
    error = np.square(color.astype(np.float64) - true_color).mean()
    psnr = 10 * np.log10(WHITE**2 / max(error, 1e-9))
    ssim: Any = structural_similarity(color, true_color, channel_axis=2)
    body = _body(shape) & _body(true_shape)
    if not body.any():
        return float(psnr), float(ssim), np.nan, np.full(3, np.nan)
    cosine = (_directions(shape[body]) * _directions(true_shape[body])).sum(axis=1)
    degrees = float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).mean())
    return float(psnr), float(ssim), degrees, color[body].mean(axis=0) - true_color[body].mean(axis=0)


def _body(shape: UInt8[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    """Where a normal map shows a unit vector, not white or a mixture with it."""
    return np.abs(np.linalg.norm(shape / 127.5 - 1.0, axis=-1) - 1.0) < 0.25


def _directions(shape: UInt8[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
    vectors = shape / 127.5 - 1.0
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


def _with_middle(points: Float[np.ndarray, "subjects 17 3"]) -> Float[np.ndarray, "subjects 18 3"]:
    """With the middle of the hips at the end, which errors are counted from."""
    return np.concatenate([points, points[:, HIPS].mean(axis=1, keepdims=True)], axis=1)
