"""The learner's losses, all between bodies in a crop's camera frame (Goel et al. 2023, section 3.3, without its discriminator)."""

import copy
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from posedreamer.bodies.body import BodyModel, BodyOutput
from posedreamer.estimators.hmr import Recovered, encode_root
from posedreamer.geometry.skeletons import COCO_FROM_OUTPUT, NUM_BODY_JOINTS
from posedreamer.seeds import generator_for
from posedreamer.training.ahead import Ahead
from posedreamer.training.hmr_config import TrainHmrConfig, WeightsConfig
from posedreamer.training.hmr_data import People, Targets, training_batch
from posedreamer.training.loop import LossAt, Modules, autocast, batch_at, device_of

STAGE = "hmr"
EVERY_VERTEX = 27  # one in so many is compared: 500 of the open body say as much as 13,000
NEAREST = 0.2  # metres: joints are projected as if they were at least so far away


class Losses(NamedTuple):
    """The terms of WeightsConfig, each a mean over the batch, unweighted."""

    rotations: Float[Tensor, ""]
    betas: Float[Tensor, ""]
    joints: Float[Tensor, ""]
    vertices: Float[Tensor, ""]
    keypoints: Float[Tensor, ""]
    root: Float[Tensor, ""]

    def weighted(self, weights: WeightsConfig) -> Tensor:
        """Their sum."""
        return torch.stack([getattr(weights, name) * value for name, value in self._asdict().items()]).sum()


def thin_body(body: BodyModel) -> BodyModel:
    """The body that losses are computed on."""
    return body.thinned(np.arange(0, body.num_vertices, EVERY_VERTEX))


def hmr_loss(people: People, body: BodyModel, config: TrainHmrConfig) -> LossAt:
    """The weighted losses of varied crops."""
    size, batch_size, seed = config.network.size, config.loop.batch_size, config.seed
    thin = thin_body(body)  # stays where batches are made
    compared, precision = copy.deepcopy(thin).to(config.device), getattr(torch, config.precision)

    def make_batch(step: int, part: slice) -> tuple[Tensor, Targets]:
        rows = batch_at(seed, STAGE, step, batch_size, people.num_rows)
        rngs = [generator_for(seed, f"{STAGE}/{step}", f"view-{place}") for place in range(batch_size)]
        return training_batch(people, rows[part], size, config.augment, thin, rngs[part])

    batches = Ahead(make_batch, config.loaders)

    def loss_at(step: int, part: slice, modules: Modules) -> Tensor:
        crops, targets = batches(step, part)
        device = device_of(modules)
        crops = crops.to(device, memory_format=torch.channels_last)
        with autocast(modules, precision):
            recovered = modules["net"](crops)
        return losses(recovered, targets.to(device), compared, size).weighted(config.weights)

    return loss_at


def losses(recovered: Recovered, targets: Targets, body: BodyModel, size: int) -> Losses:
    """What is recovered against what the crops show. Joints and vertices are compared from the pelvis."""
    root = encode_root(targets.root_cam, targets.focal, size)
    true = Recovered(targets.rotmats, targets.betas, root).pose(body, targets.focal, size)
    found = recovered.pose(body, targets.focal, size)
    (joints, vertices), (true_joints, true_vertices) = (_from_pelvis(posed) for posed in (found, true))
    keypoints, true_keypoints = (_keypoints(posed, targets.focal, size) for posed in (found, true))
    return Losses(
        rotations=(recovered.rotmats - targets.rotmats).square().sum(dim=(2, 3)).mean(),
        betas=(recovered.betas - targets.betas).square().mean(),
        joints=(joints - true_joints).abs().sum(dim=2).mean(),
        vertices=(vertices - true_vertices).abs().sum(dim=2).mean(),
        keypoints=(keypoints - true_keypoints).abs().sum(dim=2).mean(),
        root=(recovered.root - root).abs().sum(dim=1).mean(),
    )


def _from_pelvis(posed: BodyOutput) -> tuple[Float[Tensor, "batch 22 3"], Float[Tensor, "batch verts 3"]]:
    pelvis = posed.joints[:, :1]
    return posed.joints[:, :NUM_BODY_JOINTS] - pelvis, posed.vertices - pelvis


def _keypoints(posed: BodyOutput, focal: Float[Tensor, " batch"], size: int) -> Float[Tensor, "batch 17 2"]:
    """COCO's keypoints in crops from the middle."""
    joints = posed.joints[:, torch.from_numpy(COCO_FROM_OUTPUT).to(focal.device)]
    return joints[..., :2] / joints[..., 2:].clamp(min=NEAREST) * (focal / size)[:, None, None]
