"""The second rasteriser: OpenGL through pyrender, without a display (EGL: a GPU's driver, or Mesa on a CPU).

It shares no code with `rasterizer.py` but the record, so the two check each other. OpenGL cuts vertices to 1/256 pixel, so pixels on
an edge may go to another face than there; depth comes from its own depth buffer.
"""

import functools
import os
import warnings
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from posedreamer.geometry.cameras import MIN_DEPTH
from posedreamer.rendering.rasterizer import Raster

SYSTEM_PACKAGES = "apt-get install -y --no-install-recommends libegl1 libegl-mesa0 libgl1-mesa-dri libgles2"
MAX_FACES = 2**24 - 1  # a face's number is drawn as its 24 bit colour; 0 is the background


def rasterize_opengl(
    vertices_cam: Float[np.ndarray, "verts 3"],
    faces: Int[np.ndarray, "faces 3"],
    K: Float[np.ndarray, "3 3"],
    width: int,
    height: int,
) -> Raster:
    """As `rasterizer.rasterize`. The first call of a process makes the GL context (a second); RuntimeError without EGL.

    K must have no skew (pyrender knows none); ValueError otherwise. Not for several threads at once.
    """
    vertices = vertices_cam.astype(np.float64)
    if not np.all(vertices[:, 2] > MIN_DEPTH):
        raise ValueError(
            f"rasterize: all vertices must be in front of the camera, got depth {vertices[:, 2].min():.4f} m"
        )
    if K[0, 1] != 0 or K[1, 0] != 0 or not np.array_equal(K[2], (0, 0, 1)):
        raise ValueError(f"rasterize: the OpenGL backend needs K without skew, got\n{K}")
    if len(faces) > MAX_FACES:
        raise ValueError(f"rasterize: the OpenGL backend draws at most {MAX_FACES} faces, got {len(faces)}")
    pyrender, renderer = _pyrender(), _renderer()
    # OpenGL looks along -z with y up. Corners are not shared, so that each face has one colour: its number.
    corners = (vertices * (1.0, -1.0, -1.0))[faces].reshape(-1, 3)
    numbers = np.arange(1, len(faces) + 1)
    colors = np.stack([numbers >> 16, (numbers >> 8) & 255, numbers & 255, np.full_like(numbers, 255)], axis=1) / 255.0
    primitive = pyrender.Primitive(positions=corners, color_0=np.repeat(colors, 3, axis=0).astype(np.float32))
    camera = pyrender.IntrinsicsCamera(
        *(float(value) for value in (K[0, 0], K[1, 1], K[0, 2], K[1, 2])),
        znear=float(vertices[:, 2].min()) * 0.9,
        zfar=float(vertices[:, 2].max()) * 1.1,
    )
    scene = pyrender.Scene(bg_color=np.zeros(4))
    scene.add(pyrender.Mesh([primitive]))
    scene.add(camera)
    renderer.viewport_width, renderer.viewport_height = width, height
    image, depth = _render_without_multisampling(
        pyrender, renderer, scene, pyrender.RenderFlags.FLAT | pyrender.RenderFlags.SKIP_CULL_FACES
    )
    face_id = (image.astype(np.int32) @ np.array([65536, 256, 1], dtype=np.int32)) - 1
    covered = face_id >= 0
    barycentrics = np.zeros((height, width, 3), dtype=np.float32)
    barycentrics[covered] = _barycentrics_of_rays(vertices[faces[face_id[covered]]], _pixel_rays(covered, K))
    return Raster(face_id.astype(np.int32), barycentrics, np.where(covered, depth, 0.0).astype(np.float32))


def _pixel_rays(covered: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Directions through the centres of the True pixels, camera frame, z = 1."""
    rows, columns = np.nonzero(covered)
    return np.stack([(columns + 0.5 - K[0, 2]) / K[0, 0], (rows + 0.5 - K[1, 2]) / K[1, 1], np.ones(len(rows))], axis=1)


def _barycentrics_of_rays(corners: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Where each ray from the origin meets its triangle's plane; rounding outside the triangle is pulled onto its edge."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    volumes = np.stack(
        [np.einsum("ij,ij->i", rays, np.cross(p, q)) for p, q in ((b, c), (c, a), (a, b))], axis=1
    )  # of the tetrahedra that the ray spans with each edge
    weights = np.maximum(volumes * np.sign(volumes.sum(axis=1, keepdims=True)), 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def _render_without_multisampling(pyrender: ModuleType, renderer: Any, scene: Any, flags: int) -> Any:
    """pyrender's render; it always turns multisampling on, which would mix face numbers at the edges of faces."""
    module = pyrender.renderer
    enable, multisample = module.glEnable, module.GL_MULTISAMPLE
    module.glEnable = lambda capability: (module.glDisable if capability == multisample else enable)(capability)
    try:
        return renderer.render(scene, flags=flags)
    finally:
        module.glEnable = enable


@functools.cache
def _pyrender() -> ModuleType:
    # Read when OpenGL is first imported; a user's own choice (osmesa) is left alone.
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    np.__dict__.setdefault("infty", np.inf)  # pyrender 0.1.45 was written for numpy 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pyrender
            import pyrender.renderer
    except (ImportError, AttributeError, OSError) as error:
        raise RuntimeError(_advice(error)) from error
    return pyrender


@functools.cache
def _renderer() -> Any:
    """The process's one renderer. A second one would share the EGL display, and end it when it is deleted."""
    pyrender = _pyrender()
    try:
        renderer = pyrender.OffscreenRenderer(64, 64)
    except (ImportError, AttributeError, OSError, AssertionError, IndexError, ValueError, RuntimeError) as error:
        raise RuntimeError(_advice(error)) from error
    return renderer


def _advice(error: Exception) -> str:
    return (
        f"the OpenGL rasteriser cannot start ({type(error).__name__}: {error}); it needs EGL. "
        f"On Debian or Ubuntu: {SYSTEM_PACKAGES}. The numba rasteriser needs none of this."
    )
