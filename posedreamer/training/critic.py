"""Critics: of the decoder's last steps, which tells pictures from reconstructions by patches of 26 pixels (Isola et al. 2017), and of the
denoiser's predictions.

An error averaged over pixels has its least value at the mean of all that a latent may stand for, which is smooth: no grain of
the camera, hands without fingers. The judge, trained on photographs, reads such pictures worse than their error says:
reconstructions of 35.7 dB had .949 of the OKS of true renders, and .983 when grain was laid over them.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

WIDTH = 32


class PatchCritic(nn.Module):
    """A score for each patch: high for pictures, low for reconstructions."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, WIDTH, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(WIDTH, 2 * WIDTH, 4, stride=2, padding=1),
            nn.GroupNorm(8, 2 * WIDTH),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * WIDTH, 4 * WIDTH, 3, padding=1),
            nn.GroupNorm(8, 4 * WIDTH),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * WIDTH, 1, 3, padding=1),
        )

    def forward(self, images: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch 1 h2 w2"]:
        return self.layers(images)


class LatentCritic(nn.Module):
    """A score for each part of a picture's latents, told the map of the body and the prompt: high for true ones that fit both.

    What a denoiser predicts from little is the mean of all scenes of a prompt, a blur; this tells it from a scene. The prompt's score is
    the product of what is seen and what is said (Miyato and Koyama 2018).
    """

    def __init__(self, latent_channels: int, text_width: int) -> None:
        super().__init__()
        first, second, third = 3 * WIDTH, 4 * WIDTH, 6 * WIDTH
        self.layers = nn.Sequential(
            nn.Conv2d(latent_channels + 3, first, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            nn.GroupNorm(8, second),
            nn.LeakyReLU(0.2),
            nn.Conv2d(second, third, 4, stride=2, padding=1),
            nn.GroupNorm(8, third),
            nn.LeakyReLU(0.2),
            nn.Conv2d(third, third, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.score = nn.Conv2d(third, 1, 3, padding=1)
        self.said = nn.Linear(text_width, third)

    def forward(
        self,
        latents: Float[Tensor, "batch c h w"],
        condition: Float[Tensor, "batch 3 h_pixels w_pixels"],
        text: Float[Tensor, "batch words width"],
    ) -> Float[Tensor, "batch 1 h2 w2"]:
        """condition: the body's map; text: the prompt's tokens, encoded."""
        maps = F.adaptive_avg_pool2d(condition, (latents.shape[-2], latents.shape[-1]))
        seen = self.layers(torch.cat([latents, maps], dim=1))
        said = self.said(text.mean(dim=1))[:, :, None, None]
        return self.score(seen) + (seen * said).sum(dim=1, keepdim=True) / seen.shape[1] ** 0.5


def adversarial_losses(critic: nn.Module, shown: Tensor, true: Tensor, *told: Tensor) -> tuple[Tensor, Tensor]:
    """(What the maker of `shown` lowers, what the critic lowers): the hinge loss. told: what the critic is told of both.

    Neither has a gradient for the other's weights, so their sum trains both.
    """
    fixed = {name: weight.detach() for name, weight in critic.named_parameters()}
    disliked = -torch.func.functional_call(critic, fixed, (shown, *told)).float().mean()
    of_true, of_shown = (critic(pictures, *told).float() for pictures in (true, shown.detach()))
    return disliked, (F.relu(1.0 - of_true) + F.relu(1.0 + of_shown)).mean()
