"""The SMPL-X file layout: which arrays a body file holds, their shapes, and the checks that a file must pass.

Official files carry 400 shape columns (300 shape, then 100 expression) and object arrays that are never touched; the open
body carries 20 (10 + 10). Arrays may have any numeric dtype. Nothing is ever unpickled.
"""

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.numpy import load_file

from posedreamer.geometry.skeletons import EXTRA_JOINT_VERTICES, SMPLX_PARENTS

NUM_JOINTS = len(SMPLX_PARENTS)
NUM_BETAS = 10
NUM_EXPRESSION = 10
NUM_POSE_FEATURES = 9 * (NUM_JOINTS - 1)
# Number of shape columns in a file -> first expression column.
EXPRESSION_START = {20: 10, 400: 300}
KEYS = (
    "v_template", "f", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights",
    "hands_meanl", "hands_meanr", "lmk_faces_idx", "lmk_bary_coords",
)  # fmt: skip


class BodyArrays(NamedTuple):
    """What a model is made of, in float32: template, the 10 + 10 blend columns in use, correctives, regressor, weights."""

    v_template: Float[np.ndarray, "verts 3"]
    faces: Int[np.ndarray, "faces 3"]
    shapedirs: Float[np.ndarray, "verts 3 20"]
    posedirs: Float[np.ndarray, "verts 3 features"]
    joint_regressor: Float[np.ndarray, "55 verts"]
    weights: Float[np.ndarray, "verts 55"]
    left_hand_mean: Float[np.ndarray, "45"]
    right_hand_mean: Float[np.ndarray, "45"]
    landmark_faces: Int[np.ndarray, "51"]
    landmark_barycentrics: Float[np.ndarray, "51 3"]


def read_body_arrays(path: Path) -> BodyArrays:
    """The arrays of a body file (.npz or .safetensors), checked. A file that is not one is a ValueError that says why."""
    if not path.is_file():
        raise FileNotFoundError(f"body file {path}: not found")
    match path.suffix:
        case ".npz":
            raw = _read_npz(path)
        case ".safetensors":
            raw = _read_safetensors(path)
        case other:
            raise ValueError(f"body file {path}: got suffix {other!r}, expected .npz or .safetensors")
    return check_body_arrays(raw, str(path))


def check_body_arrays(raw: dict[str, np.ndarray], where: str) -> BodyArrays:
    """Raw arrays under their official names as BodyArrays; ValueError names the array, what it is and what it should be."""
    num_vertices, num_faces = len(raw["v_template"]), len(raw["f"])
    columns = raw["shapedirs"].shape[-1] if raw["shapedirs"].ndim else 0
    if columns not in EXPRESSION_START:
        raise ValueError(
            f"{where}: shapedirs has {columns} columns, expected 400 (300 shape + 100 expression) or 20 (10 + 10)"
        )
    expected = {
        "v_template": (num_vertices, 3),
        "f": (num_faces, 3),
        "shapedirs": (num_vertices, 3, columns),
        "posedirs": (num_vertices, 3, NUM_POSE_FEATURES),
        "J_regressor": (NUM_JOINTS, num_vertices),
        "kintree_table": (2, NUM_JOINTS),
        "weights": (num_vertices, NUM_JOINTS),
        "hands_meanl": (45,),
        "hands_meanr": (45,),
        "lmk_faces_idx": (51,),
        "lmk_bary_coords": (51, 3),
    }
    for key, shape in expected.items():
        if raw[key].shape != shape:
            raise ValueError(f"{where}: {key} has shape {raw[key].shape}, expected {shape}")
        if raw[key].dtype.kind not in "fiu":
            raise ValueError(f"{where}: {key} has dtype {raw[key].dtype}, expected numbers")
        if raw[key].dtype.kind == "f" and not np.isfinite(raw[key]).all():
            raise ValueError(f"{where}: {key} holds values that are not finite")
    if num_vertices <= max(EXTRA_JOINT_VERTICES.values()):
        raise ValueError(
            f"{where}: got {num_vertices} vertices, expected more than {max(EXTRA_JOINT_VERTICES.values())}, "
            "the highest vertex slot that output joints are read from"
        )
    for key, limit in (("f", num_vertices), ("lmk_faces_idx", num_faces)):
        if raw[key].min() < 0 or raw[key].max() >= limit:
            raise ValueError(f"{where}: {key} points outside 0..{limit - 1}")
    if not np.array_equal(raw["kintree_table"][0, 1:].astype(np.int64), SMPLX_PARENTS[1:]):
        raise ValueError(f"{where}: kintree_table is not the SMPL-X tree of {NUM_JOINTS} joints")
    if np.abs(raw["weights"].sum(axis=1, dtype=np.float64) - 1.0).max() > 1e-3:
        raise ValueError(f"{where}: weights do not sum to 1 over the joints of each vertex")
    start = EXPRESSION_START[columns]
    shapedirs = np.concatenate(
        [raw["shapedirs"][..., :NUM_BETAS], raw["shapedirs"][..., start : start + NUM_EXPRESSION]], axis=-1
    )
    return BodyArrays(
        v_template=raw["v_template"].astype(np.float32),
        faces=raw["f"].astype(np.int32),
        shapedirs=shapedirs.astype(np.float32),
        posedirs=raw["posedirs"].astype(np.float32),
        joint_regressor=raw["J_regressor"].astype(np.float32),
        weights=raw["weights"].astype(np.float32),
        left_hand_mean=raw["hands_meanl"].astype(np.float32),
        right_hand_mean=raw["hands_meanr"].astype(np.float32),
        landmark_faces=raw["lmk_faces_idx"].astype(np.int64),
        landmark_barycentrics=raw["lmk_bary_coords"].astype(np.float32),
    )


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(path):
        raise ValueError(f"body file {path}: not an .npz archive (a renamed or truncated file?)")
    with np.load(path, allow_pickle=False) as archive:
        _require_keys(path, archive.files)
        arrays = {}
        for key in KEYS:
            try:
                arrays[key] = archive[key]
            except (ValueError, zipfile.BadZipFile) as error:
                raise ValueError(f"body file {path}: array {key} cannot be read without pickle: {error}") from error
    return arrays


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        arrays = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"body file {path}: not a safetensors file: {error}") from error
    _require_keys(path, list(arrays))
    return arrays


def _require_keys(path: Path, found: list[str]) -> None:
    missing = [key for key in KEYS if key not in found]
    if missing:
        raise ValueError(f"body file {path}: missing {', '.join(missing)}; got {', '.join(sorted(found))}")
