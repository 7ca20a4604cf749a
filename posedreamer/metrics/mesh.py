"""Errors of predicted bodies with the protocol they were measured by; numbers of two protocols are never compared.

Published PVE and MPJPE differ by tens of millimetres with the joints, the regressor and the root that are meant, and papers
seldom say them. Here the card travels with the numbers.
"""

from dataclasses import asdict, dataclass, fields

import numpy as np
from jaxtyping import Float

from posedreamer.metrics.pose import PELVIS, mpjpe_mm, pa_mpjpe_mm, pa_pve_mm, pve_mm


@dataclass(frozen=True)
class ProtocolCard:
    """What a number means. joints: which, and how they come from the body; root: what is moved onto what before measuring;
    camera: what of it the estimator was told; box: where the person's box came from; body: name and hash of both meshes.
    """

    body: str
    joints: str = "22 SMPL-X body joints of the kinematic tree, by the body's own regressor"
    root: str = "pelvis joint"
    camera: str = "true intrinsics"
    box: str = "true box of the label's silhouette"

    def __str__(self) -> str:
        return "; ".join(f"{name}: {value}" for name, value in asdict(self).items())


@dataclass(frozen=True, eq=False)
class MeshErrors:
    """Errors of each person, millimetres, and their card."""

    card: ProtocolCard
    pve_mm: Float[np.ndarray, " people"]
    pa_pve_mm: Float[np.ndarray, " people"]
    mpjpe_mm: Float[np.ndarray, " people"]
    pa_mpjpe_mm: Float[np.ndarray, " people"]

    def means(self) -> dict[str, float]:
        """Mean of each error over people."""
        return {name: float(getattr(self, name).mean()) for name in ERRORS}

    def joined(self, other: "MeshErrors") -> "MeshErrors":
        """The people of both; another card is a ValueError."""
        check_same_card(self.card, other.card)
        rows = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in ERRORS}
        return MeshErrors(self.card, **rows)


ERRORS = ("pve_mm", "pa_pve_mm", "mpjpe_mm", "pa_mpjpe_mm")


def mesh_errors(
    card: ProtocolCard,
    vertices: tuple[Float[np.ndarray, "people verts 3"], Float[np.ndarray, "people verts 3"]],
    joints: tuple[Float[np.ndarray, "people joints 3"], Float[np.ndarray, "people joints 3"]],
) -> MeshErrors:
    """Of (predicted, true) vertices and joints, metres, the pelvis first among the joints."""
    predicted, true = (points[:, PELVIS] for points in joints)
    return MeshErrors(
        card, pve_mm(*vertices, predicted, true), pa_pve_mm(*vertices), mpjpe_mm(*joints), pa_mpjpe_mm(*joints)
    )


def ratio_of_errors(found: MeshErrors, reference: MeshErrors) -> dict[str, float]:
    """Each mean error over that of the reference; another card is a ValueError."""
    check_same_card(found.card, reference.card)
    means, expected = found.means(), reference.means()
    return {name: means[name] / expected[name] for name in ERRORS}


def check_same_card(card: ProtocolCard, other: ProtocolCard) -> None:
    """A difference is a ValueError that names it."""
    strange = [
        f"{field.name}: {getattr(card, field.name)!r} and {getattr(other, field.name)!r}"
        for field in fields(ProtocolCard)
        if getattr(card, field.name) != getattr(other, field.name)
    ]
    if strange:
        raise ValueError(f"errors of different protocols cannot be compared: {'; '.join(strange)}")
