import io
import zipfile

import numpy as np
import pytest

from posedreamer.storage.arrays import LABEL_ARRAYS, arrays_to_npz, label_to_arrays, npz_to_arrays


@pytest.fixture
def arrays(make_sample):
    return label_to_arrays(make_sample().label)


def savez(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_what_is_written_is_read(arrays):
    read = npz_to_arrays(arrays_to_npz(arrays), "x")
    assert list(read) == list(LABEL_ARRAYS)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_numpy_reads_what_we_write_and_we_read_what_numpy_writes(arrays):
    with np.load(io.BytesIO(arrays_to_npz(arrays)), allow_pickle=False) as loaded:
        assert loaded.files == list(LABEL_ARRAYS)
        for name, array in arrays.items():
            np.testing.assert_array_equal(loaded[name], array)
    fortran = {name: np.asfortranarray(array) for name, array in arrays.items()}
    for name, array in npz_to_arrays(savez(**fortran), "x").items():
        np.testing.assert_array_equal(array, arrays[name])


def test_same_arrays_same_bytes_and_no_clock_in_them(arrays):
    data = arrays_to_npz(arrays)
    copies = {name: np.asfortranarray(array) for name, array in arrays.items()}
    assert arrays_to_npz(copies) == data
    assert {entry.date_time for entry in zipfile.ZipFile(io.BytesIO(data)).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_only_the_named_arrays_are_decoded(arrays):
    assert list(npz_to_arrays(arrays_to_npz(arrays), "x", ["keypoints", "K"])) == ["K", "keypoints"]


def test_an_object_array_is_refused(arrays):
    data = savez(**{**arrays, "betas": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(ValueError, match=r"here: array betas: Object arrays cannot be loaded"):
        npz_to_arrays(data, "here")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"betas": np.zeros(11, np.float32)}, r"betas: got float32 \(11,\), expected float32 \(10,\)"),
        ({"K": np.zeros((3, 3), np.float32)}, r"K: got float32 \(3, 3\), expected float64"),
        ({"extra": np.zeros(3)}, r"missing or unknown: \['extra.npy'\]"),
        ({"betas": np.zeros(10**5, np.float32)}, "at most 65536"),
    ],
)
def test_an_array_that_is_not_of_the_table_is_refused(arrays, change, message):
    with pytest.raises(ValueError, match=message):
        npz_to_arrays(savez(**{**arrays, **change}), "here")


def test_a_missing_array_and_a_broken_file_are_refused(arrays):
    data = arrays_to_npz(arrays)
    del arrays["bbox"]
    with pytest.raises(ValueError, match=r"got 16 arrays, expected 17; missing or unknown: \['bbox.npy'\]"):
        npz_to_arrays(savez(**arrays), "here")
    with pytest.raises(ValueError, match=r"missing or unknown: \['bbox.npy', 'box.npy'\]"):
        npz_to_arrays(savez(**arrays, box=np.zeros(4, np.float32)), "here")
    with pytest.raises(ValueError, match="here: not a readable npz file"):
        npz_to_arrays(data[:-100], "here")


def test_a_flipped_byte_in_an_array_is_noticed(arrays):
    data = bytearray(arrays_to_npz(arrays))
    data[200] ^= 1  # inside betas: the zip's own checksum
    with pytest.raises(ValueError, match="not a readable npz"):
        npz_to_arrays(bytes(data), "here")
