"""Laws of the distillation: closed forms of DDIM, the grid that the pipeline uses, and a student that has nothing to learn."""

import itertools

import pytest
import torch
from tiny_nano import SIZE, random_pictures, tiny_config

from posedreamer import torchvision_shim

torchvision_shim.install()
from posedreamer.training.nano_config import DistillationConfig  # noqa: E402
from posedreamer.training.nano_diffusion import LatentSet, predict  # noqa: E402
from posedreamer.training.nano_distillation import (  # noqa: E402
    ddim_step,
    distillation_loss,
    guided_steps,
    level_at,
    trailing_times,
    velocity_between,
)
from posedreamer.training.nano_model import (  # noqa: E402
    build_denoiser,
    build_student_scheduler,
    build_text_encoder,
)
from posedreamer.training.nano_run import train_autoencoder, train_denoiser, train_student  # noqa: E402
from posedreamer.training.nano_text import build_tokenizer, encode, words_of  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
ALPHAS = build_student_scheduler().alphas_cumprod


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 8])
def test_the_student_is_trained_at_the_times_at_which_it_draws(steps):
    scheduler = build_student_scheduler()
    scheduler.set_timesteps(steps)
    assert torch.equal(trailing_times(steps, len(ALPHAS)), scheduler.timesteps)


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_a_step_is_the_scheduler_s(steps):
    scheduler, generator = build_student_scheduler(), torch.Generator().manual_seed(0)
    scheduler.set_timesteps(steps)
    grid = [*trailing_times(steps, len(ALPHAS)).tolist(), -1]
    noisy, velocity = torch.randn(2, 1, 4, 6, 6, generator=generator)
    for start, end in itertools.pairwise(grid):
        here, there = (level_at(torch.tensor([at]), ALPHAS) for at in (start, end))
        expected = scheduler.step(velocity, start, noisy).prev_sample
        torch.testing.assert_close(ddim_step(noisy, velocity, here, there), expected, atol=2e-6, rtol=1e-5)


def test_the_velocity_between_two_latents_leads_from_one_to_the_other():
    generator = torch.Generator().manual_seed(1)
    noisy, reached = torch.randn(2, 3, 4, 6, 6, generator=generator, dtype=torch.float64)
    alphas = ALPHAS.double()
    here, there = level_at(torch.tensor([999, 700, 124]), alphas), level_at(torch.tensor([874, 500, -1]), alphas)
    torch.testing.assert_close(ddim_step(noisy, velocity_between(noisy, reached, here, there), here, there), reached)


def parts(tmp_path, **changes):
    config = tiny_config(tmp_path)
    pictures = random_pictures()
    tokenizer = build_tokenizer(words_of(pictures.prompts), config.text.length)
    torch.manual_seed(0)
    unet, controlnet = build_denoiser(config.denoiser, config.text.width, 8, SIZE // 4)
    modules = {"unet": unet, "controlnet": controlnet, "text_encoder": build_text_encoder(config.text, tokenizer)}
    for module in modules.values():
        module.eval()
    settings = DistillationConfig.model_validate(config.distillation.model_dump() | changes)
    latents = torch.randn(12, 8, SIZE // 4, SIZE // 4)
    words, empty = encode(tokenizer, pictures.prompts), encode(tokenizer, [""])[0]
    return modules, settings, LatentSet(latents, pictures.conditions, words, empty)


def test_a_student_like_its_teacher_has_nothing_to_learn_without_guidance_and_substeps(tmp_path):
    for substeps, guidance, is_zero in ((1, 1.0, True), (2, 1.0, False), (1, 3.0, False)):
        modules, settings, data = parts(tmp_path, substeps=substeps, guidance=guidance)
        loss_at = distillation_loss(modules, data, ALPHAS, settings, 3, torch.float32)
        loss = loss_at(0, slice(0, 4), modules).item()
        assert loss < 1e-8 if is_zero else loss > 1e-6


def test_guided_steps_are_those_of_the_pipeline(tmp_path):
    # The scheduler's own steps under classifier-free guidance, for a student's step that is the first half of them all.
    modules, settings, (latents, conditions, words, empty) = parts(tmp_path, steps=2, substeps=2, guidance=2.5)
    scheduler = build_student_scheduler()
    scheduler.set_timesteps(4)
    condition = torch.from_numpy(conditions[:1]).permute(0, 3, 1, 2) / 255.0
    noisy = expected = latents[:1]
    with torch.no_grad():
        for time in scheduler.timesteps[:2]:
            answers = [predict(modules, expected, time[None], text[None], condition) for text in (words[0], empty)]
            guided = answers[1] + 2.5 * (answers[0] - answers[1])
            expected = scheduler.step(guided, time, expected).prev_sample
        start, end = trailing_times(2, len(ALPHAS))[:, None]
        found = guided_steps(modules, noisy, start, end, words[:1], empty, condition, ALPHAS, settings)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_the_student_is_exported_with_its_own_scheduler(tmp_path):
    from diffusers import StableDiffusionControlNetPipeline

    config, pictures = tiny_config(tmp_path), random_pictures()
    with pytest.raises(ValueError, match="run the stage `denoiser` first"):
        train_student(config, pictures, tmp_path, resume=False)
    train_autoencoder(config, pictures, tmp_path, resume=False)
    train_denoiser(config, pictures, tmp_path, resume=False)
    folder = train_student(config, pictures, tmp_path, resume=False)
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(folder, local_files_only=True)
    assert type(pipeline.scheduler).__name__ == "DDIMScheduler"
    assert '"distilled_to_steps": 2' in (folder / "posedreamer.json").read_text()
