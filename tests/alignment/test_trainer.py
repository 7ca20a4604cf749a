"""The trainer: its loss recomputed apart, a planted preference learnt, resumed runs, and a step of every family."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from families import DRAWING, FAMILIES, MAPS, opened
from test_adapters import FACTS, disturb, drawn, made
from tiny_models import PROMPTS
from torch.utils.data import Dataset

from posedreamer.alignment.adapters import add_adapter
from posedreamer.alignment.arguments import AlignmentArguments
from posedreamer.alignment.denoisers import Denoiser, open_denoiser
from posedreamer.alignment.pair_data import collate_pairs
from posedreamer.alignment.trainer import DiffusionDPOTrainer
from posedreamer.stages.generation.diffusers_backend import draw

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*pin_memory.*:UserWarning"
)  # of the data loader, without an accelerator


def latents(level: float, count: int, seed: int) -> torch.Tensor:
    """Latents of one brightness."""
    return level + 0.3 * torch.randn(count, 4, 4, 4, generator=torch.Generator().manual_seed(seed))


class Pairs(Dataset[dict[str, Any]]):
    """Latents of one brightness are preferred to those of another, whatever the map and the prompt."""

    def __init__(self, count: int, seed: int = 0, chosen: float = 0.8, rejected: float = -0.8) -> None:
        self.chosen, self.rejected = latents(chosen, count, 2 * seed), latents(rejected, count, 2 * seed + 1)
        self.control = torch.from_numpy(MAPS[np.arange(count) % 4])
        self.prompts = [PROMPTS[place % 4] for place in range(count)]

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        parts = {name: getattr(self, name)[index] for name in ("chosen", "rejected", "control")}
        return {**parts, "prompt": self.prompts[index]}


@pytest.fixture(scope="module")
def two_modes(folders: dict[str, str]) -> dict[str, torch.Tensor]:
    """Weights of a tiny UNet that draws bright and dark latents, each about half of the time."""
    denoiser = open_two_modes(folders, None)
    words, control = denoiser.words(PROMPTS * 8), denoiser.control(np.concatenate([MAPS] * 8))
    optimizer = torch.optim.Adam(denoiser.nets["unet"].parameters(), 5e-3)
    for step in range(80):
        clean = torch.cat([latents(level, 16, 2 * step + side) for side, level in enumerate((0.8, -0.8))])
        rng = torch.Generator().manual_seed(step)
        noise, times = torch.randn(clean.shape, generator=rng), denoiser.draw_times(32, rng)
        predicted = denoiser(denoiser.noised(clean, noise, times), times, words, control)
        optimizer.zero_grad()
        (predicted - denoiser.target(clean, noise, times)).square().mean().backward()
        optimizer.step()
    return denoiser.nets["unet"].state_dict()


def open_two_modes(folders: dict[str, str], weights: dict[str, torch.Tensor] | None) -> Denoiser:
    """The tiny pipeline with those weights and an adapter; without them, and without an adapter, as it is."""
    pipeline = opened(folders["sd"]).pipeline
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config, prediction_type="v_prediction")
    denoiser = open_denoiser(pipeline, DRAWING)
    if weights is not None:
        denoiser.nets["unet"].load_state_dict(weights)
        add_adapter(denoiser, 4, 4, {"unet": ["conv1", "conv2", "conv_in", "conv_out"]}, None, 0)
    return denoiser


def trainer(
    denoiser: Denoiser, out: Path, pairs: Dataset[dict[str, Any]] | None = None, **changes: Any
) -> DiffusionDPOTrainer:
    settings = {
        "max_steps": 4, "per_device_train_batch_size": 8, "beta": 50.0, "learning_rate": 1e-3, "bf16": False, "use_cpu": True,
        "logging_steps": 1, "save_strategy": "no", "disable_tqdm": True, "lr_scheduler_type": "constant", "seed": 3,
    }  # fmt: skip
    arguments = AlignmentArguments(output_dir=str(out), **(settings | changes))
    return DiffusionDPOTrainer(denoiser, arguments, pairs or Pairs(16), FACTS)


def logged(history: Sequence[dict[str, float]], name: str) -> list[float]:
    return [entry[name] for entry in history if name in entry]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_a_step_is_saved_and_draws(family: str, folders: dict[str, str], tmp_path: Path) -> None:
    denoiser = made(folders[family])
    before = drawn(denoiser)
    training = trainer(denoiser, tmp_path, max_steps=2, learning_rate=0.1)
    training.train()
    training.save_model(str(tmp_path / "adapter"))
    assert logged(training.state.log_history, "loss")[0] == pytest.approx(math.log(2.0), abs=1e-5)
    model = opened(folders[family], adapters=[str(tmp_path / "adapter")])
    after = draw(model, PROMPTS[:2], MAPS[:2], [1, 2], DRAWING)
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_allclose(after, drawn(denoiser), atol=1e-5)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("weight", ["constant", "one_minus_t2"])
def test_the_loss_is_that_of_its_definition(
    prediction: str, weight: str, folders: dict[str, str], tmp_path: Path
) -> None:
    """All in float64, by the pipeline's own parts; Wallace et al. 2024, eq. 14, with the same noise and time in four passes."""
    denoiser = made(folders["sd"])
    denoiser.scheduler.register_to_config(prediction_type=prediction)
    disturb(denoiser, 1)
    denoiser.double()
    pipeline = denoiser.pipeline
    pipeline.text_encoder.double()
    training = trainer(denoiser, tmp_path, beta=7.0, time_weight=weight, winner_guard=False)
    batch = collate_pairs([Pairs(3)[index] for index in range(3)])
    batch = {name: part.double() if name in ("chosen", "rejected") else part for name, part in batch.items()}
    with torch.no_grad():
        found = training.compute_loss(denoiser, batch)
        training._place = (-1, 0)  # the same draws again
        noise, times = training._draw(batch["chosen"])
        alphas = torch.linspace(0.0001**0.5, 0.02**0.5, 1000, dtype=torch.float64).square()
        if pipeline.scheduler.config.beta_schedule == "linear":
            alphas = torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64)
        kept = torch.cumprod(1.0 - alphas, dim=0)[times].reshape(-1, 1, 1, 1)
        tokens = pipeline.tokenizer(batch["prompts"], padding="max_length", max_length=24, return_tensors="pt")
        hidden = pipeline.text_encoder(tokens.input_ids).last_hidden_state
        control = batch["control"].permute(0, 3, 1, 2).double() / 255.0

        def error(latents: torch.Tensor) -> torch.Tensor:
            noisy = kept.sqrt() * latents + (1.0 - kept).sqrt() * noise
            down, middle = pipeline.controlnet(noisy, times, hidden, control, conditioning_scale=0.7, return_dict=False)
            told = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
            predicted = pipeline.unet(noisy, times, hidden, **told).sample
            wished = noise if prediction == "epsilon" else kept.sqrt() * noise - (1.0 - kept).sqrt() * latents
            return ((predicted - wished) ** 2).mean(dim=(1, 2, 3))

        won, lost = error(batch["chosen"]), error(batch["rejected"])
        for net in denoiser.nets.values():
            net.disable_adapters()
        won_before, lost_before = error(batch["chosen"]), error(batch["rejected"])
        beta = 7.0 * (kept.flatten() if weight == "one_minus_t2" else torch.ones(3))  # 1 - t^2 is the signal's share
        inside = -0.5 * beta * ((won - won_before) - (lost - lost_before))
        expected = torch.log1p(torch.exp(-inside)).mean()
    assert abs(float(expected) - math.log(2.0)) > 1e-4
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_a_planted_preference_is_learnt(
    two_modes: dict[str, torch.Tensor], folders: dict[str, str], tmp_path: Path
) -> None:
    """Bright over dark: pairs are told apart, those not trained on too, and the pipeline draws bright ones only."""
    denoiser = open_two_modes(folders, two_modes)

    def share_of_bright() -> float:
        maps = torch.from_numpy(MAPS).permute(0, 3, 1, 2) / 255.0
        drawing: dict[str, Any] = {"num_inference_steps": 8, "guidance_scale": 1.0, "output_type": "latent"}
        drawn = []
        for first in range(0, 16, 4):
            seeds = [torch.Generator().manual_seed(first + place) for place in range(4)]
            drawn.append(denoiser.pipeline(list(PROMPTS), maps, generator=seeds, **drawing).images)
        return float((torch.cat(drawn).mean(dim=(1, 2, 3)) > 0).float().mean())

    before = share_of_bright()
    training = trainer(denoiser, tmp_path, Pairs(64), max_steps=40, learning_rate=5e-3, beta=20.0)
    training.train()
    history = training.state.log_history
    assert logged(history, "loss")[0] == pytest.approx(math.log(2.0), abs=1e-5)
    assert np.mean(logged(history, "accuracy")[-10:]) > 0.9
    assert np.mean(logged(history, "chosen_error_change")[-10:]) < 0.0
    with torch.no_grad():
        others = collate_pairs([Pairs(8, seed=1)[index] for index in range(8)])
        assert float(training.compute_loss(denoiser, others)) < 0.3
    assert 0.2 < before < 0.8
    assert share_of_bright() > 0.9


def test_the_guard_keeps_the_chosen_error_down(
    two_modes: dict[str, torch.Tensor], folders: dict[str, str], tmp_path: Path
) -> None:
    """Two pictures much alike: to push one away pushes the other along."""
    change = {}
    for guard in (False, True):
        settings: dict[str, Any] = {"max_steps": 30, "learning_rate": 5e-3, "beta": 200.0, "winner_guard": guard}
        training = trainer(open_two_modes(folders, two_modes), tmp_path, Pairs(64, 0, 0.8, 0.5), **settings)
        training.train()
        change[guard] = np.mean(logged(training.state.log_history, "chosen_error_change")[-10:])
    assert change[True] < change[False]


def test_checkpointing_changes_memory_alone(folders: dict[str, str], tmp_path: Path) -> None:
    ends = []
    for checkpointing in (False, True):
        denoiser = made(folders["sd"])
        trainer(denoiser, tmp_path, max_steps=2, activation_checkpointing=checkpointing, learning_rate=0.01).train()
        ends.append(torch.cat([part.flatten() for part in denoiser.parameters() if part.requires_grad]))
    torch.testing.assert_close(ends[0], ends[1], atol=1e-6, rtol=1e-4)


def test_a_loss_that_is_no_number_stops_the_training(folders: dict[str, str], tmp_path: Path) -> None:
    pairs = Pairs(8)
    pairs.chosen[3] = float("nan")
    with pytest.raises(ValueError, match="step 0: the loss is nan"):
        trainer(made(folders["sd"]), tmp_path, pairs, max_steps=2).train()


def test_a_resumed_run_ends_as_an_undisturbed_one(folders: dict[str, str], tmp_path: Path) -> None:
    def run(out: Path, resume: bool, steps: int) -> Denoiser:
        denoiser = made(folders["sd"])
        settings: dict[str, Any] = {
            "max_steps": steps,
            "save_strategy": "steps",
            "save_steps": 2,
            "learning_rate": 1e-2,
        }
        training = trainer(denoiser, out, Pairs(24), **settings)  # an epoch is three steps
        training.train(resume_from_checkpoint=resume)
        return denoiser

    whole = run(tmp_path / "whole", False, 4)
    run(tmp_path / "cut", False, 2)
    resumed = run(tmp_path / "cut", True, 4)
    weights = {name: part for name, part in whole.named_parameters() if part.requires_grad}
    assert weights
    for name, part in resumed.named_parameters():
        if part.requires_grad:
            torch.testing.assert_close(part, weights[name], atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_length": 77}, "`max_length` is for language models"),
        ({"sync_ref_model": True}, "`sync_ref_model` is for language models"),
        ({"loss_type": "apo_zero"}, r"got loss_type \['apo_zero'\], expected one of sigmoid, hinge, ipo, robust"),
        ({"loss_type": ["sigmoid", "ipo"]}, r"got loss_type \['sigmoid', 'ipo'\]"),
        ({"label_smoothing": 0.1}, "label_smoothing belongs to the loss `robust`"),
        ({"label_smoothing": 0.5, "loss_type": "robust"}, r"expected \[0, 0.5\)"),
        ({"time_weight": "quadratic"}, "got time_weight 'quadratic'"),
        ({"beta": 0.0}, "and more than 0"),
        ({"loss_type": "ipo"}, "which neither winner_guard nor time_weight knows of"),
        ({"loss_type": "ipo", "winner_guard": False, "time_weight": "one_minus_t2"}, "a margin of its own"),
        ({"steps": 0}, "got steps 0"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(given: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        AlignmentArguments(output_dir=str(tmp_path), use_cpu=True, bf16=False, **given)
