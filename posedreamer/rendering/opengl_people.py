"""People by another renderer: OpenGL through pyrender, with clothes, light and scenes of its own.

For tests alone: a learner that was trained on pictures of one look is asked about another. Nothing of the look is shared with
`people.py`: clothes are colours of the body's own surface by its skinning, loosened along the normals; light is pyrender's
physically based shading of lamps; scenes are boxes and columns on a chequered or speckled floor. What is worn is drawn, not
asked for, so a prompt does not describe these pictures.
"""

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.posing import pose_body
from posedreamer.geometry.skeletons import SMPLX_JOINTS
from posedreamer.rendering.conditions import xyz_colors
from posedreamer.rendering.opengl import _pyrender, _renderer
from posedreamer.rendering.rasterizer import vertex_normals
from posedreamer.sample import BodyParameters

FLOOR, FLOOR_CELLS = 30.0, 150  # side in metres, and squares along it
CLEAR = 1.6  # metres around the body in which nothing stands
EYE_HEIGHT = 0.1  # metres that the floor is at least below the camera
LOOSE = (0.004, 0.018)  # metres that cloth stands off
SKINS = ((0.96, 0.80, 0.69), (0.87, 0.67, 0.53), (0.70, 0.49, 0.36), (0.47, 0.31, 0.22), (0.30, 0.20, 0.15))
HAIRS = ((0.08, 0.06, 0.05), (0.30, 0.18, 0.10), (0.62, 0.46, 0.26), (0.70, 0.68, 0.66), (0.45, 0.15, 0.08))
FLIP = np.array([1.0, -1.0, -1.0])  # OpenGL's camera looks along -z with y up


def render_person_opengl(
    body: BodyModel,
    parameters_cam: BodyParameters,
    K: Float[np.ndarray, "3 3"],
    width: int,
    height: int,
    T_cam_from_world: Float[np.ndarray, "4 4"],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "h w 3"]:
    """A picture of the posed body in clothes and a scene drawn from rng. RuntimeError without EGL, as in `rasterize_opengl`."""
    pyrender, renderer = _pyrender(), _renderer()
    posed = pose_body(body, parameters_cam)
    vertices = posed.vertices.astype(np.float64)
    colors, is_cloth = dressed(body, rng)
    loose = rng.uniform(*LOOSE) * is_cloth[:, None]
    surface = vertices + loose * vertex_normals(posed.vertices, body.faces)
    world = (vertices - T_cam_from_world[:3, 3]) @ T_cam_from_world[:3, :3]
    scene = pyrender.Scene(bg_color=np.zeros(4), ambient_light=np.full(3, rng.uniform(0.2, 0.5)))
    # One mesh and one lamp: pyrender keeps its nodes in sets, whose order changes what is drawn where surfaces meet.
    parts = [_part(surface, body.faces, colors, rng.uniform(0.6, 1.0))]
    for points, faces, shades in surroundings(world, T_cam_from_world, rng):
        points_cam = points @ T_cam_from_world[:3, :3].T + T_cam_from_world[:3, 3]
        parts.append(_part(points_cam, faces, shades, 0.9))
    scene.add(pyrender.Mesh(parts))
    direction = rng.normal(size=3)
    towards = np.array([direction[0], abs(direction[1]) + 0.8, direction[2]])
    light = pyrender.DirectionalLight(color=1.0 + rng.uniform(-0.12, 0.12, 3), intensity=rng.uniform(2.0, 4.5))
    scene.add(light, pose=_facing(FLIP * (T_cam_from_world[:3, :3] @ towards)))
    camera = pyrender.IntrinsicsCamera(
        *(float(value) for value in (K[0, 0], K[1, 1], K[0, 2], K[1, 2])), znear=0.05, zfar=60.0
    )
    scene.add(camera)
    renderer.viewport_width, renderer.viewport_height = width, height
    flags = pyrender.RenderFlags.RGBA | pyrender.RenderFlags.SKIP_CULL_FACES | pyrender.RenderFlags.SHADOWS_DIRECTIONAL
    shown, _ = renderer.render(scene, flags=flags)
    alpha = shown[..., 3:].astype(np.float32) / 255.0
    picture = shown[..., :3] * alpha + (1.0 - alpha) * _sky(height, width, rng)
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 0.8)) + rng.normal(
        0, rng.uniform(0.5, 4.0), picture.shape
    )
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def dressed(
    body: BodyModel, rng: np.random.Generator
) -> tuple[Float32[np.ndarray, "verts 3"], Bool[np.ndarray, " verts"]]:
    """Colour of each vertex, and whether it is cloth: a shirt or dress, trousers, shoes and hair, each by the joints that move it."""
    place, owner = xyz_colors(body), np.array(SMPLX_JOINTS[:55])[body.weights.numpy().argmax(axis=1)]

    def moved_by(*names: str) -> Bool[np.ndarray, " verts"]:
        return np.isin(
            owner, [name if name in SMPLX_JOINTS else f"{side}_{name}" for name in names for side in ("left", "right")]
        )

    trunk = moved_by("spine1", "spine2", "spine3", "collar") | (
        moved_by("pelvis") & (place[:, 1] > rng.uniform(0.5, 0.58))
    )
    colors = np.tile(np.array(SKINS[int(rng.integers(len(SKINS)))]), (len(place), 1))
    legs = moved_by("pelvis", "hip") | (moved_by("knee", "ankle") & (place[:, 1] > rng.choice([0.06, 0.28, 0.4])))
    sleeves = ((), ("shoulder",), ("shoulder", "elbow"))[int(rng.integers(3))]
    top = trunk | moved_by(*sleeves)
    shoes = moved_by("foot") | (moved_by("ankle") & (place[:, 1] < 0.05))
    hair = moved_by("head") & ((place[:, 1] > 0.95) | ((place[:, 1] > 0.89) & (place[:, 2] < 0.55)))
    for region in (legs, top, shoes):
        colors[region] = _cloth(place[region], rng)
    colors[hair] = HAIRS[int(rng.integers(len(HAIRS)))]
    return colors.astype(np.float32), legs | top | hair


def surroundings(
    body_world: Float[np.ndarray, "verts 3"], T_cam_from_world: Float[np.ndarray, "4 4"], rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Vertices (world, metres), faces and colours of the floor and of what stands on it, nothing of it before the body."""
    middle = (body_world.min(axis=0) + body_world.max(axis=0)) / 2
    eye = -T_cam_from_world[:3, :3].T @ T_cam_from_world[:3, 3]
    level = min(0.0, float(body_world[:, 1].min()), float(eye[1]) - EYE_HEIGHT)
    ahead = np.array([middle[0] - eye[0], 0.0, middle[2] - eye[2]])
    ahead = ahead / max(np.linalg.norm(ahead), 1e-6)
    aside = np.cross(ahead, [0.0, 1.0, 0.0])
    steps = np.linspace(-FLOOR / 2, FLOOR / 2, FLOOR_CELLS + 1)
    x, z = np.meshgrid(steps, steps, indexing="ij")
    floor = np.stack([x + middle[0], np.full_like(x, level), z + middle[2]], axis=-1).reshape(-1, 3)
    index = np.arange(floor.shape[0]).reshape(x.shape)
    quads = [index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]]
    faces = np.concatenate(
        [np.stack([quads[a].ravel(), quads[b].ravel(), quads[c].ravel()], axis=1) for a, b, c in ((0, 2, 1), (0, 3, 2))]
    )
    base, other = rng.uniform(0.15, 0.85, 3), rng.uniform(0.15, 0.85, 3)
    size = rng.uniform(0.3, 1.5)
    chequer = (
        ((np.floor(x / size) + np.floor(z / size)) % 2).reshape(-1, 1)
        if rng.random() < 0.5
        else rng.random((len(floor), 1))
    )
    shades = base + (other - base) * chequer * rng.uniform(0.1, 0.6)
    found = [(floor, faces, shades)]
    for _ in range(int(rng.integers(2, 12))):
        far, side = rng.uniform(CLEAR, 10.0), rng.uniform(-6.0, 6.0)
        extent = np.array([rng.uniform(0.2, 3.0), rng.uniform(0.3, 4.0), rng.uniform(0.2, 3.0)])
        foot = middle + ahead * (far + extent.max() / 2) + aside * side
        turn = rng.uniform(0, np.pi)
        rotmat = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
        corners = np.array([[i, j, k] for i in (-0.5, 0.5) for j in (0.0, 1.0) for k in (-0.5, 0.5)]) * extent
        corners = corners @ rotmat.T + np.array([foot[0], level, foot[2]])
        found.append((corners, BOX, np.tile(rng.uniform(0.1, 0.9, 3), (8, 1)) * rng.uniform(0.8, 1.2, (8, 1))))
    return found


BOX = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
)  # fmt: skip


def _cloth(place: Float[np.ndarray, "verts 3"], rng: np.random.Generator) -> Float[np.ndarray, "verts 3"]:
    """Plain, or striped along one of the canonical body's axes."""
    first, second = rng.uniform(0.03, 0.9, 3), rng.uniform(0.03, 0.9, 3)
    if rng.random() < 0.5:
        return np.tile(first, (len(place), 1))
    wave = np.sin(2 * np.pi * rng.uniform(8, 40) * place[:, int(rng.integers(2))]) > 0
    return np.where(wave[:, None], first, second)


def _part(points_cam: np.ndarray, faces: np.ndarray, colors: np.ndarray, roughness: float) -> Any:
    """A smooth surface in OpenGL's camera frame."""
    pyrender = _pyrender()
    normals = vertex_normals(points_cam.astype(np.float32), faces.astype(np.int32))
    material = pyrender.MetallicRoughnessMaterial(
        metallicFactor=0.0, roughnessFactor=float(roughness), baseColorFactor=np.ones(4), doubleSided=True
    )
    rgba = np.concatenate([np.clip(colors, 0, 1), np.ones((len(colors), 1))], axis=1).astype(np.float32)
    return pyrender.Primitive(
        positions=(points_cam * FLIP).astype(np.float32), normals=(normals * FLIP).astype(np.float32), color_0=rgba,
        indices=faces.astype(np.uint32), material=material,
    )  # fmt: skip


def _facing(towards: Float[np.ndarray, "3"]) -> Float[np.ndarray, "4 4"]:
    """The pose of a lamp that stands in this direction and shines back along it (OpenGL's lamps shine along -z)."""
    z = towards / np.linalg.norm(towards)
    x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
    x = x / np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    pose[:3, 3] = 8.0 * z
    return pose


def _sky(height: int, width: int, rng: np.random.Generator) -> Float[np.ndarray, "h w 3"]:
    """A gradient with clouds of noise."""
    above, below = rng.uniform(60, 250, 3), rng.uniform(60, 250, 3)
    share = np.linspace(0, 1, height)[:, None, None]
    noise = cv2.resize(rng.normal(0, 14, (8, 8)), (width, height), interpolation=cv2.INTER_CUBIC)
    return (1 - share) * above + share * below + noise[..., None]
