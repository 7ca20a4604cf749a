"""The second renderer: it shows the body where the label says, in a look of its own; the same numbers make the same picture."""

from pathlib import Path

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.geometry.cameras import make_K
from posedreamer.rendering.opengl import rasterize_opengl
from posedreamer.rendering.opengl_people import CLEAR, dressed, render_person_opengl, surroundings
from posedreamer.sample import Label
from posedreamer.storage.shard import read_shard

SHARD = Path(__file__).parents[2] / "shards" / "sample" / "shards" / "000000.tar"


@pytest.fixture(scope="module", autouse=True)
def opengl() -> None:
    """Skips, and says so, where EGL cannot start."""
    try:
        corners = np.array([[-0.2, -0.2, 1.0], [0.2, -0.2, 1.0], [0.0, 0.2, 1.0]], np.float32)
        rasterize_opengl(corners, np.array([[0, 1, 2]], np.int32), make_K(16.0, 16, 16), 16, 16)
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def labels() -> list[Label]:
    found = [sample.label for sample in read_shard(SHARD)][:3]
    return [label for label in found if label is not None]


def draw(label: Label, seed: int) -> np.ndarray:
    size = (label.width, label.height)
    return render_person_opengl(load_body(), label.parameters, label.K, *size, label.T_cam_from_world, np.random.default_rng(seed))  # fmt: skip


def test_the_body_is_where_the_label_says(labels: list[Label], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two pictures that differ in the person's colours alone, all that differs is the person (and the light it throws back)."""
    from posedreamer.rendering import opengl_people

    body, label = load_body(), labels[0]
    pictures = []
    for shade in (0.05, 0.95):
        everywhere = np.full((body.num_vertices, 3), shade, np.float32)
        monkeypatch.setattr(opengl_people, "dressed", lambda *_, all=everywhere: (all, np.zeros(len(all), bool)))
        pictures.append(draw(label, 3).astype(int))
    differs = np.abs(pictures[1] - pictures[0]).max(axis=2) > 40
    (sample,) = [one for one, _ in zip(read_shard(SHARD), range(1), strict=False)]
    mask = sample.condition.mask
    # The lens blurs edges by a pixel, and a side in shadow may differ by less.
    assert (differs & mask).sum() / (differs | mask).sum() > 0.9


def test_the_same_numbers_make_the_same_picture_and_others_another(labels: list[Label]) -> None:
    first, again, other = (draw(labels[1], seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and np.abs(first.astype(int) - other).mean() > 10
    assert first.std() > 15


def test_nothing_stands_before_the_body_or_over_the_camera(labels: list[Label]) -> None:
    body = np.array([[-0.3, 0.0, -0.2], [0.3, 1.7, 0.2]])
    for seed in range(20):
        rng = np.random.default_rng(seed)
        T_cam_from_world = np.diag([1.0, -1.0, -1.0, 1.0])
        T_cam_from_world[:3, 3] = [0.0, rng.uniform(-0.5, 1.5), 4.0]
        eye = -T_cam_from_world[:3, :3].T @ T_cam_from_world[:3, 3]
        floor, *boxes = surroundings(body, T_cam_from_world, rng)
        assert floor[0][:, 1].max() < eye[1] and floor[0][:, 1].max() <= 0.0
        for points, faces, colors in boxes:
            assert points[:, 2].max() < -CLEAR + 0.75  # the camera is at z = 4 and looks along -z; a box turns in place
            assert faces.max() == 7 and colors.shape == (8, 3)


def test_clothes_follow_the_joints(labels: list[Label]) -> None:
    colors, is_cloth = dressed(load_body(), np.random.default_rng(0))
    assert 0.2 < is_cloth.mean() < 0.9 and len(np.unique(colors, axis=0)) >= 4
