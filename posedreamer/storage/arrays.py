"""The arrays of a label: their table, and `<key>.label.npz` in fixed bytes, without pickle.

The table is the contract of shards/README.md; index.py makes its columns from it and verify.py checks each row of it.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from posedreamer.sample import PARAMETER_SHAPES, BodyParameters, Label


class ArraySpec(NamedTuple):
    """Element type and shape of one array."""

    dtype: np.dtype
    shape: tuple[int, ...]


_FLOAT32, _FLOAT64, _BOOL = np.dtype("<f4"), np.dtype("<f8"), np.dtype("?")

LABEL_ARRAYS: dict[str, ArraySpec] = {
    **{name: ArraySpec(_FLOAT32, shape) for name, shape in PARAMETER_SHAPES.items()},
    "K": ArraySpec(_FLOAT64, (3, 3)),
    "T_cam_from_world": ArraySpec(_FLOAT64, (4, 4)),
    "joints_cam": ArraySpec(_FLOAT32, (127, 3)),
    "keypoints": ArraySpec(_FLOAT32, (127, 2)),
    "visible": ArraySpec(_BOOL, (127,)),
    "coco_keypoints": ArraySpec(_FLOAT32, (17, 3)),
    "bbox": ArraySpec(_FLOAT32, (4,)),
}
MAX_NPZ_MEMBER_BYTES = 1 << 16
# A zip entry carries a date; this is the earliest one it can say, so that no clock gets into the bytes.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def _npy_header(spec: ArraySpec) -> bytes:
    buffer = io.BytesIO()
    fields = {"descr": np.lib.format.dtype_to_descr(spec.dtype), "fortran_order": False, "shape": spec.shape}
    np.lib.format.write_array_header_1_0(buffer, fields)
    return buffer.getvalue()


# What a .npy file of each array starts with. Comparing it replaces parsing it: 5 x quicker, and nothing is evaluated.
_HEADERS = {name: _npy_header(spec) for name, spec in LABEL_ARRAYS.items()}


def label_to_arrays(label: Label) -> dict[str, np.ndarray]:
    """The arrays of a label by name, in the order of the table. A wrong type or shape is a ValueError naming the array."""
    arrays = {name: getattr(label.parameters if name in PARAMETER_SHAPES else label, name) for name in LABEL_ARRAYS}
    for name, array in arrays.items():
        check_array(name, array)
    return arrays


def arrays_to_label(
    arrays: Mapping[str, np.ndarray], width: int, height: int, source: str, tags: tuple[str, ...]
) -> Label:
    """The inverse of `label_to_arrays`; what is not an array is given beside it."""
    parameters = BodyParameters(**{name: arrays[name] for name in PARAMETER_SHAPES})
    rest = {name: arrays[name] for name in LABEL_ARRAYS if name not in PARAMETER_SHAPES}
    return Label(parameters=parameters, width=width, height=height, source=source, tags=tags, **rest)


def check_array(name: str, array: np.ndarray) -> None:
    """ValueError unless `array` is what the table says of `name`."""
    expected = LABEL_ARRAYS[name]
    if array.dtype != expected.dtype or array.shape != expected.shape:
        raise ValueError(
            f"label array {name}: got {array.dtype} {array.shape}, expected {expected.dtype} {expected.shape}"
        )


def arrays_to_npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An npz file of the arrays, in their order: the same arrays give the same bytes.

    Stored, not deflated: a label is 8 kB beside an image of 20 to 200, and deflate's output depends on the zlib version.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _ZIP_EPOCH)
            entry.create_system = 3  # otherwise the writer's operating system stands in the bytes
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, _HEADERS[name] + array.tobytes())
    return buffer.getvalue()


def npz_to_arrays(data: bytes, where: str, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a label's npz file, each as the table says; `names` limits which are decoded.

    where: named in errors. Missing, unknown, oversized, object (pickled) or wrongly shaped arrays are a ValueError.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            expected = {f"{name}.npy" for name in LABEL_ARRAYS}
            if entries.keys() != expected or len(archive.infolist()) != len(expected):
                raise ValueError(
                    f"{where}: got {len(archive.infolist())} arrays, expected {len(expected)}; "
                    f"missing or unknown: {sorted(entries.keys() ^ expected)}"
                )
            return {
                name: _read_array(archive, entries[f"{name}.npy"], name, where)
                for name in LABEL_ARRAYS
                if names is None or name in names
            }
    except (zipfile.BadZipFile, EOFError, NotImplementedError, zlib.error) as error:
        raise ValueError(f"{where}: not a readable npz file: {error}") from error


def _read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, where: str) -> np.ndarray:
    if entry.file_size > MAX_NPZ_MEMBER_BYTES:
        raise ValueError(
            f"{where}: array {name} takes {entry.file_size} bytes, expected at most {MAX_NPZ_MEMBER_BYTES}"
        )
    content, header, (dtype, shape) = archive.read(entry), _HEADERS[name], LABEL_ARRAYS[name]
    if content.startswith(header) and len(content) == len(header) + dtype.itemsize * math.prod(shape):
        return np.frombuffer(content, dtype, offset=len(header)).reshape(shape).copy()
    try:  # other writers may pad the header otherwise
        array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        check_array(name, array)
    except ValueError as error:
        raise ValueError(f"{where}: array {name}: {error}") from error
    return array
