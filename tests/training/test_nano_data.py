import json

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body, load_wardrobe
from posedreamer.bodies.posing import pose_body
from posedreamer.geometry.cameras import look_at
from posedreamer.stages.sampling.placing import draw_to_parameters
from posedreamer.stages.sampling.shapes import draw_betas
from posedreamer.stages.sampling.splits import load_splits
from posedreamer.training import nano_data, packed

SIZE, COUNT, CHUNK = 40, 10, 4


@pytest.fixture
def maker(monkeypatch):
    monkeypatch.setattr(packed, "CHUNK_SIZE", CHUNK)
    return nano_data.make_people_maker(load_body(), load_wardrobe(), "train")


def create(folder, **changes):
    return nano_data.create_dataset(folder, **{"split": "train", "seed": 3, "size": SIZE, "count": COUNT, **changes})


def write(folder, chunks):
    return [chunk for chunk in chunks if nano_data.write_people_chunk(folder, "train", 3, SIZE, chunk)]


def read(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_a_run_in_pieces_ends_with_the_same_bytes(tmp_path, maker):
    for folder, pieces in ((tmp_path / "at once", [[0, 1, 2]]), (tmp_path / "in pieces", [[2], [1, 2], [0, 1, 2]])):
        folder.mkdir()
        for chunks in pieces:
            assert create(folder) == [0, 1, 2]
            write(folder, chunks)
        assert packed.finish_packed(folder) == COUNT
    assert read(tmp_path / "at once") == read(tmp_path / "in pieces")


def test_rows_hold_together(tmp_path, maker):
    create(tmp_path)
    assert write(tmp_path, [0, 1, 2]) == [0, 1, 2]
    assert write(tmp_path, [0, 1, 2]) == []
    packed.finish_packed(tmp_path)
    images, xyz, keypoints, area = (np.load(tmp_path / f"{name}.npy", allow_pickle=False) for name in nano_data.ARRAYS)
    prompts, attributes = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("prompts", "attributes"))
    assert len(images) == len(xyz) == len(prompts) == len(attributes) == COUNT
    assert len(set(prompts)) > 1 and len({image.tobytes() for image in images}) == COUNT
    # The map covers what the area says, but for the few vertices whose colour is black.
    np.testing.assert_allclose((xyz > 0).any(axis=-1).sum(axis=(1, 2)), area, atol=2)
    assert (area > 0).all()
    assert set(np.unique(keypoints[..., 2])) <= {0.0, 1.0, 2.0}
    # A visible keypoint lies on the silhouette, or within a pixel of its edge.
    for row in range(COUNT):
        for x, y, v in keypoints[row]:
            if v == 2:
                u, w = int(x), int(y)
                assert xyz[row, max(w - 1, 0) : w + 2, max(u - 1, 0) : u + 2].any()
    assert not any(load_splits().is_held_out_prompt(said) for said in attributes)


def test_a_folder_of_another_run_is_refused(tmp_path, maker):
    create(tmp_path)
    with pytest.raises(ValueError, match="seed 3, not 4"):
        create(tmp_path, seed=4)


def test_an_unfinished_data_set_says_what_is_missing(tmp_path, maker):
    create(tmp_path)
    write(tmp_path, [1])
    with pytest.raises(ValueError, match="2 chunks are missing: 00000, 00002"):
        packed.finish_packed(tmp_path)


def test_moving_a_posed_body_is_posing_the_moved_body(maker):
    rng = np.random.default_rng(0)
    parameters = draw_to_parameters(maker.source.draw(rng), draw_betas(rng))
    T_cam_from_world = look_at(np.array([1.0, 1.5, 3.0]), np.array([0.0, 0.5, 0.0]), 0.2)
    moved, posed = nano_data.move_body(load_body(), parameters, pose_body(load_body(), parameters), T_cam_from_world)
    expected = pose_body(load_body(), moved)
    # Two ways of rounding float32 metres.
    for name in ("vertices", "joints", "transforms"):
        np.testing.assert_allclose(getattr(posed, name), getattr(expected, name), atol=2e-5)
