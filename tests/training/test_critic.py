"""Two players, one backward pass: each loss moves its own player alone, and the critic learns what the eye sees."""

import torch

from posedreamer.training.critic import LatentCritic, PatchCritic, adversarial_losses


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


def told(count: int, word: float) -> tuple[torch.Tensor, torch.Tensor]:
    """No body, and a prompt of one word."""
    return torch.zeros(count, 3, 64, 64), torch.full((count, 5, 8), word)


def test_of_the_denoisers_two_players_each_moves_alone() -> None:
    critic = LatentCritic(4, 8)
    shown = torch.randn(2, 4, 16, 16, requires_grad=True)
    disliked, mistaken = adversarial_losses(critic, shown, torch.randn(2, 4, 16, 16), *told(2, 1.0))
    disliked.backward()
    assert shown.grad is not None and shown.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in critic.parameters())
    shown.grad = None
    mistaken.backward()
    assert shown.grad is None
    assert all(weight.grad is not None for weight in critic.parameters())


def test_the_denoisers_critic_learns_what_was_said() -> None:
    """A bright picture is right by one prompt and wrong by the other; without the prompt there is nothing to learn."""
    torch.manual_seed(0)
    critic = LatentCritic(4, 8)
    optimizer = torch.optim.Adam(critic.parameters(), 1e-3)
    for step in range(60):
        word = 1.0 if step % 2 else -1.0
        right, wrong = (sign * word + 0.3 * torch.randn(8, 4, 16, 16) for sign in (1, -1))
        optimizer.zero_grad()
        adversarial_losses(critic, wrong, right, *told(8, word))[1].backward()
        optimizer.step()
    with torch.no_grad():
        for word in (1.0, -1.0):
            bright, dark = (critic(torch.full((2, 4, 16, 16), level), *told(2, word)).mean() for level in (1.0, -1.0))
            assert (bright - dark) * word > 1.0
