"""Body files: what is refused, and with which words."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.catalog import OPEN_BODY_DIRECTORY
from posedreamer.bodies.layout import KEYS, read_body_arrays


@pytest.fixture(scope="module")
def arrays():
    with np.load(OPEN_BODY_DIRECTORY / "open.npz") as archive:
        return {key: archive[key] for key in archive.files}


def damaged(arrays, **changes):
    return {key: value for key, value in (arrays | changes).items() if value is not None}


def test_every_array_is_needed(arrays, tmp_path):
    for key in KEYS:
        np.savez(tmp_path / "body.npz", **damaged(arrays | {"posedirs": np.zeros(1)}, **{key: None}))
        with pytest.raises(ValueError, match=f"missing {key}"):
            read_body_arrays(tmp_path / "body.npz")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("posedirs", np.zeros((13524, 3, 207), np.int8), r"posedirs has shape \(13524, 3, 207\)"),
        ("shapedirs", np.zeros((13524, 3, 16), np.float16), "shapedirs has 16 columns"),
        ("weights", np.zeros((13524, 55), np.float16), "weights do not sum to 1"),
        ("kintree_table", np.zeros((2, 55), np.int64), "not the SMPL-X tree"),
        ("lmk_faces_idx", np.full(51, 10**6), "lmk_faces_idx points outside"),
        ("hands_meanl", np.full(45, np.nan), "hands_meanl holds values that are not finite"),
        ("hands_meanl", np.array(["x"] * 45), "expected numbers"),
        ("hands_meanl", np.array([{}] * 45, dtype=object), "hands_meanl cannot be read without pickle"),
    ],
)
def test_a_wrong_array_is_named(arrays, tmp_path, key, value, words):
    np.savez(tmp_path / "body.npz", **damaged(arrays, **{key: value}))
    with pytest.raises(ValueError, match=words):
        read_body_arrays(tmp_path / "body.npz")


def test_object_arrays_beside_the_known_ones_are_never_touched(arrays, tmp_path):
    np.savez(tmp_path / "body.npz", **arrays, joint2num=np.array({"pelvis": 0}, dtype=object))
    assert len(read_body_arrays(tmp_path / "body.npz").v_template) == 13524


def test_files_of_another_kind_are_refused(tmp_path):
    (tmp_path / "body.npz").write_bytes(b"\x80\x04\x95not an archive")
    (tmp_path / "body.safetensors").write_bytes(b"\x80\x04\x95not a table")
    (tmp_path / "body.pkl").write_bytes(b"\x80\x04\x95")
    with pytest.raises(ValueError, match=r"not an \.npz archive"):
        read_body_arrays(tmp_path / "body.npz")
    with pytest.raises(ValueError, match="not a safetensors file"):
        read_body_arrays(tmp_path / "body.safetensors")
    with pytest.raises(ValueError, match=r"suffix '\.pkl', expected \.npz or \.safetensors"):
        read_body_arrays(tmp_path / "body.pkl")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        read_body_arrays(tmp_path / "nowhere.npz")


def test_safetensors_give_the_same_body(arrays, tmp_path):
    save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, tmp_path / "body.safetensors")
    a, b = (BodyModel.from_file(path) for path in (OPEN_BODY_DIRECTORY / "open.npz", tmp_path / "body.safetensors"))
    for key, buffer in a.named_buffers():
        assert np.array_equal(buffer.numpy(), b.get_buffer(key).numpy()), key
