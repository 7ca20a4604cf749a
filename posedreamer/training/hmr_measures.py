"""Errors of a learner on labelled people, with the card of the protocol, and those of a body that never moves."""

from collections.abc import Callable, Iterator

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from posedreamer.bodies.body import BodyModel
from posedreamer.estimators.hmr import HMRNet, Recovered, encode_root
from posedreamer.geometry.skeletons import NUM_BODY_JOINTS
from posedreamer.metrics.mesh import MeshErrors, ProtocolCard, mesh_errors
from posedreamer.sample import PARAMETER_SHAPES
from posedreamer.training.hmr_data import People, Targets, plain_batch, plain_view, targets_of

BATCH = 32


def card_of(body: BodyModel) -> ProtocolCard:
    """The protocol that everything here is measured by."""
    return ProtocolCard(body=f"{body.name}:{body.sha256[:12]}")


def measure_network(network: HMRNet, people: People, body: BodyModel, rows: np.ndarray | None = None) -> MeshErrors:
    """Errors of the network on the rows (all of them without). True bodies have their hands, jaws and faces."""
    network.eval()

    @torch.inference_mode()
    def recover(crops: Tensor, targets: Targets) -> Recovered:
        return network(crops.to(next(network.parameters()).device))

    return measure(recover, people, body, network.settings["size"], rows)


def measure_constant(
    rotmats: Float[Tensor, "22 3 3"], betas: Float[Tensor, "10"], people: People, body: BodyModel, size: int
) -> MeshErrors:
    """Errors of one body in one pose, whatever the picture shows: the baseline that needs no picture."""

    def recover(crops: Tensor, targets: Targets) -> Recovered:
        count = len(crops)
        root = encode_root(targets.root_cam, targets.focal, size)
        return Recovered(rotmats.expand(count, -1, -1, -1), betas.expand(count, -1), root)

    return measure(recover, people, body, size)


def mean_body(people: People, body: BodyModel) -> tuple[Float[Tensor, "22 3 3"], Float[Tensor, "10"]]:
    """The mean rotations (in the Frobenius norm) and betas of the people, in the frames of their plain crops."""
    total, betas = torch.zeros(NUM_BODY_JOINTS, 3, 3), torch.zeros(10)
    for rows in _batches(np.arange(people.num_rows)):
        targets = targets_of(people, rows, [plain_view(people, int(row), 1) for row in rows], body)
        total, betas = total + targets.rotmats.sum(dim=0), betas + targets.betas.sum(dim=0)
    mean = roma.special_procrustes(total)
    assert isinstance(mean, Tensor)
    return mean, betas / people.num_rows


def measure(
    recover: Callable[[Tensor, Targets], Recovered],
    people: People,
    body: BodyModel,
    size: int,
    rows: np.ndarray | None = None,
) -> MeshErrors:
    """Errors of what `recover` says of plain crops, in the crops' camera frames; those of the pictures differ by a turn."""
    found: MeshErrors | None = None
    for part in _batches(np.arange(people.num_rows) if rows is None else rows):
        crops, targets, views = plain_batch(people, part, size, body)
        recovered = Recovered(*(values.float().cpu() for values in recover(crops, targets)))
        with torch.inference_mode():
            posed = recovered.pose(body, targets.focal, size)
            true = body(**{name: torch.from_numpy(people.labels[name][part]) for name in PARAMETER_SHAPES})
        turns = torch.from_numpy(np.stack([view.camera.R_crop_from_cam for view in views]).astype(np.float32))
        vertices, joints = (
            (mine.numpy(), torch.einsum("bij,bpj->bpi", turns, other).numpy())
            for mine, other in (
                (posed.vertices, true.vertices),
                (posed.joints[:, :NUM_BODY_JOINTS], true.joints[:, :NUM_BODY_JOINTS]),
            )
        )
        errors = mesh_errors(card_of(body), vertices, joints)
        found = errors if found is None else found.joined(errors)
    if found is None:
        raise ValueError("no people to measure on")
    return found


def _batches(rows: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(rows), BATCH):
        yield rows[first : first + BATCH]
