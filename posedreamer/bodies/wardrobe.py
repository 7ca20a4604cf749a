"""Clothes, shoes and hair: meshes that share betas, joints, skinning and pose correctives with the open body.

A wardrobe file is one .npz of arrays named `<garment>.<array>`. Each garment vertex stands at a mix of body vertices (its
anchors) plus an offset in the T-pose, metres, that already holds the thickness of the cloth; blend shapes, correctives and
weights are the same mix of the body's. anchor_weight counts in 1/255, shade in 1/100.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from posedreamer.bodies.layout import BodyArrays
from posedreamer.bodies.posing import PosedBody
from posedreamer.geometry.rotations import rotvec_to_rotmat
from posedreamer.sample import BodyParameters

ARRAYS = ("anchor_index", "anchor_weight", "offset", "faces", "shade")
NUM_BODY_FEATURES = 9 * 21


class Garment(NamedTuple):
    """One mesh of the wardrobe.

    shapedirs: 10 shape, then 10 expression columns. posedirs: one column for each entry of pose_columns, an index into the
    (R - I) feature of the 21 body joints. shade: brightness factor of each vertex around 1 (strands of hair, folds, soles).
    """

    v_template: Float[np.ndarray, "verts 3"]
    faces: Int[np.ndarray, "faces 3"]
    shapedirs: Float[np.ndarray, "verts 3 20"]
    posedirs: Float[np.ndarray, "verts 3 columns"]
    pose_columns: Int[np.ndarray, " columns"]
    weights: Float[np.ndarray, "verts 55"]
    shade: Float[np.ndarray, " verts"]


class Wardrobe(NamedTuple):
    """Garments by name."""

    garments: dict[str, Garment]

    @classmethod
    def from_file(cls, path: Path, body: BodyArrays) -> "Wardrobe":
        """The garments of a wardrobe file on the body it was made for; a missing or impossible array is a ValueError."""
        with np.load(path, allow_pickle=False) as archive:
            names = sorted({key.split(".")[0] for key in archive.files})
            missing = [
                f"{name}.{array}" for name in names for array in ARRAYS if f"{name}.{array}" not in archive.files
            ]
            if missing:
                raise ValueError(f"wardrobe {path}: missing {', '.join(missing)}")
            stored = {name: {array: archive[f"{name}.{array}"] for array in ARRAYS} for name in names}
        columns = np.flatnonzero(np.any(body.posedirs[..., :NUM_BODY_FEATURES] != 0, axis=(0, 1)))
        garments = {}
        for name, arrays in stored.items():
            if arrays["anchor_index"].max() >= len(body.v_template):
                raise ValueError(
                    f"wardrobe {path}: {name} is anchored at vertex {arrays['anchor_index'].max()}, "
                    f"but the body has {len(body.v_template)} vertices"
                )
            garments[name] = _garment(arrays, body, columns)
        return cls(garments)


def pose_garment(garment: Garment, parameters: BodyParameters, posed: PosedBody) -> Float[np.ndarray, "verts 3"]:
    """Vertices of the garment on the posed body, metres, in the parameters' frame, float32.

    posed: the body of the same parameters, whose joint transforms are taken over.
    """
    shape = np.concatenate([parameters.betas, parameters.expression]).astype(np.float32)
    rest = garment.v_template + garment.shapedirs @ shape
    feature = (rotvec_to_rotmat(parameters.body_pose) - np.eye(3)).reshape(-1).astype(np.float32)
    rest = rest + garment.posedirs @ feature[garment.pose_columns]
    blended = (garment.weights @ posed.transforms[:, :3].reshape(55, 12)).reshape(-1, 3, 4)
    return (blended[..., :3] @ rest[..., None])[..., 0] + blended[..., 3] + parameters.transl.astype(np.float32)


def _garment(arrays: dict[str, np.ndarray], body: BodyArrays, columns: np.ndarray) -> Garment:
    index, weight = arrays["anchor_index"].astype(np.int64), arrays["anchor_weight"].astype(np.float32) / 255

    def mix(values: np.ndarray) -> np.ndarray:
        mixed = np.zeros((len(index), *values.shape[1:]), dtype=np.float32)
        for anchor in range(index.shape[1]):
            used = np.flatnonzero(weight[:, anchor])
            share = weight[used, anchor].reshape(-1, *([1] * (values.ndim - 1)))
            mixed[used] += share * values[index[used, anchor]]
        return mixed

    return Garment(
        v_template=mix(body.v_template) + arrays["offset"].astype(np.float32),
        faces=arrays["faces"].astype(np.int32),
        shapedirs=mix(body.shapedirs),
        posedirs=mix(body.posedirs[..., columns]),
        pose_columns=columns,
        weights=mix(body.weights),
        shade=arrays["shade"].astype(np.float32) / 100,
    )
