"""What scenes are painted with: the rays of a level camera, soft shapes, smooth noise.

Shapes have smooth edges on purpose: hard edges and fine texture are what a small generator cannot learn. Colours are display
values (sRGB, 0-1), because that is how palettes are chosen.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32

NOISE_SIZE = 64
Shades = Float[np.ndarray, "*any 3"] | tuple[float, float, float]


class View(NamedTuple):
    """What each pixel's ray meets. Lengths in metres, relative to the point of the ground below the body.

    azimuth, elevation: tangents of the ray's angles to the camera's heading and to the level. ground_x, ground_z: where it
    meets the ground, to the right and away from the camera; ground: how much of the pixel is ground (above the horizon 0).
    distance: from the camera to the body, along the ground. pixel: size of a pixel as a tangent.
    """

    azimuth: Float32[np.ndarray, "h w"]
    elevation: Float32[np.ndarray, "h w"]
    ground_x: Float32[np.ndarray, "h w"]
    ground_z: Float32[np.ndarray, "h w"]
    ground: Float32[np.ndarray, "h w"]
    ground_points_cam: Float32[np.ndarray, "h w 3"]
    eye_height: float
    distance: float
    offset: float
    pixel: float
    ahead_world: Float[np.ndarray, "3"]


def look(
    T_cam_from_world: Float[np.ndarray, "4 4"],
    K: Float[np.ndarray, "3 3"],
    width: int,
    height: int,
    foot_world: Float[np.ndarray, "3"],
) -> View:
    """The level frame of a camera whose subject stands over `foot_world`, the ground being level through that point."""
    rotmat = T_cam_from_world[:3, :3]
    eye = -rotmat.T @ T_cam_from_world[:3, 3]
    forward = np.array([rotmat[2, 0], 0.0, rotmat[2, 2]])
    if np.linalg.norm(forward) < 1e-2:  # looking straight down: the image's up is ahead
        forward = np.array([-rotmat[1, 0], 0.0, -rotmat[1, 2]])
    ahead = forward / np.linalg.norm(forward)
    up = np.array([0.0, 1.0, 0.0])
    level = np.stack([np.cross(ahead, up), up, ahead])
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays_cam = np.stack([(columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1], np.ones_like(columns)], axis=-1)
    rays = rays_cam @ (level @ rotmat.T).T
    eye_height = max(float(eye[1] - foot_world[1]), 0.05)
    to_foot = level @ (np.asarray(foot_world) - eye)
    pixel = float(1.0 / K[0, 0])
    run = np.maximum(np.hypot(rays[..., 0], rays[..., 2]), 1e-6)
    elevation = rays[..., 1] / run
    # Steps of a ray until the ground; beyond the horizon it is as far as the eye can see.
    steps = eye_height / np.maximum(-rays[..., 1], eye_height / 400.0)
    return View(
        azimuth=(rays[..., 0] / np.maximum(rays[..., 2], 0.05 * run)).astype(np.float32),
        elevation=elevation.astype(np.float32),
        ground_x=(rays[..., 0] * steps - to_foot[0]).astype(np.float32),
        ground_z=(rays[..., 2] * steps - to_foot[2]).astype(np.float32),
        ground=ramp(-elevation, 0.0, 2.0 * pixel),
        ground_points_cam=(rays_cam * steps[..., None]).astype(np.float32),
        eye_height=eye_height,
        distance=float(to_foot[2]),
        offset=float(to_foot[0]),
        pixel=pixel,
        ahead_world=ahead,
    )


def ramp(x: Float[np.ndarray, "h w"], edge: float, width: float) -> Float32[np.ndarray, "h w"]:
    """0 below the edge, 1 above it, smooth over `width`."""
    t = np.clip((np.asarray(x, np.float32) - np.float32(edge)) / np.float32(width) + np.float32(0.5), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def band(x: Float[np.ndarray, "h w"], low: float, high: float, width: float) -> Float32[np.ndarray, "h w"]:
    """1 between two edges, smooth over `width` at both."""
    return ramp(x, low, width) * ramp(-x, -high, width)


def blob(
    x: Float[np.ndarray, "h w"], y: Float[np.ndarray, "h w"], centre: tuple[float, float], radii: tuple[float, float],
    softness: float,
) -> Float32[np.ndarray, "h w"]:  # fmt: skip
    """1 inside an ellipse, soft at its rim; softness as a share of the radius."""
    return ramp(1.0 - np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1]), 0.0, softness)


def noise(x: Float[np.ndarray, "h w"], y: Float[np.ndarray, "h w"], rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of four octaves, mean 0 and deviation 1, that repeats every 64 units; 1 / f beyond wavelength 16."""
    spectrum = np.fft.rfft2(rng.standard_normal((NOISE_SIZE, NOISE_SIZE)))
    tile = np.fft.irfft2(spectrum * _NOISE_FILTER).astype(np.float32)
    tile = np.pad(tile / tile.std(), (0, 1), mode="wrap")
    return cv2.remap(
        tile, np.mod(x, NOISE_SIZE).astype(np.float32), np.mod(y, NOISE_SIZE).astype(np.float32), cv2.INTER_LINEAR
    )


def over(image: Float32[np.ndarray, "h w 3"], color: Shades, alpha: Float[np.ndarray, "h w"]) -> None:
    """Paint a colour (one, or one for each pixel) over the image in place."""
    image += alpha[..., None].astype(np.float32) * (np.asarray(color, np.float32) - image)


def pick(rng: np.random.Generator, *colors: tuple[int, int, int]) -> np.ndarray:
    """One of the colours (0-255), moved a little, as display values in 0-1."""
    color = np.array(colors[int(rng.integers(len(colors)))], dtype=np.float32) / 255.0
    return np.clip(color * rng.uniform(0.92, 1.08) + rng.normal(0.0, 0.015, 3), 0.0, 1.0).astype(np.float32)


def gradient(t: Float[np.ndarray, "h w"], low: Shades, high: Shades) -> Float32[np.ndarray, "h w 3"]:
    """From one colour at t = 0 to another at t = 1."""
    t = np.clip(t, 0.0, 1.0)[..., None].astype(np.float32)
    return (np.asarray(low, np.float32) * (1 - t) + np.asarray(high, np.float32) * t).astype(np.float32)


def _noise_filter() -> Float[np.ndarray, "h w"]:
    fy, fx = np.fft.fftfreq(NOISE_SIZE)[:, None], np.fft.rfftfreq(NOISE_SIZE)[None]
    frequency = np.hypot(fx, fy)
    return np.where((frequency > 0) & (frequency < 0.35), 1.0 / np.maximum(frequency, 1.0 / 16) ** 1.5, 0.0)


_NOISE_FILTER = _noise_filter()
