"""Two players, one backward pass: each loss moves its own player alone, and the critic learns what the eye sees."""

import torch

from posedreamer.training.critic import PatchCritic, adversarial_losses


def pictures(count: int, grain: float) -> torch.Tensor:
    """Even grey with grain over it."""
    return grain * torch.randn(count, 3, 32, 32)


def test_each_loss_has_a_gradient_for_its_own_player_only() -> None:
    torch.manual_seed(0)
    critic = PatchCritic()
    shown = pictures(2, 0.1).requires_grad_()
    disliked, mistaken = adversarial_losses(critic, shown, pictures(2, 0.1))
    disliked.backward(retain_graph=True)
    assert shown.grad is not None and shown.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in critic.parameters())
    shown.grad = None
    mistaken.backward()
    assert shown.grad is None
    assert all(weight.grad is not None for weight in critic.parameters())


def test_the_critic_learns_to_miss_the_grain() -> None:
    torch.manual_seed(0)
    critic = PatchCritic()
    optimizer = torch.optim.AdamW(critic.parameters(), lr=1e-3)
    for _ in range(40):
        optimizer.zero_grad()
        adversarial_losses(critic, pictures(8, 0.0), pictures(8, 0.05))[1].backward()
        optimizer.step()
    with torch.no_grad():
        assert critic(pictures(8, 0.05)).mean() > critic(pictures(8, 0.0)).mean() + 1.0
