"""Gradients of the three plans against finite differences; memory that does not grow with steps; where plans may train."""

import numpy as np
import pytest
import torch

from posedreamer.drpose.rollout import divergence, draw_plan, roll_out
from posedreamer.seeds import generator_for

STEPS = 8
SIGNAL = np.linspace(0.0, 0.98, STEPS).tolist()


class Toy(torch.nn.Module):
    """A small nonlinear denoiser; `frozen_inputs`, by step, take the place of its inputs: what a cut gradient takes for constant."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = torch.nn.Parameter(0.3 * torch.randn(3, 3, dtype=torch.float64))
        self.frozen_inputs: dict[int, torch.Tensor] = {}
        self.frozen_outputs: dict[int, torch.Tensor] = {}

    def forward(self, latents: torch.Tensor, step: int) -> torch.Tensor:
        if step in self.frozen_outputs:
            return self.frozen_outputs[step]
        latents = self.frozen_inputs.get(step, latents)
        return torch.tanh(latents @ self.weight + 0.1 * step)


def reward(clean: torch.Tensor) -> torch.Tensor:
    return (clean.square() * torch.tensor([1.0, 2.0, -0.5], dtype=torch.float64)).mean()


@pytest.mark.parametrize("method", ["drtune", "draft", "alignprop"])
def test_the_gradient_is_that_of_finite_differences(method):
    """Of what the plan trains: other steps' predictions, and with drtune all inputs, are held where they are."""
    plan = draw_plan(method, STEPS, 2, 3, generator_for(3, method, "plan"))
    toy, noise = Toy(), torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    inputs, outputs = {}, {}

    def remember(latents, step):
        inputs[step], outputs[step] = latents.detach().clone(), toy(latents, step).detach().clone()
        return toy(latents, step)

    roll_out(remember, noise, SIGNAL, plan)
    reward(roll_out(toy, noise, SIGNAL, plan).clean).backward()
    toy.frozen_outputs = {step: value for step, value in outputs.items() if step not in plan.trained}
    toy.frozen_inputs = {step: inputs[step] for step in plan.trained} if plan.cuts_inputs else {}
    expected, small = torch.zeros_like(toy.weight), 1e-6
    with torch.no_grad():
        for place in np.ndindex(3, 3):
            values = []
            for sign in (1, -1):
                toy.weight[place] += sign * small
                values.append(reward(roll_out(toy, noise, SIGNAL, plan).clean))
                toy.weight[place] -= sign * small
            expected[place] = (values[0] - values[1]) / (2 * small)
    torch.testing.assert_close(toy.weight.grad, expected, rtol=1e-3, atol=1e-9)
    assert expected.abs().max() > 1e-3


@pytest.mark.parametrize("method", ["drtune", "draft"])
def test_kept_activations_do_not_grow_with_the_number_of_steps(method):
    def kept(steps: int) -> int:
        count = 0

        def pack(tensor):
            nonlocal count
            count += tensor.numel()
            return tensor

        plan = draw_plan(method, steps, 2, 0, np.random.default_rng(0))
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            roll_out(Toy(), torch.randn(4, 3, dtype=torch.float64), np.linspace(0.05, 0.98, steps).tolist(), plan)
        return count

    assert kept(10) == kept(40) > 0


def test_drtune_trains_evenly_spaced_steps_before_a_random_end():
    plans = [draw_plan("drtune", 20, 2, 8, np.random.default_rng(seed)) for seed in range(300)]
    assert {plan.last for plan in plans} == set(range(11, 20))
    for plan in plans:
        first, second = plan.trained
        assert second - first == (plan.last + 1) // 2 and 0 <= first < second <= plan.last and plan.cuts_inputs
    assert len({plan.trained for plan in plans}) > 20


def test_draft_trains_the_last_and_alignprop_any_number_of_them():
    rng = np.random.default_rng(0)
    assert draw_plan("draft", 20, 3, 8, rng) == ((17, 18, 19), 19, False)
    plans = [draw_plan("alignprop", 20, 1, 0, rng) for _ in range(500)]
    assert {len(plan.trained) for plan in plans} == set(range(1, 21))
    assert all(plan.trained == tuple(range(20 - len(plan.trained), 20)) for plan in plans)


def test_the_sampled_latents_do_not_depend_on_what_is_trained():
    """A true denoiser of one point ends at that point, whatever the plan."""
    point = torch.tensor([[0.3, -1.2, 2.0]], dtype=torch.float64)

    def knows(latents, step):
        loudness = (1 - SIGNAL[step] ** 2) ** 0.5
        noise = (latents - SIGNAL[step] * point) / loudness
        return SIGNAL[step] * noise - loudness * point

    for seed, method in enumerate(("drtune", "draft", "alignprop")):
        plan = draw_plan(method, STEPS, 2, 3, np.random.default_rng(seed))
        found = roll_out(knows, torch.randn(1, 3, dtype=torch.float64), SIGNAL, plan).clean
        torch.testing.assert_close(found, point)


def test_the_divergence_is_nothing_for_the_frozen_net_itself_and_has_a_gradient_else():
    toy, other = Toy(), Toy()
    plan = draw_plan("drtune", STEPS, 2, 0, np.random.default_rng(0))
    noise = torch.randn(4, 3, dtype=torch.float64)
    assert float(divergence(roll_out(toy, noise, SIGNAL, plan).visited, other).detach()) == 0
    with torch.no_grad():
        other.weight += 0.1
    visited = roll_out(toy, noise, SIGNAL, plan).visited
    found = divergence(visited, other)
    expected = torch.stack([(out - other(given, step)).square().mean() for step, given, out in visited]).mean()
    torch.testing.assert_close(found, expected)
    found.backward()
    assert toy.weight.grad.abs().max() > 0 and other.weight.grad is None


@pytest.mark.parametrize(("steps", "trained", "early_stop"), [(4, 5, 0), (4, 0, 0), (4, 1, 4), (4, 2, -1)])
def test_plans_that_cannot_be_are_refused(steps, trained, early_stop):
    with pytest.raises(ValueError, match="expected 1 to steps"):
        draw_plan("drtune", steps, trained, early_stop, np.random.default_rng(0))
