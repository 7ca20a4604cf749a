"""Draws the sheets of the look-development page: `python pipelines/draw_look_sheets.py --out docs/look` (see docs/look.md).

Each row shows one value of one attribute on the same bodies; what a prompt does not say (cuts, shades, light, camera) is
drawn anew in each picture. Look at them after each change of clothes, light or scenes.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from posedreamer.bodies.catalog import load_body, load_wardrobe
from posedreamer.bodies.posing import transform_parameters
from posedreamer.geometry.cameras import look_at, make_K
from posedreamer.rendering.attributes import VALUES, draw_attributes
from posedreamer.rendering.people import render_person
from posedreamer.seeds import generator_for
from posedreamer.stages.sampling.library import load_library
from posedreamer.stages.sampling.library_source import pose_to_draw
from posedreamer.stages.sampling.placing import draw_to_parameters, stand_on_ground
from posedreamer.stages.sampling.shapes import draw_betas

SEED = 0
POSES = ("stand_relaxed", "walk", "warrior_two", "hands_on_hips", "sit_on_chair", "arabesque")
NAME_BAR = 16
# Sheet -> the attributes whose values are its rows.
SHEETS = {
    "clothes": ("top", "bottom"),
    "prints": ("top_pattern",),
    "hair": ("hair_style",),
    "skin": ("skin",),
    "shoes": ("shoes",),
    "scenes": ("scene",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/look"))
    parser.add_argument("--size", type=int, default=160, help="pixels of one picture")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for sheet, names in SHEETS.items():
        rows = [draw_row(name, value, arguments.size) for name in names for value in VALUES[name]]
        path = arguments.out / f"{sheet}.jpg"
        cv2.imwrite(str(path), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 84])
        print(f"{path}: {len(rows)} rows")


def draw_row(name: str, value: str, size: int) -> np.ndarray:
    """One value of an attribute on each of the POSES."""
    pictures = [draw_picture(pose, {name: value}, f"{name}-{value}-{pose}", size) for pose in POSES]
    bar = np.full((NAME_BAR, size * len(pictures), 3), 255, np.uint8)
    cv2.putText(bar, f"{name}: {value}", (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (20, 20, 20), 1, cv2.LINE_AA)
    return np.vstack([bar, np.hstack(pictures)])


def draw_picture(pose: str, wanted: dict[str, str], key: str, size: int) -> np.ndarray:
    """The pose, standing on the ground, with the wanted attributes and others drawn from the key."""
    body, rng = load_body(), generator_for(SEED, key, "sheet")
    draw = pose_to_draw(load_library().poses[pose], body.get_buffer("hand_mean").numpy())
    parameters, _ = stand_on_ground(body, draw_to_parameters(draw, draw_betas(rng, split="train")))
    yaw, centre = rng.uniform(-0.8, 0.8), np.array([0.0, 0.85, 0.0])
    T_cam_from_world = look_at(centre + 3.6 * np.array([np.sin(yaw), 0.12, np.cos(yaw)]), centre)
    attributes = draw_attributes(rng) | ({} if "scene" in wanted else {"scene": "studio"}) | wanted
    return render_person(
        body, load_wardrobe(), transform_parameters(body, parameters, T_cam_from_world),
        make_K(1.55 * size, size, size), size, size, attributes, rng, T_cam_from_world=T_cam_from_world,
    )  # fmt: skip


if __name__ == "__main__":
    main()
