"""Each family: predictions are those of its pipeline, and noise, target and latents fit together."""

from typing import Any

import diffusers
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from families import DRAWING, FAMILIES, MAPS, opened
from tiny_models import PROMPTS

from posedreamer.alignment.denoisers import Denoiser, open_denoiser
from posedreamer.stages.generation.diffusers_backend import Model, draw


@pytest.fixture(params=FAMILIES)
def denoiser(request: pytest.FixtureRequest, folders: dict[str, str]) -> Denoiser:
    return open_denoiser(opened(folders[request.param]).pipeline, DRAWING)


def test_predictions_are_those_of_the_pipeline(denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pipeline's last net gives in a drawing, remade from prompt, map, noisy latents and time."""
    # FLUX draws with a sample of the map's latents; what is trained sees their mean.
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mean)
    net = next(net for name, net in denoiser.nets.items() if name != "controlnet")
    seen: list[tuple[tuple[Any, ...], dict[str, Any], torch.Tensor]] = []
    hook = net.register_forward_hook(lambda _, args, kwargs, out: seen.append((args, kwargs, out[0])), with_kwargs=True)
    draw(Model(denoiser.pipeline, "tiny"), PROMPTS[:2], MAPS[:2], [1, 2], DRAWING)
    hook.remove()
    args, kwargs, expected = seen[-1]
    if args:
        noisy, times = args[0], torch.as_tensor(args[1]).expand(2)
    else:
        noisy, expected = (denoiser.pipeline._unpack_latents(x, 32, 32, 8) for x in (kwargs["hidden_states"], expected))
        times = kwargs["timestep"]
    with torch.no_grad():
        found = denoiser(noisy, times, denoiser.words(PROMPTS[:2]), denoiser.control(MAPS[:2]))
        elsewhere = denoiser(noisy, times, denoiser.words(PROMPTS[:2]), denoiser.control(MAPS[2:]))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert (found - elsewhere).abs().max() > 1e-4  # the map is seen


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample", "flow"])
def test_from_a_perfect_prediction_the_latents_follow(kind: str, folders: dict[str, str]) -> None:
    pipeline = opened(folders["flux" if kind == "flow" else "sd"]).pipeline
    if kind != "flow":
        pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config, prediction_type=kind)
    denoiser = open_denoiser(pipeline, DRAWING)
    rng = torch.Generator().manual_seed(1)
    latents, noise = torch.randn(2, 3, 4, 4, 4, generator=rng)
    times = denoiser.draw_times(3, rng)
    noisy, target = denoiser.noised(latents, noise, times), denoiser.target(latents, noise, times)
    if kind == "flow":
        found = noisy - times.reshape(-1, 1, 1, 1) * target
    else:
        step = diffusers.DDPMScheduler.from_config(pipeline.scheduler.config, clip_sample=False).step
        pairs = zip(target, times, noisy, strict=True)
        found = torch.cat([step(a[None], int(t), b[None]).pred_original_sample for a, t, b in pairs])
    torch.testing.assert_close(found, latents, atol=2e-3, rtol=1e-3)  # a little signal is left at the noisiest steps
    level = denoiser.noise_level(times)
    assert ((level > 0) & (level < 1)).all()


def test_a_student_is_trained_at_its_own_times(folders: dict[str, str]) -> None:
    for family, expected in (("sd", {1, 334, 667}), ("flux", {1.0, 2 / 3, 1 / 3})):
        times = open_denoiser(opened(folders[family]).pipeline, DRAWING, steps=3).draw_times(64, torch.Generator())
        assert {round(float(time), 4) for time in times} == {round(float(time), 4) for time in expected}


def test_latents_are_the_mean_and_their_scale_is_the_pipeline_s(denoiser: Denoiser) -> None:
    vae = denoiser.pipeline.vae
    signed = torch.from_numpy(MAPS).permute(0, 3, 1, 2) / 127.5 - 1.0
    with torch.no_grad():
        mean = vae.encode(signed).latent_dist.mean
    shift = vae.config.shift_factor or 0.0
    torch.testing.assert_close(denoiser.encode(MAPS), (mean - shift) * vae.config.scaling_factor)


def test_other_pipelines_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot train a int; expected one of StableDiffusionControlNetPipeline"):
        open_denoiser(3, DRAWING)
