"""Training of the multi-view model: its loss in closed form, and all stages on a handful of scans, whose model then draws."""

import json

import numpy as np
import pytest
import torch

from posedreamer.bodies.catalog import load_body, load_wardrobe
from posedreamer.drpose import multiview_run
from posedreamer.drpose.multiview import draw_views, load_nano_multiview, stack_views
from posedreamer.drpose.multiview_training import (
    MultiViewData,
    MultiViewDenoiserConfig,
    TrainMultiViewConfig,
    ViewPictures,
    body_weight,
    build_multiview_scheduler,
    draw_words,
    kernel_encoder,
    multiview_loss,
    view_latents,
)
from posedreamer.drpose.reward_forms import load_net
from posedreamer.drpose.scan_data import Scans, render_scans
from posedreamer.drpose.scans import make_scan_maker
from posedreamer.drpose.skeleton_net import load_skeleton_net
from posedreamer.training.loop import torch_generator
from posedreamer.training.loop_config import LoopConfig
from posedreamer.training.nano_autoencoder import patch_kernel
from posedreamer.training.nano_config import AutoencoderConfig
from posedreamer.training.nano_model import build_autoencoder

SIZE = 32


@pytest.fixture(scope="module")
def scans() -> Scans:
    maker = make_scan_maker(load_body(), load_wardrobe(), "train", ["everyday"])
    arrays, lists = render_scans(maker, 0, SIZE, range(4))
    return Scans(**arrays, **lists)


@pytest.fixture(scope="module")
def kernel():
    torch.manual_seed(0)
    return patch_kernel(
        build_autoencoder(AutoencoderConfig(latent_channels=6, width=8, blocks=(0, 0, 0, 0), loop=LoopConfig(steps=1)))
    )


def tiny_config(**changes) -> TrainMultiViewConfig:
    loop = {"steps": 2, "batch_size": 2, "warmup_steps": 1, "decay_steps": 1}
    settings = {
        "everyday": "a",
        "scans": "b",
        "size": SIZE,
        "precision": "float32",
        "autoencoder": {"latent_channels": 6, "width": 8, "blocks": [0, 0, 0, 0], "crop": 32, "loop": loop},
        "denoiser": {"channels": [16, 16], "heads": 2, "groups": 4, "time_channels": 16, "word_width": 8, "loop": loop},
        "skeleton": {"loop": loop},
    }
    return TrainMultiViewConfig.model_validate(settings | changes)


class Silent(torch.nn.Module):
    """A net that always answers 0, and keeps what it was told."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, given, times, encoder_hidden_states, class_labels, return_dict):
        self.given, self.times, self.labels = given, times, class_labels
        return (0.0 * given[:, : given.shape[1] // 2] + self.weight,)


def test_a_silent_net_loses_the_weighted_square_of_the_velocity(scans, kernel):
    config = MultiViewDenoiserConfig(silent_share=0.5, loop=LoopConfig(steps=10, batch_size=4))
    words, scheduler = draw_words(8, torch.Generator().manual_seed(0)), build_multiview_scheduler()
    data = MultiViewData(scans, torch.ones(4, 1280), words, kernel_encoder(kernel))
    net = Silent()
    loss = multiview_loss(data, scheduler, config, 3, torch.float32)(0, slice(0, 4), {"unet": net})
    # Undo what the net was told: x = signal x clean + loudness x noise gives the noise, and both the velocity.
    signal = scheduler.alphas_cumprod[net.times].sqrt()[:, None, None, None]
    loudness = (1 - signal**2).sqrt()
    noise_of = torch.randn((4, 2, 6, 6, 4, 4), generator=torch_generator(3, "multiview", 0, "noise"))
    noise = stack_views(noise_of)
    clean = (net.given[:, :6] - loudness * noise) / signal
    latents = {
        tuple(
            np.round(view_latents(scans, np.array([row]), kernel_encoder(kernel))[0, 0, 0].flatten()[:4].numpy(), 3)
        ): row
        for row in range(4)
    }
    seen = [latents[tuple(np.round(clean[6 * place].flatten()[:4].detach().numpy(), 3))] for place in range(4)]
    assert sorted(seen) == [0, 1, 2, 3]
    weight = stack_views(body_weight(scans, np.array(seen), 4, config.body_weight))
    expected = ((signal * noise - loudness * clean).square() * weight).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    # One time a subject, and about half of the subjects without their photograph.
    assert (net.times.unflatten(0, (2, 4, 6)) == net.times.unflatten(0, (2, 4, 6))[:1, :, :1]).all()
    silent = (net.labels.unflatten(0, (2, 4, 6)) == 0).all(dim=3)
    assert (silent == silent[:1, :, :1]).all() and 0 < silent[0, :, 0].sum() < 4
    assert (net.given[:, 6:].unflatten(0, (2, 4, 6)) == 0).flatten(3).all(dim=3).equal(silent)


def test_weights_are_one_on_average_and_larger_on_the_body(scans):
    weight = body_weight(scans, np.arange(4), 4, 3.0)
    torch.testing.assert_close(weight.mean(dim=(1, 2, 3, 4, 5)), torch.ones(4))
    body = torch.from_numpy((scans.normals < 255).any(axis=-1)).float()
    touched = torch.nn.functional.max_pool2d(body, SIZE // 4) > 0
    one = weight[:, 0, :, 0]
    for subject in range(4):
        torch.testing.assert_close(
            one[subject][touched[subject]].mean() / one[subject][~touched[subject]].mean(), torch.tensor(4.0)
        )


def test_words_tell_all_pictures_apart():
    words = draw_words(8, torch.Generator().manual_seed(0)).flatten(0, 1).flatten(1)
    assert (torch.cdist(words, words) + 10 * torch.eye(12)).min() > 0.1


def test_views_as_pictures_show_where_bodies_are(scans):
    pictures = ViewPictures.of(scans, 2)
    assert len(pictures.images) == 2 * 2 * 6
    np.testing.assert_array_equal(pictures.images[6], scans.colors[0, 0])
    np.testing.assert_array_equal(pictures.images[12 + 3], scans.normals[1, 3])
    np.testing.assert_array_equal(pictures.maps[..., 0] > 0, (pictures.images < 255).any(axis=-1))
    assert (pictures.maps[..., 1:] == 0).all()


def test_all_stages_write_a_model_that_draws(tmp_path, scans):
    config = tiny_config()
    with pytest.raises(ValueError, match=r"autoencoder\.safetensors is missing"):
        multiview_run.train_denoiser(config, scans, tmp_path, False)
    multiview_run.train_view_autoencoder(config, scans, tmp_path, False)
    multiview_run.train_denoiser(config, scans, tmp_path, False)
    for stage, net in multiview_run.NETS.items():
        multiview_run.train_reading_net(stage, config, scans, tmp_path, False)
        load_net(net(config.autoencoder.latent_channels), tmp_path / f"{stage}.safetensors")
    model = load_nano_multiview(tmp_path / "model")
    drawn = draw_views(model, list(scans.photos[:1]), torch.randn(12, 6, 4, 4), steps=2)
    assert drawn.shape == (1, 2, 6, SIZE, SIZE, 3)
    assert load_skeleton_net(tmp_path / "skeleton.safetensors")(torch.randn(12, 6, 4, 4)).shape == (1, 6, 23, 16, 16)
    assert json.loads((tmp_path / "model" / "layout.json").read_text())["views"] == 6
    with pytest.raises(ValueError, match="embeds 4 photographs, but there are 2"):
        fewer = Scans(*(column[:2] for column in scans))
        multiview_run.train_denoiser(config, fewer, tmp_path, True)
