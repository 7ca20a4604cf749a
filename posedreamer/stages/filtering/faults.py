"""Faults planted into right pictures, to see which check notices: what calibrate_filters.py is made of.

A fault changes the picture, or the label where that is the same to whoever compares the two. One that would not be a fault on a sample
(the mirror image of a symmetric pose, an arm out of sight) is not planted there.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from posedreamer.bodies.body import BodyModel
from posedreamer.estimators.head_pose import FROM_COCO, FROM_OUTPUT, shows_face
from posedreamer.geometry.cameras import project
from posedreamer.geometry.rotations import rotvec_to_rotmat
from posedreamer.geometry.skeletons import COCO_KEYPOINTS, SMPLX_JOINTS, mirror_permutation
from posedreamer.metrics.oks import oks_coco
from posedreamer.rendering.attributes import CLOTH_COLORS
from posedreamer.rendering.conditions import draw_parts, parts_from_colors
from posedreamer.rendering.label import draw_label
from posedreamer.sample import Condition, Label, Picture, Sample
from posedreamer.stages.filtering.checks import parts_of
from posedreamer.stages.filtering.fill import paint_over, widen
from posedreamer.stages.filtering.skin import BARE, CLOTHED, LEAST_BARE, PartsOfXyz, on_parts

Plant = Callable[[Sample, Sample, BodyModel, np.random.Generator], Sample | None]

ANOTHER_POSE = 0.5  # OKS of true keypoints below which a moved or mirrored person is a fault
CLOTHES = 0.04  # how far clothes reach off the body, share of the longer side of its box
TRIES = 30
SECOND_SIZES = (0.6, 1.0)  # of the second person, who is cut out of another picture
HEAD_TURNS = (50.0, 110.0)  # degrees


def mirrored(sample: Sample, other: Sample, body: BodyModel, rng: np.random.Generator) -> Sample | None:
    """The picture's mirror image, the person in the same place: left limbs do what right ones should."""
    label, condition, image = parts_of(sample)
    middle = label.bbox[0] + label.bbox[2] / 2
    keypoints = label.coco_keypoints[mirror_permutation(COCO_KEYPOINTS), :2].astype(np.float64)
    keypoints[:, 0] = 2 * middle - keypoints[:, 0]
    if not _is_another_pose(keypoints, label, condition):
        return None
    return _shown(sample, _moved(image.rgb, np.array([[-1.0, 0.0, 2 * middle - 1.0], [0.0, 1.0, 0.0]])))


def shifted(sample: Sample, other: Sample, body: BodyModel, rng: np.random.Generator) -> Sample | None:
    """Everything in the picture lies elsewhere, by a fifth of the person."""
    label, condition, image = parts_of(sample)
    angle = rng.uniform(0.0, 2 * np.pi)
    step = 0.2 * float(label.bbox[2:].max()) * np.array([np.cos(angle), np.sin(angle)])
    if not _is_another_pose(label.coco_keypoints[:, :2] + step, label, condition):
        return None
    return _shown(sample, _moved(image.rgb, np.array([[1.0, 0.0, step[0]], [0.0, 1.0, step[1]]])))


def second_person(sample: Sample, other: Sample, body: BodyModel, rng: np.random.Generator) -> Sample | None:
    """Somebody of another picture stands beside, at least half of them in the picture and nowhere over the person."""
    label, condition, image = parts_of(sample)
    _, other_condition, other_image = parts_of(other)
    if other_image.rgb.shape != image.rgb.shape:
        return None
    pasted = widen(other_condition.mask, _clothes(other.label))
    own = widen(condition.mask, 2 * _clothes(label))
    for _ in range(TRIES):
        scale = rng.uniform(*SECOND_SIZES)
        right, down = (float(rng.uniform(-0.5, 0.5)) * side + (1 - scale) * side / 2 for side in image.rgb.shape[1::-1])
        shift = np.array([[scale, 0.0, right], [0.0, scale, down]])
        there = cv2.warpAffine(pasted.astype(np.uint8), shift, pasted.shape[::-1]).astype(bool)
        if there.sum() >= 0.5 * scale**2 * pasted.sum() and not (there & own).any():
            rgb = image.rgb.copy()
            rgb[there] = _moved(other_image.rgb, shift)[there]
            return _shown(sample, rgb)
    return None


def missing_arm(sample: Sample, other: Sample, body: BodyModel, rng: np.random.Generator) -> Sample | None:
    """An arm from the elbow on is painted over, where its wrist and elbow are in sight off the rest of the body."""
    label, _, image = parts_of(sample)
    levels: dict[str, float] = dict(zip(COCO_KEYPOINTS, label.coco_keypoints[:, 2], strict=True))
    sides = [side for side in ("left", "right") if levels[f"{side}_elbow"] == 2 == levels[f"{side}_wrist"]]
    if not sides:
        return None
    side = sides[int(rng.integers(len(sides)))]
    drawn = draw_label(body, label.parameters, label.K, label.width, label.height)
    parts = parts_from_colors(draw_parts(body, drawn))
    names = {f"{side}_elbow", f"{side}_wrist"} | {
        name for name in SMPLX_JOINTS if name.startswith(side) and name[-1:].isdigit()
    }
    arm = np.isin(parts, [SMPLX_JOINTS.index(name) for name in names])
    rest = (parts >= 0) & ~arm
    reach = max(2, _clothes(label))
    if arm.sum() < 0.5 * reach**2 or (widen(arm, reach) & rest).sum() > 2 * arm.sum():
        return None
    return _shown(sample, paint_over(image.rgb, widen(arm, reach) & ~rest))


def head_turned(sample: Sample, other: Sample, body: BodyModel, rng: np.random.Generator) -> Sample | None:
    """The label's head looks elsewhere, by HEAD_TURNS about its upright axis; before and after it shows its face."""
    label, _, _ = parts_of(sample)
    head = label.joints_cam[FROM_OUTPUT].astype(np.float64)
    middle = head.mean(axis=0)
    upright = np.cross(head[3] - head[4], head[0] - head[3:].mean(axis=0))
    turn = np.deg2rad(rng.uniform(*HEAD_TURNS)) * rng.choice([-1.0, 1.0]) * upright / np.linalg.norm(upright)
    turned = [label.joints_cam.copy(), label.joints_cam.copy()]
    for joints, sign in zip(turned, (1.0, -1.0), strict=True):
        joints[FROM_OUTPUT] = (head - middle) @ rotvec_to_rotmat(sign * turn).T + middle
    facing = [joints for joints in turned if shows_face(joints)]
    if not shows_face(label.joints_cam) or not facing:
        return None
    joints = facing[0]
    keypoints, coco = label.keypoints.copy(), label.coco_keypoints.copy()
    keypoints[FROM_OUTPUT] = project(joints[FROM_OUTPUT].astype(np.float64), label.K)
    coco[FROM_COCO, :2] = keypoints[FROM_OUTPUT]
    return replace(sample, label=replace(label, joints_cam=joints, keypoints=keypoints, coco_keypoints=coco))


def blurred(sample: Sample, other: Sample, body: BodyModel, rng: np.random.Generator) -> Sample | None:
    """Out of focus, by an eightieth of the picture's longer side (3 pixels of 256)."""
    _, _, image = parts_of(sample)
    return _shown(sample, np.asarray(cv2.GaussianBlur(image.rgb, (0, 0), max(image.rgb.shape) / 80), dtype=np.uint8))


def washed_out(sample: Sample, other: Sample, body: BodyModel, rng: np.random.Generator) -> Sample | None:
    """A quarter of its contrast and colour is left, over a light veil."""
    _, _, image = parts_of(sample)
    return _shown(sample, (0.25 * image.rgb + 150.0).astype(np.uint8))


def tinted(sample: Sample, other: Sample, body: BodyModel, rng: np.random.Generator) -> Sample | None:
    """All in one tint: little of its own colours is left under it."""
    _, _, image = parts_of(sample)
    tint = np.roll([1.0, 0.8, 0.55], int(rng.integers(3)))
    tone = image.rgb.mean(axis=2, keepdims=True) * tint
    return _shown(sample, (0.15 * image.rgb + 0.85 * tone).clip(0, 255).astype(np.uint8))


def empty_scene(sample: Sample, other: Sample, body: BodyModel, rng: np.random.Generator) -> Sample | None:
    """Nobody is there: the person is painted over from what is around."""
    label, condition, image = parts_of(sample)
    return _shown(sample, paint_over(image.rgb, widen(condition.mask, 2 * _clothes(label))))


def wrong_clothes(sample: Sample, other: Sample, body: BodyModel, rng: np.random.Generator) -> Sample | None:
    """The prompt asks for a shirt of another colour."""
    if sample.prompt is None or (worn := sample.prompt.attributes.get("top_color")) not in CLOTH_COLORS:
        return None
    asked = str(rng.choice([color for color in CLOTH_COLORS if color != worn]))
    attributes = {**sample.prompt.attributes, "top_color": asked}
    return replace(sample, prompt=replace(sample.prompt, attributes=attributes))


def undressed(sample: Sample, other: Sample, body: BodyModel, rng: np.random.Generator) -> Sample | None:
    """Trunk, hips and thighs have the colour of the person's own hands and face, half their light and shade."""
    _, condition, image = parts_of(sample)
    rows, columns = np.nonzero(condition.mask)
    parts = PartsOfXyz(body).find(condition.xyz[rows, columns])
    clothed, bare = on_parts(CLOTHED, parts), on_parts(BARE, parts)
    if bare.sum() < LEAST_BARE or clothed.sum() < LEAST_BARE:
        return None
    lab = cv2.cvtColor(image.rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    person = lab[rows, columns]
    skin, worn = np.median(person[bare], axis=0), person[clothed]
    person[clothed] = skin + (worn - np.median(worn, axis=0)) * [0.5, 0.1, 0.1]
    lab[rows, columns] = person
    rgb = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return _shown(sample, np.rint(255 * rgb.clip(0, 1)).astype(np.uint8))


FAULTS: dict[str, Plant] = {
    "mirrored limbs": mirrored,
    "shifted pose": shifted,
    "second person": second_person,
    "missing arm": missing_arm,
    "wrong head direction": head_turned,
    "blur": blurred,
    "wash-out": washed_out,
    "tint": tinted,
    "wrong clothes colour": wrong_clothes,
    "undressed": undressed,
    "empty scene": empty_scene,
}


def _is_another_pose(keypoints: np.ndarray, label: Label, condition: Condition) -> bool:
    return bool(oks_coco(keypoints, label.coco_keypoints, float(condition.mask.sum())) < ANOTHER_POSE)


def _clothes(label: Label | None) -> int:
    assert label is not None
    return max(2, round(CLOTHES * float(label.bbox[2:].max())))


def _moved(rgb: UInt8[np.ndarray, "h w 3"], matrix: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    """The picture under an affine map of pixels; what comes in over its edge is painted from what is there."""
    size: Any = rgb.shape[1::-1]
    is_known = cv2.warpAffine(np.ones(rgb.shape[:2], np.uint8), matrix, size).astype(bool)
    return paint_over(np.asarray(cv2.warpAffine(rgb, matrix, size), dtype=np.uint8), ~is_known)


def _shown(sample: Sample, rgb: UInt8[np.ndarray, "h w 3"]) -> Sample:
    """The sample with another picture, to be judged anew."""
    assert sample.image is not None
    return replace(sample, image=Picture(rgb, sample.image.generator, sample.image.seed, sample.image.candidate))
