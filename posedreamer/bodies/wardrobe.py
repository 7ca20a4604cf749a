"""Clothes, shoes and hair: meshes that share betas, joints, skinning and pose correctives with the open body.

A wardrobe file is one .npz, arrays named `<garment>.<array>`. A garment already stands off the skin: its template carries
the outward offset of its cloth.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from posedreamer.bodies.posing import PosedBody
from posedreamer.geometry.rotations import rotvec_to_rotmat
from posedreamer.sample import BodyParameters


class Garment(NamedTuple):
    """One mesh of the wardrobe, float32.

    shapedirs: 10 shape, then 10 expression columns. posedirs: one column for each entry of pose_columns, an index into the
    (R - I) feature of joints 1-54. shade: brightness factor of each vertex around 1 (strands of hair, folds of cloth).
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
    def from_file(cls, path: Path) -> "Wardrobe":
        """The garments of a wardrobe file; a missing array is a ValueError."""
        with np.load(path, allow_pickle=False) as archive:
            names = sorted({key.split(".")[0] for key in archive.files})
            missing = [f"{n}.{f}" for n in names for f in Garment._fields if f"{n}.{f}" not in archive.files]
            if missing:
                raise ValueError(f"wardrobe {path}: missing {', '.join(missing)}")
            return cls({name: _garment({f: archive[f"{name}.{f}"] for f in Garment._fields}) for name in names})


def pose_garment(garment: Garment, parameters: BodyParameters, posed: PosedBody) -> Float[np.ndarray, "verts 3"]:
    """Vertices of the garment on the posed body, metres, in the parameters' frame.

    posed: the body of the same parameters, whose joint transforms are taken over.
    """
    shape = np.concatenate([parameters.betas, parameters.expression]).astype(np.float32)
    rest = garment.v_template + garment.shapedirs @ shape
    if len(garment.pose_columns):
        # Body joints only: no garment reaches the jaw, the eyes or the fingers.
        feature = (rotvec_to_rotmat(parameters.body_pose) - np.eye(3)).reshape(-1).astype(np.float32)
        rest = rest + garment.posedirs @ feature[garment.pose_columns]
    blended = (garment.weights @ posed.transforms[:, :3].reshape(55, 12)).reshape(-1, 3, 4)
    return (blended[..., :3] @ rest[..., None])[..., 0] + blended[..., 3] + parameters.transl.astype(np.float32)


def _garment(arrays: dict[str, np.ndarray]) -> Garment:
    integers = {"faces": np.int32, "pose_columns": np.int64}
    return Garment(**{name: array.astype(integers.get(name, np.float32)) for name, array in arrays.items()})
