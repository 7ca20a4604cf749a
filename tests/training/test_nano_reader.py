"""Laws of the reader of latents: closed forms of what is unsaid, a planted attribute is learnt, a run asks a reader it has trained."""

import math

import numpy as np
import pytest
import torch
from tiny_nano import random_pictures, tiny_config

from posedreamer import torchvision_shim

torchvision_shim.install()
from posedreamer.rendering.attributes import VALUES  # noqa: E402
from posedreamer.training.loop import batch_at  # noqa: E402
from posedreamer.training.loop_config import LoopConfig  # noqa: E402
from posedreamer.training.nano_config import TrainNanoConfig  # noqa: E402
from posedreamer.training.nano_reader import STAGE, LatentReader, reader_loss, unsaid  # noqa: E402
from posedreamer.training.nano_run import train_autoencoder, train_denoiser, train_reader  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
COUNTS = [len(values) for values in VALUES.values()]


def test_knowing_nothing_costs_the_logarithm_of_the_choices_and_certainty_nothing():
    answers = torch.tensor([[0] * len(COUNTS), [count - 1 for count in COUNTS]])
    nothing = [torch.zeros(2, count) for count in COUNTS]
    expected = sum(math.log(count) for count in COUNTS) / len(COUNTS)
    torch.testing.assert_close(unsaid(nothing, answers), torch.full((2,), expected))
    sure = [100.0 * torch.nn.functional.one_hot(answers[:, k], count) for k, count in enumerate(COUNTS)]
    assert unsaid(sure, answers).max() < 1e-6


def test_what_latents_show_is_learnt():
    """The value of each attribute is the height of a channel of its own."""
    torch.manual_seed(0)
    answers = torch.stack([torch.randint(count, (64,)) for count in COUNTS], dim=1)
    heights = answers / torch.tensor(COUNTS) - 0.5
    latents = 2.0 * heights[:, :, None, None].expand(-1, -1, 8, 8)
    net, loop = LatentReader(len(COUNTS)), LoopConfig(steps=60, batch_size=32)
    loss_at = reader_loss(lambda rows, turned: latents[torch.from_numpy(rows)], answers, loop, 0, torch.float32)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    losses = []
    for step in range(loop.steps):
        optimizer.zero_grad()
        losses.append(loss_at(step, slice(0, 32), {STAGE: net}))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.6 * losses[0]


def test_a_mirrored_picture_is_read_of_its_own_row():
    rows_seen = []

    def latents_at(rows, turned):
        rows_seen.append((rows, turned))
        return torch.zeros(len(rows), 4, 8, 8)

    answers = random_pictures().answers
    loop = LoopConfig(steps=1, batch_size=8)
    loss_at = reader_loss(latents_at, answers, loop, 0, torch.float32)
    net = LatentReader(4)
    whole = loss_at(0, slice(0, 8), {STAGE: net})
    halves = [loss_at(0, slice(first, first + 4), {STAGE: net}) for first in (0, 4)]
    assert np.array_equal(rows_seen[0][0], batch_at(0, STAGE, 0, 8, 12))
    assert [np.concatenate(half) for half in zip(*rows_seen[1:], strict=True)][1].tolist() == rows_seen[0][1].tolist()
    assert torch.isfinite(torch.stack([whole, *halves])).all()


def asking(tmp_path, **changes):
    config = tiny_config(tmp_path).model_dump()
    config["denoiser"] |= {"reader_weight": 0.1, "whole_steps": 4}
    config["reader"] = {"steps": 2, "batch_size": 4, "checkpoint_every": 2, "preview_every": 1}
    return TrainNanoConfig.model_validate(config | changes)


def test_a_run_asks_the_reader_that_it_has_trained(tmp_path):
    config = asking(tmp_path)
    train_autoencoder(config, random_pictures(), tmp_path, resume=False)
    with pytest.raises(ValueError, match=r"reader.safetensors is missing; train the stage `reader` first"):
        train_denoiser(config, random_pictures(), tmp_path, resume=False)
    assert train_reader(config, random_pictures(), tmp_path, resume=False).is_file()
    assert (train_denoiser(config, random_pictures(), tmp_path, resume=False) / "unet").is_dir()


def test_a_reader_is_asked_only_where_one_is_trained(tmp_path):
    with pytest.raises(ValueError, match=r"denoiser.reader_weight needs `reader`"):
        asking(tmp_path, reader=None)
