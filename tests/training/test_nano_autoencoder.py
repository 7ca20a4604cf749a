"""Laws of the nano autoencoder: its encoder is a projection of patches, and the body counts more than the rest."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_nano import SIZE, random_pictures, tiny_config

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import rest_parameters
from posedreamer.geometry.cameras import make_K
from posedreamer.geometry.skeletons import SMPLX_JOINTS
from posedreamer.rendering.conditions import draw_condition
from posedreamer.rendering.label import draw_label
from posedreamer.rendering.visibility import part_map
from posedreamer.training import nano_autoencoder as autoencoding
from posedreamer.training.nano_model import build_autoencoder
from posedreamer.training.nano_run import train_autoencoder

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def patch_encoder(tmp_path, images, maps, **changes):
    config = tiny_config(tmp_path).autoencoder.model_copy(update=changes)
    model = build_autoencoder(config)
    deviations = torch.tensor(autoencoding.patch_transform(model, images, maps, config))
    with torch.no_grad():
        latents = model.encode(autoencoding.to_signed(images)).latents
    return deviations, latents.permute(1, 0, 2, 3).flatten(1).double()


def test_encoder_is_the_orthogonal_projection_of_patches(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (20, SIZE, SIZE, 3)).astype(np.uint8)
    images[..., 1:] = images[..., :1]  # grey, and vertical pairs alike: eight degrees of freedom a patch
    images[:, 1::2] = images[:, ::2]
    deviations, flat = patch_encoder(tmp_path, images, np.zeros_like(images), latent_channels=8)
    # float32 sums of 48 products
    assert flat.mean(dim=1).abs().max() < 1e-4
    torch.testing.assert_close(
        torch.cov(flat, correction=0), torch.diag(deviations.double() ** 2), atol=1e-3, rtol=1e-3
    )
    # Nothing is lost: distances between patches, in natural scales, are those between latents.
    natural = flat / deviations[:, None]
    pixels = torch.tensor(images[:, ::2, :, 0]).double().unfold(1, 2, 2).unfold(2, 4, 4).flatten(3).flatten(0, 2)
    left = natural.T - natural.mean(dim=1)
    covariance = torch.cov(pixels.T)
    centred = pixels - pixels.mean(dim=0)
    mahalanobis = (centred @ torch.linalg.inv(covariance) * centred).sum(dim=1)
    torch.testing.assert_close(left.square().sum(dim=1), mahalanobis, rtol=1e-2, atol=1e-2)


def test_larger_patches_are_projected_alike(tmp_path):
    # Colours of 8 x 8 patches with three degrees of freedom: three latents tell everything, whatever the patch's size.
    cells = np.random.default_rng(2).integers(0, 256, (30, SIZE // 8, SIZE // 8, 3))
    images = cells.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)
    deviations, flat = patch_encoder(tmp_path, images, np.zeros_like(images), latent_channels=3, blocks=(1, 0, 0, 0))
    colours = torch.tensor(cells).double().flatten(0, 2)
    torch.testing.assert_close(
        torch.cov(flat, correction=0), torch.diag(deviations.double() ** 2), atol=1e-3, rtol=1e-3
    )
    solution = torch.linalg.lstsq(torch.cat([flat.T, torch.ones(flat.shape[1], 1)], dim=1), colours).solution
    shown = torch.cat([flat.T, torch.ones(flat.shape[1], 1)], dim=1) @ solution
    torch.testing.assert_close(shown, colours, atol=0.1, rtol=0)


def test_the_kernel_s_latents_are_those_of_the_encoder(tmp_path):
    pictures = random_pictures()
    config = tiny_config(tmp_path).autoencoder
    model = build_autoencoder(config)
    autoencoding.patch_transform(model, pictures.images, pictures.conditions, config)
    with torch.no_grad():
        expected = model.encode(autoencoding.to_signed(pictures.images)).latents
    kernel = autoencoding.patch_kernel(model)
    torch.testing.assert_close(kernel.encode(autoencoding.to_signed(pictures.images)), expected, atol=1e-4, rtol=1e-4)


def test_patches_of_the_body_count_more(tmp_path):
    # On the body only red varies, beside it only green: which of them leads follows the weights.
    rng = np.random.default_rng(3)
    images, maps = np.zeros((2, 40, SIZE, SIZE, 3), np.uint8)
    images[...] = (127, 80, 0)  # the means, so that only what varies counts
    images[:, :8, :, 0] = rng.integers(0, 256, (40, 8, SIZE))
    images[:, 8:, :, 1] = rng.integers(0, 160, (40, SIZE - 8, SIZE))
    maps[:, :8] = 100
    config = tiny_config(tmp_path).autoencoder
    for weight, leads in ((0.0, 1), (40.0, 0)):
        changed = config.model_copy(update={"latent_channels": 1, "person_weight": weight, "head_weight": 0.0})
        model = build_autoencoder(changed)
        autoencoding.patch_transform(model, images, maps, changed)
        first = model.encoder.layers[2].weight[0].reshape(3, 4, -1).abs().sum(dim=(1, 2))  # colour, place in 2 x 2
        assert first.argmax() == leads


def test_signed_pixels_round_trip():
    images = random_pictures(4).images
    assert np.array_equal(autoencoding.to_pixels(autoencoding.to_signed(images)), images)


def test_the_head_weighs_most_and_the_mean_is_one():
    body = load_body("open")
    facing = replace(rest_parameters(), global_orient=np.array([np.pi, 0, 0]), transl=np.array([0, 0, 3.0]))
    drawn = draw_label(body, facing, make_K(160.0, 128, 128), 128, 128)
    condition = autoencoding.to_condition(draw_condition("xyz", body, drawn)[None])
    weight = autoencoding.error_weight(condition, person_weight=1.0, head_weight=2.0)[0, 0].numpy()
    assert weight.mean() == pytest.approx(1.0)
    parts = part_map(body, drawn.raster)
    means = [(weight[parts == SMPLX_JOINTS.index(name)] / weight[0, 0]).mean() for name in ("head", "spine3")]
    assert means[0] == pytest.approx(4.0, abs=0.05) and means[1] == pytest.approx(2.0, abs=1e-3)


def sides_of(module, monkeypatch):
    """The sides of the squares that a loss draws from now on."""
    sides, draw = [], module.draw_crops
    monkeypatch.setattr(module, "draw_crops", lambda *given: sides.append(given[2]) or draw(*given))
    return sides


def test_the_last_steps_see_whole_pictures(tmp_path, monkeypatch):
    config, pictures = tiny_config(tmp_path, steps=3), random_pictures()
    sides = sides_of(autoencoding, monkeypatch)
    train_autoencoder(config, pictures, tmp_path, resume=False)
    assert sides == [16, 16, SIZE]
