"""The preference loss of diffusion models, from four prediction errors a pair; closed forms, no model.

Wallace et al. 2024 (Diffusion-DPO, eq. 14) replace the log-likelihood ratio of policy and reference by half the difference of
their denoising errors, at one noise level and with the same noise for both pictures of a pair:

    margin = -1/2 [ (e_chosen - e_chosen_reference) - (e_rejected - e_rejected_reference) ]

and put it where DPO has its difference of log ratios; so beta, the kinds of loss and label smoothing mean what they mean in
trl.DPOConfig. An error is a mean over channels and pixels, as in PoseDreamer's released code.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

LossType = Literal["sigmoid", "hinge", "ipo", "robust"]
TimeWeight = Literal["constant", "one_minus_t2"]


class Errors(NamedTuple):
    """Squared errors of the pictures of each pair, means over channels and pixels."""

    chosen: Float[Tensor, " pairs"]
    rejected: Float[Tensor, " pairs"]


def pair_errors(prediction: Float[Tensor, "two_pairs ..."], target: Float[Tensor, "two_pairs ..."]) -> Errors:
    """Errors of predictions; the first half belongs to the chosen pictures, the second to the rejected ones."""
    chosen, rejected = (prediction.float() - target.float()).square().flatten(1).mean(dim=1).chunk(2)
    return Errors(chosen, rejected)


def preference_margin(policy: Errors, reference: Errors | None) -> Float[Tensor, " pairs"]:
    """By how much more the policy prefers the chosen picture than the reference does; without a reference, than nobody does."""
    difference = policy.chosen - policy.rejected
    if reference is not None:
        difference = difference - (reference.chosen - reference.rejected)
    return -0.5 * difference


def preference_loss(
    margin: Float[Tensor, " pairs"],
    beta: float | Float[Tensor, " pairs"],
    loss_type: LossType,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " pairs"]:
    """The loss of each pair; log 2 (sigmoid, robust) where policy and reference agree.

    label_smoothing: of `robust`, the probability that a preference was told the wrong way round, below 0.5.
    """
    match loss_type:
        case "sigmoid":
            return -F.logsigmoid(beta * margin)
        case "hinge":
            return torch.relu(1.0 - beta * margin)
        case "ipo":
            return (margin - 1.0 / (2.0 * beta)).square()
        case "robust":
            told, flipped = -F.logsigmoid(beta * margin), -F.logsigmoid(-beta * margin)
            return ((1.0 - label_smoothing) * told - label_smoothing * flipped) / (1.0 - 2.0 * label_smoothing)


def beta_at(beta: float, time: Float[Tensor, " pairs"], weight: TimeWeight) -> Float[Tensor, " pairs"]:
    """Beta at a noise level; time: 0 is a clean picture, 1 pure noise.

    one_minus_t2: beta (1 - t^2), PoseDreamer's text; its released code has a constant.
    """
    return torch.full_like(time, beta) if weight == "constant" else beta * (1.0 - time.square())


def guarded(
    policy: Errors,
    prediction: Float[Tensor, "two_pairs ..."],
    target: Float[Tensor, "two_pairs ..."],
    caution: float,
) -> Errors:
    """The same errors, with a gradient of the rejected one that cannot raise the chosen one (Fu et al. 2025, Diffusion-SDPO).

    Pushing away from the rejected picture moves the prediction of the chosen one along, too. With the gradients g of both errors
    to the predictions, a step along -g_chosen + s g_rejected changes the chosen error by -|g_chosen|^2 + s <g_chosen, g_rejected>
    to first order, which is at most -caution |g_chosen|^2 for s up to

        s = (1 - caution) |g_chosen|^2 / <g_chosen, g_rejected>     (where that product is positive; at most 1)

    The approximation of the paper: what is one step for predictions is one for weights. caution: 0 to 1.
    """
    chosen, rejected = (prediction.detach().float() - target.float()).flatten(1).chunk(2)
    along = (chosen * rejected).sum(dim=1)
    safe = (1.0 - caution) * chosen.square().sum(dim=1) / along.clamp(min=torch.finfo(torch.float32).tiny)
    scale = torch.where(along > 0.0, safe.clamp(max=1.0), 1.0)
    still = policy.rejected.detach()
    return Errors(policy.chosen, still + scale * (policy.rejected - still))
