"""Laws of the student of few steps: it is trained on the way that its scheduler draws it, and judged where it can know better."""

import numpy as np
import pytest
import torch
from tiny_nano import SIZE, random_pictures, tiny_config

from posedreamer import torchvision_shim

torchvision_shim.install()
from posedreamer.training.loop import batch_at, torch_generator  # noqa: E402
from posedreamer.training.nano_autoencoder import to_condition  # noqa: E402
from posedreamer.training.nano_config import EmphasisConfig, StudentConfig  # noqa: E402
from posedreamer.training.nano_diffusion import LatentSet, predict, velocity_error  # noqa: E402
from posedreamer.training.nano_model import (  # noqa: E402
    build_denoiser,
    build_student_scheduler,
    build_text_encoder,
)
from posedreamer.training.nano_run import train_autoencoder, train_denoiser, train_student  # noqa: E402
from posedreamer.training.nano_student import STAGE, Look, look_error, near_body, student_loss, walk  # noqa: E402
from posedreamer.training.nano_text import build_tokenizer, encode, words_of  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
FACTOR = 4
SEED = 3


def parts(tmp_path, **changes):
    """Modules whose ControlNet answers, a student's settings, and twelve pictures."""
    config, pictures = tiny_config(tmp_path), random_pictures()
    tokenizer = build_tokenizer(words_of(pictures.prompts), config.text.length)
    torch.manual_seed(0)
    unet, controlnet = build_denoiser(config.denoiser, config.text.width, 8, SIZE // FACTOR)
    for weight in controlnet.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    modules = {"unet": unet, "controlnet": controlnet, "text_encoder": build_text_encoder(config.text, tokenizer)}
    for module in modules.values():
        module.eval()
    settings = StudentConfig.model_validate(config.student.model_dump() | changes)
    words, empty = encode(tokenizer, pictures.prompts), encode(tokenizer, [""])[0]
    latents = torch.randn(12, 8, SIZE // FACTOR, SIZE // FACTOR)
    return modules, settings, LatentSet(latents, pictures.conditions, words, empty)


def scheduler_of(steps):
    scheduler = build_student_scheduler()
    scheduler.set_timesteps(steps)
    return scheduler


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_a_walk_on_its_own_predictions_is_the_scheduler_s(tmp_path, monkeypatch, steps):
    modules, _, data = parts(tmp_path)
    condition, words = to_condition(data.conditions[:2]), data.tokens[:2]
    noise = torch.randn(steps, 2, 8, SIZE // FACTOR, SIZE // FACTOR, generator=torch.Generator().manual_seed(1))
    scheduler = scheduler_of(steps)
    given = iter(noise[1:])
    monkeypatch.setattr("diffusers.schedulers.scheduling_lcm.randn_tensor", lambda *_, **__: next(given))
    expected, seen = noise[0], []
    with torch.no_grad():
        for time in scheduler.timesteps:
            seen.append(expected)
            velocity = predict(modules, expected, time.repeat(2), words, condition)
            expected = scheduler.step(velocity, time, expected).prev_sample
        times, own = scheduler.timesteps, torch.ones(steps, 2, dtype=torch.bool)
        looks = walk(modules, data.latents[:2], condition, words, noise, own, times, scheduler.alphas_cumprod)
    # LCM's boundary condition makes the last prediction differ from ours by a millionth of the noisy latents.
    torch.testing.assert_close(looks[-1].clean, expected, atol=1e-4, rtol=1e-4)
    for look, noisy in zip(looks, seen, strict=True):
        torch.testing.assert_close(look.noisy, noisy, atol=1e-4, rtol=1e-4)


def test_without_own_predictions_the_loss_is_the_denoiser_s(tmp_path):
    modules, settings, data = parts(tmp_path, own_share=0.0, person_weight=2.0, head_weight=3.0)
    found = student_loss(data, modules["text_encoder"], build_student_scheduler(), settings, SEED, torch.float32)
    rows, size = batch_at(SEED, STAGE, 0, settings.loop.batch_size, 12), settings.loop.batch_size
    noise = torch.randn(
        settings.steps, size, 8, SIZE // FACTOR, SIZE // FACTOR, generator=torch_generator(SEED, STAGE, 0, "noise")
    )
    scheduler, emphasis = scheduler_of(settings.steps), EmphasisConfig(noise_mean=0.0, noise_std=1.0, person_weight=2.0, head_weight=3.0)  # fmt: skip
    kept = torch.zeros(size, dtype=torch.bool)
    with torch.no_grad():
        errors = [
            velocity_error(
                modules,
                data,
                rows,
                time.repeat(size),
                noise[place],
                kept,
                scheduler.alphas_cumprod,
                emphasis,
                torch.float32,
            )
            for place, time in enumerate(scheduler.timesteps)
        ]
        loss = found(0, slice(0, size), modules)
    torch.testing.assert_close(loss, torch.stack(errors).mean(), atol=1e-5, rtol=1e-4)


def test_own_predictions_are_seen_as_they_are_and_get_no_gradient(tmp_path):
    modules, _, data = parts(tmp_path)
    condition, words = to_condition(data.conditions[:2]), data.tokens[:2]
    noise = torch.randn(3, 2, 8, SIZE // FACTOR, SIZE // FACTOR)
    scheduler, own = scheduler_of(3), torch.tensor([[True, True], [True, False], [False, True]])
    looks = walk(modules, data.latents[:2], condition, words, noise, own, scheduler.timesteps, scheduler.alphas_cumprod)
    assert not any(look.noisy.requires_grad for look in looks)
    assert [look.own.flatten().tolist() for look in looks] == [[False, False], [True, False], [False, True]]
    for place, (look, time) in enumerate(zip(looks, scheduler.timesteps, strict=True)):
        alpha = scheduler.alphas_cumprod[time]
        below = (look.noisy - (1 - alpha).sqrt() * noise[place]) / alpha.sqrt() if place else None
        for picture in range(2):
            if below is not None:
                base = looks[place - 1].clean if own[place, picture] else data.latents[:2]
                torch.testing.assert_close(below[picture], base[picture].detach(), atol=1e-4, rtol=1e-4)


def test_what_own_predictions_show_away_from_the_body_costs_nothing():
    clean, weight = torch.zeros(2, 8, 6, 6), torch.ones(2, 1, 6, 6)
    near = torch.zeros(2, 1, 6, 6, dtype=torch.bool)
    near[:, :, 2:4, 2:4] = True
    own = torch.tensor([True, False])[:, None, None, None]
    looks = [Look(clean, found, torch.full((2, 1, 1, 1), 0.5), own) for found in (~near * clean.new_ones(8, 1, 1), near * clean.new_ones(8, 1, 1))]  # fmt: skip
    away, on = (look_error(look, clean, weight, near) for look in looks)
    # Velocities err by the latents' error over the loudness: 4 times its square. Of 36 cells 4 are near the body.
    assert away.item() == pytest.approx(4 * 32 / 36 / 2)
    assert on.item() == pytest.approx(4 * 4 / 36)


def test_near_the_body_are_its_cells_and_their_neighbours():
    condition = torch.zeros(1, 3, 32, 32)
    condition[0, 2, 9, 21] = 0.01
    expected = np.zeros((8, 8), dtype=bool)
    expected[1:4, 4:7] = True
    assert np.array_equal(near_body(condition, FACTOR)[0, 0].numpy(), expected)


def test_the_student_is_exported_with_its_own_scheduler_and_the_denoiser_s_text_encoder(tmp_path):
    from diffusers import StableDiffusionControlNetPipeline

    config, pictures = tiny_config(tmp_path), random_pictures()
    with pytest.raises(ValueError, match="run the stage `denoiser` first"):
        train_student(config, pictures, tmp_path, resume=False)
    train_autoencoder(config, pictures, tmp_path, resume=False)
    start = train_denoiser(config, pictures, tmp_path, resume=False)
    folder = train_student(config, pictures, tmp_path, resume=False)
    pipeline, before = (
        StableDiffusionControlNetPipeline.from_pretrained(path, local_files_only=True) for path in (folder, start)
    )
    assert type(pipeline.scheduler).__name__ == "LCMScheduler"
    assert '"student_steps": 2' in (folder / "posedreamer.json").read_text()
    same = {
        name: all(
            torch.equal(*pair)
            for pair in zip(getattr(pipeline, name).parameters(), getattr(before, name).parameters(), strict=True)
        )
        for name in ("unet", "controlnet", "text_encoder")
    }
    assert same == {"unet": False, "controlnet": False, "text_encoder": True}
