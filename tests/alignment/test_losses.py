"""The preference loss: closed forms, trl's formulas, gradients by finite differences, and what the winner's guard promises."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posedreamer.alignment.losses import Errors, beta_at, guarded, pair_errors, preference_loss, preference_margin

MARGINS = torch.tensor([-0.3, -0.01, 0.0, 0.02, 0.5], dtype=torch.float64)
KINDS: list[Any] = ["sigmoid", "hinge", "ipo", "robust"]


def errors(*rows: tuple[float, float]) -> Errors:
    chosen, rejected = torch.tensor(rows, dtype=torch.float64).T
    return Errors(chosen, rejected)


def test_where_policy_and_reference_agree_the_loss_is_log_2() -> None:
    same = errors((0.2, 0.3), (0.9, 0.1))
    margin = preference_margin(same, same)
    assert margin.tolist() == [0.0, 0.0]
    for kind, smoothing in (("sigmoid", 0.0), ("robust", 0.1)):
        np.testing.assert_allclose(preference_loss(margin, 100.0, kind, smoothing), math.log(2.0), rtol=1e-12)  # type: ignore[arg-type]
    np.testing.assert_allclose(preference_loss(margin, 100.0, "hinge"), 1.0)
    np.testing.assert_allclose(preference_loss(margin, 100.0, "ipo"), 1.0 / 200.0**2)


def test_the_margin_is_half_of_what_the_chosen_gained_over_the_rejected() -> None:
    policy, reference = errors((0.10, 0.50)), errors((0.14, 0.40))
    assert preference_margin(policy, reference).item() == pytest.approx(0.5 * (0.04 + 0.10))
    assert preference_margin(policy, None).item() == pytest.approx(0.5 * 0.40)


def test_kinds_of_loss_mean_what_they_mean_in_numpy() -> None:
    """The formulas of trl's DPO trainer, written once more."""
    beta, eps, m = 20.0, 0.1, MARGINS.numpy()
    log_sigmoid = -np.log1p(np.exp(-beta * m)), -np.log1p(np.exp(beta * m))
    expected = {
        "sigmoid": -log_sigmoid[0],
        "hinge": np.maximum(0.0, 1.0 - beta * m),
        "ipo": (m - 1.0 / (2.0 * beta)) ** 2,
        "robust": (-(1.0 - eps) * log_sigmoid[0] + eps * log_sigmoid[1]) / (1.0 - 2.0 * eps),
    }
    for kind in KINDS:
        np.testing.assert_allclose(preference_loss(MARGINS, beta, kind, eps), expected[kind], rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(kind: Any) -> None:
    margin = MARGINS[[0, 1, 3]].clone().requires_grad_(True)  # off the hinge's corner at 1 / beta
    preference_loss(margin, 15.0, kind, 0.1).sum().backward()
    step = 1e-6
    ahead, behind = (preference_loss(MARGINS[[0, 1, 3]] + sign * step, 15.0, kind, 0.1) for sign in (1, -1))
    np.testing.assert_allclose(margin.grad, (ahead - behind) / (2 * step), rtol=1e-3)


def test_beta_falls_with_the_noise_when_asked() -> None:
    time = torch.tensor([0.0, 0.5, 1.0])
    assert beta_at(8.0, time, "constant").tolist() == [8.0, 8.0, 8.0]
    assert beta_at(8.0, time, "one_minus_t2").tolist() == [8.0, 6.0, 0.0]


@settings(deadline=None)  # the first example pays torch's start
@given(seed=st.integers(0, 1000), caution=st.sampled_from([0.0, 0.3, 1.0]), alike=st.sampled_from([-0.9, 0.2, 3.0]))
def test_a_guarded_step_never_raises_the_chosen_error(seed: int, caution: float, alike: float) -> None:
    """One output for both pictures: then a step of predictions is one of weights, and the promise is exact to first order."""
    rng = torch.Generator().manual_seed(seed)
    chosen = torch.randn(1, 6, generator=rng)
    rejected = alike * chosen + torch.randn(1, 6, generator=rng)
    output = torch.zeros(1, 6, requires_grad=True)
    prediction, target = output.expand(2, 6), torch.cat([-chosen, -rejected])
    policy = pair_errors(prediction, target)
    safe = guarded(policy, prediction, target, caution)
    torch.testing.assert_close(safe.rejected, policy.rejected)  # the value stays; only the gradient is another
    (of_chosen,) = torch.autograd.grad(policy.chosen.sum(), output, retain_graph=True)
    (step,) = torch.autograd.grad((safe.chosen - safe.rejected).sum(), output)
    change = -(step * of_chosen).sum()
    assert change <= -caution * of_chosen.square().sum() + 1e-6  # float32


def test_the_guard_leaves_alone_what_does_no_harm() -> None:
    target = torch.zeros(2, 3)
    for rejected, expected in (([-1.0, 0.0, 0.0], 1.0), ([0.5, 0.0, 0.0], 1.0), ([4.0, 0.0, 0.0], 0.25)):
        prediction = torch.tensor([[1.0, 0.0, 0.0], rejected], requires_grad=True)
        policy = pair_errors(prediction, target)
        (plain,) = torch.autograd.grad(policy.rejected.sum(), prediction, retain_graph=True)
        (scaled,) = torch.autograd.grad(
            guarded(policy, prediction, target, 0.0).rejected.sum(), prediction, retain_graph=True
        )
        torch.testing.assert_close(scaled, expected * plain)
        # With all caution nothing that moves the chosen along is left, and what moves it away is left alone.
        (careful,) = torch.autograd.grad(guarded(policy, prediction, target, 1.0).rejected.sum(), prediction)
        torch.testing.assert_close(careful, (1.0 if rejected[0] < 0 else 0.0) * plain)
