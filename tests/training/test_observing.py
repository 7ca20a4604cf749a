"""How the observer is trained: what its pictures are changed by, and that it learns at all."""

import numpy as np
import pytest
import torch

from posedreamer.estimators.observer import ObserverNet
from posedreamer.rendering.attributes import VALUES, draw_attributes
from posedreamer.training.loop import train
from posedreamer.training.loop_config import LoopConfig
from posedreamer.training.observing import (
    MARGIN,
    ObserverConfig,
    Renders,
    before_another,
    number_attributes,
    observer_loss,
    photographed_worse,
    silhouette_loss,
)

SIZE = 128


def discs(count, seed=0):
    """Pictures of red discs before noise, with maps that show them."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    centres, radii = rng.uniform(40, SIZE - 40, (count, 2)), rng.uniform(15, 30, count)
    body = np.stack([np.hypot(rows - y, columns - x) < r for (y, x), r in zip(centres, radii, strict=True)])
    images = rng.integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.uint8)
    images[body] = (220, 30, 30)
    return images, (body[..., None] * np.uint8(200)).repeat(3, axis=3)


def test_numbers_of_attributes_name_their_values():
    said = [draw_attributes(np.random.default_rng(seed)) for seed in range(5)]
    for row, numbers in zip(said, number_attributes(said).tolist(), strict=True):
        assert {name: values[k] for (name, values), k in zip(VALUES.items(), numbers, strict=True)} == row


def test_a_person_before_another_background_stays_and_the_place_changes():
    pictures, body = torch.rand(3, 3, 64, 64), torch.zeros(3, 1, 64, 64)
    body[:, :, 20:30, 25:31] = 1
    moved = before_another(pictures, body, torch.tensor([True, False, True]))
    here = slice(20 - MARGIN, 30 + MARGIN), slice(25 - MARGIN, 31 + MARGIN)
    assert torch.equal(moved[0][:, *here], pictures[0][:, *here]) and torch.equal(moved[1], pictures[1])
    assert torch.equal(moved[0][:, :, 60:], pictures[2][:, :, 60:])  # far from everybody: the neighbour's own place


def test_some_pictures_are_left_as_they_are():
    pictures = torch.rand(4, 3, 16, 16)
    draws = torch.tensor([[0.5] * 4 + [changed] for changed in (0.1, 0.9, 0.59, 0.61)])
    worse = photographed_worse(pictures, draws, torch.Generator().manual_seed(0))
    assert [torch.equal(a, b) for a, b in zip(worse, pictures, strict=True)] == [False, True, False, True]


def test_the_silhouettes_loss_in_closed_form():
    body = torch.zeros(1, 1, 10, 10)
    body[..., :5] = 1
    sure = 40.0 * (2 * body - 1)
    assert silhouette_loss(sure, body).item() == pytest.approx(0.0, abs=1e-6)
    # Even odds everywhere: log 2, and Dice (2 * 25 + 1) / (50 + 50 + 1).
    assert silhouette_loss(torch.zeros_like(body), body).item() == pytest.approx(np.log(2) + 1 - 51 / 101, rel=1e-5)


def test_it_learns_where_a_disc_is(tmp_path):
    images, maps = discs(32)
    loop = LoopConfig(steps=40, batch_size=4, learning_rate=3e-3, warmup_steps=5, decay_steps=10, ema=0.9)
    config = ObserverConfig(moved=0.0, threads=1, precision="float32", loop=loop)
    attributes = [draw_attributes(np.random.default_rng(seed)) for seed in range(32)]
    torch.manual_seed(0)
    loss_at = observer_loss(Renders(images, maps, number_attributes(attributes)), config, torch.float32)
    averages, losses = train(
        "observer", {"net": ObserverNet()}, loss_at, loop, tmp_path, lambda *_: None, resume=False, threads=1
    )
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])
    fresh, body = discs(8, seed=1)
    with torch.no_grad():
        logits, _ = averages["net"](torch.from_numpy(fresh).permute(0, 3, 1, 2).float() / 127.5 - 1)
    found, expected = (logits[:, 0] > 0).numpy(), body[..., 0] > 0
    assert (found & expected).sum() / (found | expected).sum() > 0.8
