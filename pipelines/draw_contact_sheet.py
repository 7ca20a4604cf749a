"""Draws the pose library, one picture a family: `python pipelines/draw_contact_sheet.py --out docs/poses`.

Every pose stands on the ground, seen from the front, from 45 degrees and from its left side, with its name. The body's left
is red, its right is blue. Look at these pictures after each change of a pose: a pose is right when a person would name it.
"""

import argparse
import logging
from pathlib import Path

import cv2
import numpy as np

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import PosedBody
from posedreamer.geometry.cameras import look_at, make_K, transform_points
from posedreamer.geometry.skeletons import SMPLX_JOINTS
from posedreamer.rendering.rasterizer import interpolate, rasterize, vertex_normals
from posedreamer.stages.sampling.library import NamedPose, load_library
from posedreamer.stages.sampling.library_source import pose_to_draw
from posedreamer.stages.sampling.placing import draw_to_parameters, stand_on_ground
from posedreamer.stages.sampling.splits import load_splits

logger = logging.getLogger(__name__)
VIEWS_DEG = ((0, 8), (45, 12), (90, 5))  # yaw, elevation
HALF_FIELD = np.radians(14.0)
COLORS = {"left": (0.84, 0.52, 0.47), "right": (0.47, 0.60, 0.84), "head": (0.92, 0.82, 0.66), "": (0.78, 0.74, 0.70)}
NAME_BAR = 16  # pixels above each pose
TILE = 0.25  # metres of the floor's squares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/poses"))
    parser.add_argument("--size", type=int, default=150, help="pixels of one view")
    parser.add_argument("--columns", type=int, default=3, help="poses in a row")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    library, body = load_library(), load_body()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for family in library.families():
        poses = [pose for pose in library.poses.values() if pose.family == family]
        strips = [draw_pose(body, pose, arguments.size) for pose in poses]
        strips += [np.full_like(strips[0], 255)] * (-len(strips) % arguments.columns)
        rows = [np.hstack(strips[i : i + arguments.columns]) for i in range(0, len(strips), arguments.columns)]
        path = arguments.out / f"{family}.jpg"
        cv2.imwrite(str(path), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
        logger.info("%s: %d poses", path, len(poses))


def draw_pose(body: BodyModel, pose: NamedPose, size: int) -> np.ndarray:
    """The pose from three sides, with its name above."""
    draw = pose_to_draw(pose, body.get_buffer("hand_mean").numpy())
    _, posed = stand_on_ground(body, draw_to_parameters(draw, np.zeros(10)))
    views = np.hstack([draw_view(body, posed, yaw, elevation, size) for yaw, elevation in VIEWS_DEG])
    strip = np.vstack([np.full((NAME_BAR, views.shape[1], 3), 255, np.uint8), views])
    strip[:, -2:] = 255
    held_out = " (held out)" if pose.name in load_splits().poses else ""
    name = pose.name + (f" - {pose.sanskrit}" if pose.sanskrit else "") + held_out
    cv2.putText(strip, name, (4, NAME_BAR - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (20, 20, 20), 1, cv2.LINE_AA)
    return strip


def draw_view(body: BodyModel, posed: PosedBody, yaw_deg: float, elevation_deg: float, size: int) -> np.ndarray:
    """One view of the body over a chequered floor, twice as large and scaled down."""
    yaw, elevation = np.radians([yaw_deg, elevation_deg])
    centre = (posed.vertices.max(0) + posed.vertices.min(0)).astype(np.float64) / 2
    radius = np.linalg.norm(posed.vertices - centre, axis=1).max()
    direction = np.array([np.sin(yaw) * np.cos(elevation), np.sin(elevation), np.cos(yaw) * np.cos(elevation)])
    eye = centre + direction * radius / np.sin(HALF_FIELD)
    T_cam_from_world, large = look_at(eye, centre), 2 * size
    K = make_K(large / 2 / np.tan(HALF_FIELD), large, large)
    raster = rasterize(transform_points(T_cam_from_world, posed.vertices), body.faces, K, large, large)
    normals = vertex_normals(posed.vertices, body.faces)
    key, fill = (
        np.array([np.sin(yaw + turn), height, np.cos(yaw + turn)]) for turn, height in ((-0.6, 0.8), (0.9, 0.2))
    )
    light = 0.3 + 0.45 * np.clip(normals @ key, 0, None) + 0.22 * np.clip(normals @ fill, 0, None)
    person = interpolate(raster, body.faces, (part_colors(body) * light[:, None]).astype(np.float32))
    pixels = np.stack(np.meshgrid(np.arange(large) + 0.5, np.arange(large) + 0.5, [1.0]), -1)[:, :, 0]
    rays = pixels @ np.linalg.inv(K).T @ T_cam_from_world[:3, :3]
    floor = rays[..., 1] < -1e-3
    hit = eye + rays * np.where(floor, -eye[1] / np.where(floor, rays[..., 1], -1.0), 0.0)[..., None]
    checks = 0.80 + 0.06 * (np.floor(hit[..., ::2] / TILE).sum(-1) % 2)
    backdrop = np.where(floor, checks, 0.95)[..., None]
    image = np.where((raster.face_id >= 0)[..., None], person, backdrop)
    return cv2.resize((255 * image.clip(0, 1)).astype(np.uint8), (size, size), interpolation=cv2.INTER_AREA)


def part_colors(body: BodyModel) -> np.ndarray:
    """A colour for each vertex by the side of its main joint."""
    names = [SMPLX_JOINTS[joint] for joint in body.get_buffer("weights").numpy().argmax(1)]
    sides = [name.split("_")[0] if name.split("_")[0] in ("left", "right") else "" for name in names]
    heads = ["head" if name in ("head", "neck", "jaw") else side for name, side in zip(names, sides, strict=True)]
    return np.array([COLORS[head] for head in heads])


if __name__ == "__main__":
    main()
