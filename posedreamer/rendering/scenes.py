"""Procedural places: soft, smooth backgrounds that stand right in perspective, each with its own light.

A scene is painted along the rays of the camera, in a frame that is level with the world and looks where the camera looks
(`canvas.View`). So the horizon follows the camera's elevation and roll, the ground recedes, and walls stand up.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from posedreamer.rendering.attributes import srgb_to_linear
from posedreamer.rendering.canvas import Shades, View, band, blob, gradient, noise, over, pick, ramp
from posedreamer.rendering.shading import Light


class Scene(NamedTuple):
    """The picture without the body, linear RGB, and the light that falls on the body."""

    background: Float32[np.ndarray, "h w 3"]
    light: Light


def draw_scene(name: str, view: View, rng: np.random.Generator) -> Scene:
    """One place of attributes.SCENES, never twice the same."""
    image, light = PAINTERS[name](view, rng)
    tint = 1.0 + 0.02 * noise(view.azimuth * 40, view.elevation * 40, rng)
    linear = np.clip(image * tint[..., None], 0.0, 1.0) ** np.float32(2.2)
    return Scene(linear.astype(np.float32), light)


def _light(view: View, rng: np.random.Generator, sun: tuple, sky: tuple, ground: np.ndarray, strength: float) -> Light:
    """The sun stands behind the camera, to one side, 30-65 degrees high, so that the body's visible side is lit."""
    azimuth, height = rng.uniform(0.2, 1.2) * rng.choice([-1.0, 1.0]), rng.uniform(0.55, 1.1)
    right = np.cross(view.ahead_world, [0.0, 1.0, 0.0])
    level = -np.cos(azimuth) * view.ahead_world + np.sin(azimuth) * right
    towards_sun = np.cos(height) * level + np.sin(height) * np.array([0.0, 1.0, 0.0])
    bounce = srgb_to_linear(np.asarray(ground, np.float64)) * 0.5 + 0.05
    return Light(towards_sun, strength * np.array(sun), rng.uniform(0.9, 1.1) * np.array(sky), bounce)


def _studio(view: View, rng: np.random.Generator) -> tuple[np.ndarray, Light]:
    paper = pick(
        rng, (205, 206, 208), (168, 172, 178), (226, 220, 210), (150, 170, 188), (196, 176, 168), (120, 124, 130)
    )
    wall_height = _wall(view, 1.6)[1]
    image = gradient(0.5 + 0.25 * wall_height, paper * 0.86, paper)
    lamp = np.exp(-(((view.azimuth - rng.uniform(-0.2, 0.2)) / 0.45) ** 2) - ((view.elevation + 0.05) / 0.5) ** 2)
    over(image, np.clip(paper * 1.18, 0, 1), 0.8 * lamp)
    over(image, np.clip(paper * 0.93, 0, 1), 0.5 * ramp(-view.elevation, 0.25, 0.4))
    return image, _light(view, rng, (1.0, 0.98, 0.95), (0.42, 0.43, 0.45), paper, 0.75)


def _park(view: View, rng: np.random.Generator) -> tuple[np.ndarray, Light]:
    grass = pick(rng, (112, 152, 72), (126, 160, 84), (98, 140, 66))
    image = _sky(view, rng)
    leaves = pick(rng, (62, 104, 56), (78, 118, 62), (54, 92, 58))
    treeline = 0.10 + 0.05 * noise(view.azimuth * 14, 0 * view.azimuth, rng)
    over(image, leaves * 1.25 + 0.08, ramp(treeline - view.elevation, 0.0, 0.05))
    for _ in range(rng.integers(1, 4)):
        x, size = rng.uniform(-0.65, 0.65), rng.uniform(0.14, 0.3)
        over(
            image,
            (0.36, 0.27, 0.2),
            band(view.azimuth, x - 0.02, x + 0.02, 0.03) * ramp(0.3 - view.elevation, 0.0, 0.1),
        )
        crown = blob(view.azimuth, view.elevation, (x, 0.3 + size * 0.5), (size, size * 0.9), 0.35)
        over(image, leaves * rng.uniform(0.8, 1.1), crown)
        light_side = blob(
            view.azimuth, view.elevation, (x - size * 0.25, 0.3 + size * 0.75), (size * 0.6, size * 0.5), 0.9
        )
        over(image, leaves * 1.35, 0.6 * light_side)
    ground = _ground(view, grass, leaves * 1.2 + 0.05, 0.10, rng)
    if rng.random() < 0.5:
        slope, shift = rng.uniform(-0.6, 0.6), rng.uniform(-1.5, 1.5)
        path = band(view.ground_x - slope * view.ground_z - shift, -0.8, 0.8, 0.3)
        over(ground, pick(rng, (190, 172, 140), (176, 168, 156)), 0.9 * path * _nearness(view, 30.0))
    over(image, ground, view.ground)
    return image, _light(view, rng, (1.0, 0.95, 0.84), (0.36, 0.42, 0.48), grass, 0.85)


def _street(view: View, rng: np.random.Generator) -> tuple[np.ndarray, Light]:
    image = _sky(view, rng)
    edges = np.sort(rng.uniform(-1.0, 1.0, 5))
    for left, right in zip(np.r_[-2.0, edges], np.r_[edges, 2.0], strict=True):
        facade = pick(rng, (176, 152, 130), (150, 144, 142), (168, 120, 100), (196, 184, 164), (128, 136, 148))
        roof = rng.uniform(0.25, 0.75)
        inside = band(view.azimuth, left, right, 0.02) * ramp(roof - view.elevation, 0.0, 0.02)
        over(image, facade, inside)
        pitch = rng.uniform(0.12, 0.18)
        across = np.abs(np.mod(view.azimuth - left, pitch) / pitch - 0.5)
        upward = np.abs(np.mod(view.elevation - 0.1, pitch * 1.3) / (pitch * 1.3) - 0.5)
        windows = ramp(0.27 - across, 0.0, 0.16) * ramp(0.3 - upward, 0.0, 0.16) * ramp(view.elevation, 0.1, 0.03)
        over(image, facade * 0.55 + 0.05, 0.75 * windows * inside)
        over(image, facade * 0.6, 0.8 * inside * ramp(0.07 - view.elevation, 0.0, 0.02))
    asphalt = pick(rng, (118, 118, 122), (132, 130, 130), (104, 106, 112))
    ground = _ground(view, asphalt, asphalt * 1.15, 0.04, rng)
    kerb = rng.uniform(0.8, 2.5)
    over(ground, pick(rng, (186, 182, 176), (172, 168, 162)), ramp(view.ground_z, kerb, 0.1) * _nearness(view, 40.0))
    if rng.random() < 0.5:
        line = band(view.ground_z, -1.3, -1.15, 0.06) * ramp(np.abs(np.mod(view.ground_x, 3.0) - 1.5), 0.6, 0.1)
        over(ground, (0.88, 0.87, 0.82), 0.8 * line)
    over(image, ground, view.ground)
    return image, _light(view, rng, (0.98, 0.94, 0.86), (0.40, 0.43, 0.47), asphalt, 0.75)


def _living_room(view: View, rng: np.random.Generator) -> tuple[np.ndarray, Light]:
    paint = pick(rng, (222, 208, 184), (190, 200, 190), (182, 194, 206), (214, 190, 176), (228, 222, 212))
    wood = pick(rng, (150, 108, 72), (176, 134, 92), (126, 88, 60))
    x, y, floor = _wall(view, rng.uniform(0.9, 2.2))
    image = gradient(y / 2.6, paint * 0.92, paint)
    if rng.random() < 0.6:
        centre = rng.uniform(-1.4, 1.4)
        frame = band(x, centre - 0.62, centre + 0.62, 0.05) * band(y, 0.95, 2.25, 0.05)
        pane = band(x, centre - 0.55, centre + 0.55, 0.05) * band(y, 1.02, 2.18, 0.05)
        cross = 1.0 - band(x, centre - 0.03, centre + 0.03, 0.04)
        over(image, (0.96, 0.95, 0.93), frame)
        over(image, gradient((y - 1.0) / 1.2, (0.78, 0.86, 0.86), (0.66, 0.82, 0.95)), pane * cross)
    else:
        centre = rng.uniform(-1.2, 1.2)
        over(image, (0.25, 0.2, 0.17), band(x, centre - 0.45, centre + 0.45, 0.04) * band(y, 1.25, 1.95, 0.04))
        canvas = band(x, centre - 0.4, centre + 0.4, 0.04) * band(y, 1.3, 1.9, 0.04)
        over(
            image,
            gradient((y - 1.3) / 0.6, pick(rng, (90, 130, 150), (200, 150, 90)), pick(rng, (230, 220, 200))),
            canvas,
        )
    sofa, place = pick(rng, (92, 110, 124), (136, 96, 84), (112, 122, 96), (170, 160, 146)), rng.uniform(-1.6, 1.6)
    over(image, sofa, band(x, place - 0.95, place + 0.95, 0.12) * ramp(0.78 - y, 0.0, 0.12))
    over(image, sofa * 1.18, band(x, place - 0.8, place + 0.8, 0.12) * ramp(0.44 - y, 0.0, 0.1))
    plant = place + rng.choice([-1.0, 1.0]) * rng.uniform(1.3, 1.6)
    over(image, pick(rng, (72, 116, 70), (88, 128, 84)), blob(x, y, (plant, 0.95), (0.3, 0.45), 0.5))
    over(
        image,
        pick(rng, (190, 130, 96), (226, 222, 214)),
        band(x, plant - 0.15, plant + 0.15, 0.06) * ramp(0.45 - y, 0.0, 0.08),
    )
    boards = 0.04 * noise(view.ground_x * 9, view.ground_z * 0.8, rng) * _nearness(view, 4.0)
    ground = np.clip(wood * (1.0 + boards[..., None]), 0, 1).astype(np.float32)
    rug = blob(view.ground_x, view.ground_z, (rng.uniform(-0.5, 0.5), rng.uniform(-0.3, 0.3)), (1.5, 1.0), 0.1)
    over(ground, pick(rng, (198, 186, 168), (150, 92, 84), (110, 128, 142)), rug * float(rng.random() < 0.6))
    over(image, ground, floor)
    return image, _light(view, rng, (1.0, 0.93, 0.82), (0.45, 0.43, 0.40), wood, 0.65)


def _gym(view: View, rng: np.random.Generator) -> tuple[np.ndarray, Light]:
    paint, accent = (
        pick(rng, (200, 204, 208), (178, 184, 192)),
        pick(rng, (212, 96, 50), (60, 120, 180), (226, 190, 60)),
    )
    x, y, floor = _wall(view, rng.uniform(1.5, 3.0))
    image = gradient(y / 3.0, paint * 0.94, paint)
    stripe = rng.uniform(1.5, 2.2)
    over(image, accent, band(y, stripe, stripe + 0.35, 0.05))
    start, mirrors = rng.uniform(-3.0, 0.0), paint * 0.82 + np.array([0.02, 0.05, 0.08], dtype=np.float32)
    for panel in range(2):
        left = start + 1.5 * panel
        over(image, mirrors, 0.8 * band(x, left, left + 1.4, 0.05) * band(y, 0.35, stripe - 0.1, 0.05))
    rack = rng.uniform(0.6, 2.2) * rng.choice([-1.0, 1.0])
    for shelf in (0.45, 0.85):
        over(
            image, (0.16, 0.16, 0.18), band(x, rack - 0.8, rack + 0.8, 0.05) * band(y, shelf - 0.04, shelf + 0.04, 0.05)
        )
        bells = ramp(0.3 - np.abs(np.mod(x, 0.4) / 0.4 - 0.5), 0.0, 0.2) * band(x, rack - 0.75, rack + 0.75, 0.05)
        over(image, (0.24, 0.24, 0.27), bells * band(y, shelf + 0.03, shelf + 0.18, 0.06))
    ball = -rack + rng.uniform(-0.3, 0.3)
    over(image, accent * 0.9, blob(x, y, (ball, 0.33), (0.36, 0.36), 0.15))
    over(image, np.clip(accent * 1.3, 0, 1), 0.7 * blob(x, y, (ball - 0.1, 0.45), (0.2, 0.2), 1.0))
    rubber = pick(rng, (84, 88, 94), (104, 106, 110), (70, 80, 96))
    ground = _ground(view, rubber, rubber * 1.25, 0.03, rng)
    mat = band(view.ground_x, -0.6, 0.6, 0.06) * band(view.ground_z, -1.0, 1.0, 0.06) * float(rng.random() < 0.4)
    over(ground, accent * 0.8, mat)
    over(image, ground, floor)
    return image, _light(view, rng, (0.96, 0.98, 1.0), (0.46, 0.47, 0.48), rubber, 0.65)


def _beach(view: View, rng: np.random.Generator) -> tuple[np.ndarray, Light]:
    sand, sea = pick(rng, (222, 200, 160), (232, 214, 178), (212, 188, 150)), pick(rng, (60, 140, 170), (50, 120, 160))
    image = _sky(view, rng)
    if rng.random() < 0.5:
        hill, width = rng.uniform(-0.7, 0.7), rng.uniform(0.2, 0.45)
        over(image, (0.55, 0.66, 0.72), blob(view.azimuth, view.elevation, (hill, 0.0), (width, 0.12), 0.2))
    shore = rng.uniform(3.0, 9.0)
    wave = 0.4 * noise(view.ground_x * 1.2, 0 * view.ground_x, rng)
    ground = _ground(view, sand, sand, 0.06, rng)
    water = ramp(view.ground_z + wave, shore, 0.6)
    over(ground, sand * 0.8, ramp(view.ground_z + wave, shore - 1.2, 1.5))
    over(ground, gradient(np.log1p(np.clip(view.ground_z - shore, 0, None)) / 4.0, sea * 1.25, sea), water)
    over(ground, (0.95, 0.97, 0.97), 0.85 * band(view.ground_z + wave, shore - 0.1, shore + 0.5, 0.5))
    over(image, ground, view.ground)
    return image, _light(view, rng, (1.0, 0.95, 0.84), (0.42, 0.46, 0.50), sand, 0.85)


def _sky(view: View, rng: np.random.Generator) -> Float32[np.ndarray, "h w 3"]:
    zenith, horizon = (
        pick(rng, (104, 160, 222), (120, 172, 226), (140, 168, 204)),
        pick(rng, (214, 228, 238), (226, 226, 222)),
    )
    image = gradient(np.sqrt(np.clip(view.elevation, 0, None)) * 1.1, horizon, zenith)
    clouds = noise(view.azimuth * 10 + 7, view.elevation * 26, rng)
    over(image, (0.97, 0.97, 0.97), rng.uniform(0.1, 0.7) * ramp(clouds, 0.7, 1.4) * ramp(view.elevation, 0.15, 0.3))
    return image


def _ground(view: View, near: Shades, far: Shades, roughness: float, rng: np.random.Generator) -> np.ndarray:
    """Level ground: soft patches near the camera, a plain colour far off."""
    patches = noise(view.ground_x * 5, view.ground_z * 5, rng) * _nearness(view, 5.0)
    base = gradient(1.0 - _nearness(view, 25.0), near, far)
    return np.clip(base * (1.0 + roughness * patches[..., None]), 0.0, 1.0).astype(np.float32)


def _nearness(view: View, reach: float) -> Float32[np.ndarray, "h w"]:
    """1 at the camera, falling to 1/e at `reach` metres along the ground."""
    return np.exp(-np.hypot(view.ground_x + view.offset, view.ground_z + view.distance) / reach).astype(np.float32)


def _wall(view: View, gap: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A wall `gap` metres behind the body: place along it and height on it (metres), and how much of a pixel is floor."""
    away = max(view.distance, 0.3) + gap
    x = view.azimuth * away - view.offset
    y = view.eye_height + view.elevation * np.hypot(1.0, view.azimuth) * away
    return x, y, ramp(gap - view.ground_z, 0.0, 0.04) * view.ground


PAINTERS: dict[str, Callable[[View, np.random.Generator], tuple[np.ndarray, Light]]] = {
    "studio": _studio, "park": _park, "street": _street, "living room": _living_room, "gym": _gym, "beach": _beach,
}  # fmt: skip
