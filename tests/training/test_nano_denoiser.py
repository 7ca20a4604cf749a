"""Laws of the denoiser's training: it is trained on the way that its scheduler draws it, and judged where it can know better."""

import numpy as np
import pytest
import torch
from tiny_nano import SIZE, random_pictures, tiny_config

from posedreamer import torchvision_shim

torchvision_shim.install()
from posedreamer.training import nano_denoiser  # noqa: E402
from posedreamer.training.critic import LatentCritic  # noqa: E402
from posedreamer.training.loop import batch_at  # noqa: E402
from posedreamer.training.nano_autoencoder import PatchKernel, error_weight, to_condition, to_signed  # noqa: E402
from posedreamer.training.nano_config import DenoiserConfig, TrainNanoConfig  # noqa: E402
from posedreamer.training.nano_crops import Crops  # noqa: E402
from posedreamer.training.nano_denoiser import (  # noqa: E402
    STAGE,
    Draws,
    Look,
    PictureTokens,
    denoiser_loss,
    draw,
    look_at,
    look_error,
    near_body,
    picture_errors,
    predict,
    set_all_times,
    validation_loss,
)
from posedreamer.training.nano_guidance import Teacher, guided_share  # noqa: E402
from posedreamer.training.nano_model import build_denoiser, build_scheduler, build_text_encoder  # noqa: E402
from posedreamer.training.nano_reader import LatentReader, unsaid  # noqa: E402
from posedreamer.training.nano_text import build_tokenizer, encode, words_of  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
FACTOR = 4
SEED = 3
KERNEL = PatchKernel(
    torch.randn(8, 3, FACTOR, FACTOR, generator=torch.Generator().manual_seed(2)) / FACTOR, torch.zeros(8)
)


def parts(tmp_path, **changes):
    """Modules whose ControlNet answers, settings, twelve pictures, and their latents."""
    config, pictures = tiny_config(tmp_path), random_pictures()
    tokenizer = build_tokenizer(words_of(pictures.prompts), config.text.length)
    torch.manual_seed(0)
    unet, controlnet = build_denoiser(config.denoiser, config.text.width, 8, SIZE // FACTOR)
    for weight in controlnet.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    modules = {"unet": unet, "controlnet": controlnet, "text_encoder": build_text_encoder(config.text, tokenizer)}
    for module in modules.values():
        module.eval()
    settings = DenoiserConfig.model_validate(config.denoiser.model_dump() | changes)
    data = PictureTokens(
        pictures.images, pictures.conditions, encode(tokenizer, pictures.prompts), encode(tokenizer, [""])[0],
        pictures.answers, KERNEL,
    )  # fmt: skip
    return modules, settings, data, KERNEL.encode(to_signed(pictures.images))


def scheduler_of(steps):
    scheduler = build_scheduler()
    scheduler.set_timesteps(steps)
    return scheduler


def noise_of(count, size=2):
    return torch.randn(count, size, 8, SIZE // FACTOR, SIZE // FACTOR, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("steps", [2, 4, 8])
def test_first_and_own_second_step_are_the_scheduler_s(tmp_path, monkeypatch, steps):
    modules, _, data, latents = parts(tmp_path)
    condition, words = to_condition(data.conditions[:2]), data.tokens[:2]
    noise, scheduler = noise_of(2), scheduler_of(steps)
    monkeypatch.setattr("diffusers.schedulers.scheduling_lcm.randn_tensor", lambda *_, **__: noise[1])
    seen, predicted, expected = [], [], noise[0]
    with torch.no_grad():
        for time in scheduler.timesteps[:2]:
            seen.append(expected)
            velocity = predict(modules, expected, time.repeat(2), words, condition)
            alpha = scheduler.alphas_cumprod[time]
            predicted.append(alpha.sqrt() * expected - (1 - alpha).sqrt() * velocity)
            expected = scheduler.step(velocity, time, expected).prev_sample
        scheduler = scheduler_of(steps)
        for place in range(2):
            draws = Draws(torch.tensor([place, place]), torch.tensor([place > 0] * 2), noise)
            look = look_at(modules, latents[:2], condition, words, draws, scheduler)
            # LCM's boundary condition makes its prediction differ from ours by a millionth of the noisy latents.
            torch.testing.assert_close(look.noisy, seen[place], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(look.clean, predicted[place], atol=1e-4, rtol=1e-4)


def test_from_true_latents_the_loss_is_that_of_the_velocity(tmp_path, monkeypatch):
    """v = sqrt(alpha) noise - sqrt(1 - alpha) latents (Salimans and Ho 2022), its error weighted on body and head."""
    monkeypatch.setattr(nano_denoiser, "mirrored", lambda images, maps: (images, maps))
    modules, settings, data, latents = parts(
        tmp_path, first_share=1e-6, own_share=0.0, crop=SIZE, person_weight=2.0, head_weight=3.0
    )
    size, scheduler = settings.loop.batch_size, build_scheduler()
    found = denoiser_loss(data, scheduler, settings, SEED, torch.float32)
    draws = draw(settings, (size, *latents.shape[1:]), len(scheduler.timesteps), SEED, 0)
    assert len(set(draws.place.tolist())) > 1 and draws.place.min() > 0 and not draws.own.any()
    rows, times, noise = batch_at(SEED, STAGE, 0, size, 12), scheduler.timesteps[draws.place], draws.noise[1]
    alpha, condition = scheduler.alphas_cumprod[times][:, None, None, None], to_condition(data.conditions[rows])
    noisy, expected = (
        alpha.sqrt() * first + sign * (1 - alpha).sqrt() * second
        for sign, first, second in ((1, latents[rows], noise), (-1, noise, latents[rows]))
    )
    with torch.no_grad():
        error = (predict(modules, noisy, times, data.tokens[rows], condition) - expected).square()
        loss = found(0, slice(0, size), modules)
    torch.testing.assert_close(loss, (error * error_weight(condition, 2.0, 3.0, FACTOR)).mean(), atol=1e-5, rtol=1e-4)


def test_from_pure_noise_nothing_is_seen_of_the_true_latents(tmp_path):
    modules, _, data, latents = parts(tmp_path)
    condition, words, draws = to_condition(data.conditions[:2]), data.tokens[:2], Draws(torch.zeros(2, dtype=torch.long), torch.zeros(2, dtype=torch.bool), noise_of(2))  # fmt: skip
    looks = [look_at(modules, clean, condition, words, draws, scheduler_of(4)) for clean in (latents[:2], latents[2:4])]  # fmt: skip
    assert torch.equal(looks[0].clean, looks[1].clean) and torch.equal(looks[0].noisy, draws.noise[0])


def test_own_predictions_are_seen_as_they_are_and_get_no_gradient(tmp_path):
    modules, _, data, latents = parts(tmp_path)
    condition, words, noise, scheduler = (
        to_condition(data.conditions[:2]),
        data.tokens[:2],
        noise_of(2),
        scheduler_of(4),
    )
    draws = Draws(torch.tensor([3, 3]), torch.tensor([False, True]), noise)
    look = look_at(modules, latents[:2], condition, words, draws, scheduler)
    first = Draws(torch.zeros(2, dtype=torch.long), torch.zeros(2, dtype=torch.bool), noise)
    own = look_at(modules, latents[:2], condition, words, first, scheduler).clean
    alpha = scheduler.alphas_cumprod[scheduler.timesteps[3]]
    below = (look.noisy - (1 - alpha).sqrt() * noise[1]) / alpha.sqrt()
    assert not look.noisy.requires_grad and look.clean.requires_grad
    assert look.own.flatten().tolist() == [False, True]
    for picture, base in enumerate((latents, own)):
        torch.testing.assert_close(below[picture], base[picture].detach(), atol=1e-4, rtol=1e-4)


def test_each_step_is_trained_as_often_as_its_share_says(tmp_path):
    _, settings, *_ = parts(tmp_path, first_share=0.4, own_share=0.5)
    draws = draw(settings, (20000, 1, 1, 1), 4, SEED, 0)
    shares = np.bincount(draws.place.numpy(), minlength=4) / 20000
    np.testing.assert_allclose(shares, [0.4, 0.2, 0.2, 0.2], atol=0.015)
    assert not draws.own[draws.place == 0].any()
    assert draws.own[draws.place > 0].float().mean().item() == pytest.approx(0.5, abs=0.02)


def test_every_number_of_steps_is_drawn_at_times_that_are_trained():
    scheduler = build_scheduler()
    set_all_times(scheduler)
    trained = set(scheduler.timesteps.tolist())
    for steps in range(1, 17):
        times = scheduler_of(steps).timesteps.tolist()
        assert times[0] == scheduler.timesteps[0] == 999 and set(times) <= trained


def test_squares_are_cut_out_of_pictures_and_maps_alike(tmp_path):
    data = parts(tmp_path)[2]
    rows, crops, device = np.array([3, 7]), Crops(np.array([5, 0]), np.array([0, 9]), 16), torch.device("cpu")
    clean, condition, words = data.batch(rows, crops, np.array([False, True]), device)
    first, second = data.images[3, 5:21, 0:16], data.images[7, 0:16, 9:25][:, ::-1]
    expected = data.kernel.encode(to_signed(np.stack([first, second])))
    torch.testing.assert_close(clean, expected)
    assert torch.equal(condition[0], to_condition(data.conditions[3:4, 5:21, 0:16])[0])
    turned = to_condition(data.conditions[7:8, 0:16, 9:25])[0].flip(2)
    assert torch.equal(condition[1, 1:], turned[1:])
    assert torch.equal(words, data.tokens[[3, 7]])


def test_what_own_predictions_show_away_from_the_body_costs_nothing():
    clean, weight = torch.zeros(2, 8, 6, 6), torch.ones(2, 1, 6, 6)
    near = torch.zeros(2, 1, 6, 6, dtype=torch.bool)
    near[:, :, 2:4, 2:4] = True
    own = torch.tensor([True, False])[:, None, None, None]
    looks = [Look(clean, found, torch.full((2, 1, 1, 1), 0.5), own) for found in (~near * clean.new_ones(8, 1, 1), near * clean.new_ones(8, 1, 1))]  # fmt: skip
    away, on = (look_error(look, clean, weight, near).tolist() for look in looks)
    # Velocities err by the latents' error over the loudness: 4 times its square. Of 36 cells 4 are near the body.
    assert away == pytest.approx([0.0, 4 * 32 / 36])
    assert on == pytest.approx([4 * 4 / 36] * 2)


def test_near_the_body_are_its_cells_and_their_neighbours():
    condition = torch.zeros(1, 3, 32, 32)
    condition[0, 2, 9, 21] = 0.01
    expected = np.zeros((8, 8), dtype=bool)
    expected[1:4, 4:7] = True
    assert np.array_equal(near_body(condition, FACTOR)[0, 0].numpy(), expected)


def test_the_last_steps_see_whole_pictures(tmp_path, monkeypatch):
    modules, settings, data, _ = parts(tmp_path, whole_steps=1)
    sides, draw_crops = [], nano_denoiser.draw_crops
    monkeypatch.setattr(nano_denoiser, "draw_crops", lambda *given: sides.append(given[2]) or draw_crops(*given))
    loss_at = denoiser_loss(data, build_scheduler(), settings, SEED, torch.float32)
    with torch.no_grad():
        for step in (0, settings.loop.steps - 2, settings.loop.steps - 1):
            loss_at(step, slice(0, 2), modules)
    assert sides == [16, 16, SIZE]


def test_shares_of_squares_are_of_one_batch(tmp_path):
    settings = tiny_config(tmp_path).denoiser.model_dump() | {"head_share": 0.6, "body_share": 0.5}
    with pytest.raises(ValueError, match=r"head_share \(0.6\) and body_share \(0.5\) must not exceed 1 together"):
        DenoiserConfig.model_validate(settings)


def test_validation_does_not_depend_on_the_run_s_seed_and_knows_better_nets(tmp_path):
    modules, settings, data, _ = parts(tmp_path)
    found = [validation_loss(modules, data, build_scheduler(), settings, torch.float32) for _ in range(2)]
    assert found[0] == found[1]
    optimizer = torch.optim.Adam(modules["unet"].parameters(), lr=3e-3)
    loss_at = denoiser_loss(data, build_scheduler(), settings, SEED, torch.float32)
    for step in range(20):
        optimizer.zero_grad()
        loss_at(step, slice(0, 4), modules).backward()
        optimizer.step()
    better = validation_loss(modules, data, build_scheduler(), settings, torch.float32)
    assert better < 0.98 * found[0]


def test_left_out_prompts_are_empty_ones_and_without_any_nothing_changes(tmp_path):
    """All left out: the loss of empty prompts. None, or half: between, and what is left out depends on the step alone."""
    losses = {}
    for share in (0.0, 0.5, 1.0):
        modules, settings, data, _ = parts(tmp_path, silent_share=share)
        part = slice(0, settings.loop.batch_size)
        with torch.no_grad():
            losses[share] = [float(denoiser_loss(data, build_scheduler(), settings, SEED, torch.float32)(0, part, modules)) for _ in range(2)]  # fmt: skip
    modules, settings, data, _ = parts(tmp_path)
    emptied = data._replace(tokens=data.silence.expand_as(data.tokens).clone())
    with torch.no_grad():
        expected = [float(denoiser_loss(one, build_scheduler(), settings, SEED, torch.float32)(0, part, modules)) for one in (data, emptied)]  # fmt: skip
    assert [losses[0.0][0], losses[1.0][0]] == expected and expected[0] != expected[1]
    assert losses[0.5][0] == losses[0.5][1] and losses[0.5][0] not in expected
    begin, *end = data.silence.tolist()
    assert set(end) == {begin + 1}


def test_guidance_moves_the_inside_always_and_the_scene_in_the_first_step(tmp_path):
    """A body of 24 x 24 pixels on cells of 4: its outer cells, and those round them, stay with the true picture."""
    _, settings, _, _ = parts(tmp_path, guided_inside=1.5, guided_outside=3.0)
    condition = torch.zeros(2, 3, 48, 48)
    condition[:, 2, 12:36, 12:36] = 0.5
    share = guided_share(condition, FACTOR, torch.tensor([True, False]), settings)[:, 0]
    inside, near = torch.zeros(12, 12, dtype=torch.bool), torch.zeros(12, 12, dtype=torch.bool)
    inside[4:8, 4:8] = True
    near[2:10, 2:10] = True
    assert (share[:, inside] == 0.5).all() and (share[:, near & ~inside] == 0.0).all()
    assert (share[0, ~near] == 2.0).all() and (share[1, ~near] == 0.0).all()


def test_who_predicts_what_guidance_draws_makes_no_error(tmp_path, monkeypatch):
    """True latents are what the teacher expects; the pupil predicts the teacher's velocity, moved by guidance where it counts."""
    modules, settings, data, latents = parts(tmp_path, guided_inside=1.5, guided_outside=3.0)
    teacher, scheduler, size = Teacher(modules, data.silence), build_scheduler(), 4
    set_all_times(scheduler)
    condition, words = to_condition(data.conditions[:size]), data.tokens[:size]
    places = torch.tensor([0, 0, 10, 30])
    draws = Draws(places, torch.zeros(size, dtype=torch.bool), noise_of(2, size))
    told, plain = torch.randn(2, *latents[:size].shape, generator=torch.Generator().manual_seed(7))
    share = guided_share(condition, FACTOR, places == 0, settings)
    assert share.unique().numel() > 1

    def stub(given, noisy, times, said, maps):
        if given is not teacher.modules:
            return told + share * (told - plain)
        return plain if torch.equal(said, data.silence.expand_as(said)) else told

    # From pure noise the true latents are not seen; from later steps what is seen depends on them, so solve for them.
    alphas = scheduler.alphas_cumprod[scheduler.timesteps[places]][:, None, None, None]
    signal, loudness = alphas.sqrt(), (1 - alphas).sqrt()
    clean = torch.where(
        places[:, None, None, None] == 0,
        signal * draws.noise[0] - loudness * told,
        (signal * draws.noise[1] - told) / loudness,
    )
    monkeypatch.setattr(nano_denoiser, "predict", stub)
    found = [
        picture_errors(modules, (clean, condition, words), draws, scheduler, settings, FACTOR, torch.float32, one)[1]
        for one in (teacher, None)
    ]
    torch.testing.assert_close(found[0], torch.zeros(size), atol=1e-6, rtol=0)
    assert (found[1] > 1e-3).all()


def test_guided_targets_need_a_start(tmp_path):
    config = tiny_config(tmp_path).model_dump()
    config["denoiser"]["guided_inside"] = 1.5
    with pytest.raises(ValueError, match="need `start`"):
        TrainNanoConfig.model_validate(config)


def test_the_critic_adds_its_two_losses_for_later_steps_only(tmp_path):
    modules, settings, data, _ = parts(tmp_path, critic_weight=0.5, first_share=0.1)
    modules["critic"] = LatentCritic(8, 16)
    part = slice(0, settings.loop.batch_size)
    plain, judged = (
        denoiser_loss(data, build_scheduler(), one, SEED, torch.float32)
        for one in (settings.model_copy(update={"critic_weight": 0.0}), settings)
    )
    with torch.no_grad():
        assert float(judged(0, part, modules)) > float(plain(0, part, modules))
    first = settings.model_copy(update={"first_share": 1.0})
    with torch.no_grad():
        alone, bare = (
            denoiser_loss(data, build_scheduler(), one, SEED, torch.float32)(0, part, modules)
            for one in (first, first.model_copy(update={"critic_weight": 0.0}))
        )
    assert float(alone) == float(bare)
    judged(0, part, modules).backward()
    assert all(weight.grad is not None for weight in modules["critic"].parameters())
    assert modules["unet"].conv_in.weight.grad is not None


def with_reader(tmp_path, **changes):
    """The first step's loss without a reader and with one, modules, reader and settings."""
    modules, settings, data, _ = parts(tmp_path, reader_weight=0.5, whole_steps=4, **changes)
    torch.manual_seed(1)
    reader = LatentReader(8).eval().requires_grad_(False)
    size, scheduler = settings.loop.batch_size, build_scheduler()
    plain, asked = (
        denoiser_loss(data, scheduler, settings, SEED, torch.float32, reader=asked)(0, slice(0, size), modules)
        for asked in (None, reader)
    )
    return plain, asked, modules, reader, settings


def test_the_reader_asks_for_the_prompt_of_what_is_predicted(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        nano_denoiser, "unsaid", lambda told, answers: seen.append((told, answers)) or unsaid(told, answers)
    )
    plain, asked, modules, reader, settings = with_reader(tmp_path)
    (told, answers), rows = seen[0], batch_at(SEED, STAGE, 0, settings.loop.batch_size, 12)
    assert torch.equal(answers, random_pictures().answers[torch.from_numpy(rows)])
    torch.testing.assert_close(asked - plain, 0.5 * unsaid(told, answers).mean())
    (asked - plain).backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in modules["unet"].parameters())
    assert all(weight.grad is None for weight in reader.parameters())


def test_a_picture_without_its_prompt_is_asked_nothing(tmp_path):
    plain, asked, *_ = with_reader(tmp_path, silent_share=1.0)
    assert torch.equal(plain, asked)


def test_a_square_is_asked_nothing(tmp_path):
    plain, asked, *_ = with_reader(tmp_path, loop={"steps": 9, "batch_size": 4})
    assert torch.equal(plain, asked)
