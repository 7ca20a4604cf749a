"""Remakes golden/rendered_person.npz: a dressed render with its label, and the same scene with a second person.

Remake when the open body, its clothes or the renderer change so much that the pictures here no longer stand for them:
    python tests/stages/remake_rendered_person.py
The tests of judge, mining and filters use it; they need a person that the judge knows, not this very one.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from posedreamer.bodies.catalog import load_body, load_wardrobe
from posedreamer.bodies.posing import pose_body, rest_parameters, transform_parameters
from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.geometry.cameras import look_at, make_K
from posedreamer.rendering.attributes import draw_attributes
from posedreamer.rendering.label import draw_label
from posedreamer.rendering.people import render_person
from posedreamer.sample import PARAMETER_SHAPES
from posedreamer.stages.filtering.fill import widen

GOLDEN = Path(__file__).parent / "golden" / "rendered_person.npz"
SIZE = 160
T_CAM_FROM_WORLD = look_at(np.array([0.0, 1.4, 4.0]), np.array([0.0, 0.9, 0.0]))
K = make_K(1.45 * SIZE, SIZE, SIZE)


def render(place_x: float, arms: float, seed: int) -> tuple[np.ndarray, object, object]:
    """Picture, drawn label and parameters of a standing body, arms lowered by `arms` radians from the T-pose."""
    body, rng = load_body(), np.random.default_rng(seed)
    body_pose = np.zeros((21, 3), np.float32)
    body_pose[15, 2], body_pose[16, 2] = -arms, arms
    standing = replace(rest_parameters(), body_pose=body_pose)
    ground = pose_body(body, standing).vertices[:, 1].min()
    standing = replace(standing, transl=np.float32([place_x, -ground, 0]))
    parameters = transform_parameters(body, standing, T_CAM_FROM_WORLD)
    attributes = draw_attributes(rng) | {"scene": "park", "hair_style": "short"}
    picture = render_person(
        body, load_wardrobe(), parameters, K, SIZE, SIZE, attributes, np.random.default_rng(5),
        T_cam_from_world=T_CAM_FROM_WORLD,
    )  # fmt: skip
    return picture, draw_label(body, parameters, K, SIZE, SIZE), parameters


def main() -> None:
    picture, drawn, parameters = render(-0.45, arms=0.5, seed=0)
    other, other_drawn, _ = render(0.75, arms=1.2, seed=1)
    cover = widen(other_drawn.mask, 3)
    crowded = np.where(cover[..., None], other, picture)
    found = KeypointDetector(1).setup().detect(picture)
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        GOLDEN, picture=picture, crowded=crowded, mask=drawn.mask, depth_mm=drawn.depth_mm, K=K, bbox=drawn.bbox,
        T_cam_from_world=T_CAM_FROM_WORLD, joints_cam=drawn.joints_cam, keypoints=drawn.keypoints,
        visible=drawn.visible, coco_keypoints=drawn.coco_keypoints, detected=found.keypoints,
        **{f"parameters_{name}": getattr(parameters, name) for name in PARAMETER_SHAPES},
    )  # fmt: skip
    sys.stdout.write(f"{GOLDEN}: {GOLDEN.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
