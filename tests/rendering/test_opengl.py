"""Two rasterisers that share no code agree on the body: the one checks the other."""

import os
import subprocess
import sys

import numpy as np
import pytest

from posedreamer.bodies.body import BodyModel
from posedreamer.geometry.cameras import make_K
from posedreamer.rendering.conditions import draw_xyz
from posedreamer.rendering.opengl import rasterize_opengl
from posedreamer.rendering.rasterizer import rasterize
from posedreamer.rendering.visibility import part_map

CORNERS = np.array([[0.0, 0.0, 2.0], [0.5, 0.0, 2.0], [0.0, 0.5, 3.0]])
FACE = np.array([[0, 1, 2]])


@pytest.fixture(scope="module")
def opengl() -> None:
    """Skips, and says so, where EGL cannot start."""
    try:
        rasterize_opengl(CORNERS, FACE, make_K(16.0, 16, 16), 16, 16)
    except RuntimeError as error:
        pytest.skip(f"no OpenGL on this machine: {error}")


@pytest.mark.usefixtures("opengl")
@pytest.mark.parametrize(
    ("pose", "yaw", "betas", "size"),
    [
        ("t_pose", 0.0, 0.0, 512),
        ("squat", 0.7, 1.0, 384),
        ("behind_back", 2.0, -1.0, 512),
        ("arms_down", 3.0, 0.5, 256),
    ],
)
def test_both_rasterisers_see_the_same_body(draw, body: BodyModel, pose, yaw, betas, size) -> None:
    ours, theirs = (draw(pose, yaw, size, betas=betas, backend=backend) for backend in ("numba", "opengl"))
    silhouette = ours.mask | theirs.mask
    assert silhouette.sum() > 0.03 * size**2
    assert (part_map(body, ours.raster) == part_map(body, theirs.raster))[silhouette].mean() >= 0.995
    assert (np.abs(ours.raster.depth - theirs.raster.depth) <= 0.002)[silhouette].mean() >= 0.99
    steps = np.abs(draw_xyz(body, ours).astype(int) - draw_xyz(body, theirs)).max(axis=-1)
    assert (steps <= 1)[silhouette].mean() >= 0.995
    # Where they name the same face they agree on the place in it (GL's vertices are cut to 1/256 px, its weights are not).
    same = silhouette & (ours.raster.face_id == theirs.raster.face_id)
    np.testing.assert_allclose(ours.raster.barycentrics[same], theirs.raster.barycentrics[same], atol=1e-4)
    np.testing.assert_array_equal(ours.visible, theirs.visible)


@pytest.mark.usefixtures("opengl")
def test_off_centre_cameras_oblong_images_and_back_faces() -> None:
    K = np.array([[50.0, 0, 20.0], [0, 45.0, 9.0], [0, 0, 1]])
    for faces in (FACE, FACE[:, ::-1]):
        ours, theirs = (rasterize(CORNERS, faces, K, 48, 31, backend) for backend in ("numba", "opengl"))
        assert ours.face_id.shape == theirs.face_id.shape == (31, 48)
        assert (ours.face_id != theirs.face_id).sum() <= 2  # on the edge
        both = (ours.face_id == 0) & (theirs.face_id == 0)
        assert both.sum() > 30
        np.testing.assert_allclose(ours.depth[both], theirs.depth[both], atol=1e-4)


def test_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(ValueError, match="in front of the camera"):
        rasterize(CORNERS - (0, 0, 2.5), FACE, make_K(16.0, 16, 16), 16, 16, "opengl")
    skewed = make_K(16.0, 16, 16)
    skewed[0, 1] = 0.1
    with pytest.raises(ValueError, match="without skew"):
        rasterize(CORNERS, FACE, skewed, 16, 16, "opengl")


def test_a_machine_without_egl_is_told_what_to_install() -> None:
    code = (
        "import numpy as np; from posedreamer.rendering.opengl import rasterize_opengl\n"
        "rasterize_opengl(np.eye(3) + 1.0, np.array([[0, 1, 2]]), np.eye(3), 4, 4)"
    )
    environment = {**os.environ, "PYOPENGL_PLATFORM": "egl", "EGL_DEVICE_ID": "99"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "RuntimeError" in done.stderr and "libegl1" in done.stderr
