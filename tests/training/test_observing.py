"""How the observer is trained: what its pictures are changed by, and that it learns at all."""

import numpy as np
import pytest
import torch

from posedreamer.estimators.observer import ObserverNet, locate
from posedreamer.geometry.skeletons import COCO_KEYPOINTS
from posedreamer.rendering.attributes import VALUES, draw_attributes
from posedreamer.training.loop import train
from posedreamer.training.loop_config import LoopConfig
from posedreamer.training.observing import (
    MARGIN,
    ObserverConfig,
    Renders,
    before_another,
    mirrored_keypoints,
    number_attributes,
    observer_loss,
    photographed_worse,
    points_loss,
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
    keypoints = np.concatenate([centres[:, ::-1], np.full((count, 1), 2.0)], axis=1)
    return (
        images,
        (body[..., None] * np.uint8(200)).repeat(3, axis=3),
        keypoints[:, None].repeat(17, axis=1).astype(np.float32),
    )


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


def test_keypoints_in_a_mirror_change_sides_and_names():
    keypoints = torch.arange(2 * 17 * 3, dtype=torch.float32).view(2, 17, 3)
    turned = mirrored_keypoints(keypoints, torch.tensor([True, False]), 128)
    assert torch.equal(turned[1], keypoints[1])
    left, right = (COCO_KEYPOINTS.index(f"{side}_wrist") for side in ("left", "right"))
    assert turned[0, left].tolist() == [128 - keypoints[0, right, 0], *keypoints[0, right, 1:]]
    assert torch.equal(mirrored_keypoints(turned, torch.tensor([True, False]), 128), keypoints)


def test_the_keypoints_loss_is_least_where_they_are_and_asks_for_none_outside():
    keypoints = torch.tensor([[[30.0, 50.0, 2.0]] * 16 + [[300.0, 50.0, 0.0]]])
    rows, columns = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(32) + 0.5, indexing="ij")
    at = lambda u, v: -((columns - u / 4) ** 2 + (rows - v / 4) ** 2) / 2  # noqa: E731
    right, beside = (at(u, 50.0).expand(1, 17, 32, 32) for u in (30.0, 38.0))
    # Cross-entropy of a Gaussian with itself is its entropy: 1 + log(2 pi) in two dimensions, nats.
    assert points_loss(right, keypoints).item() == pytest.approx(1 + np.log(2 * np.pi), abs=1e-3)
    # Two cells beside it costs half of the squared distance more.
    assert points_loss(beside, keypoints).item() == pytest.approx(1 + np.log(2 * np.pi) + 2, abs=1e-2)
    wrong_outside = right.clone()
    wrong_outside[:, 16] = torch.randn(32, 32)
    assert points_loss(wrong_outside, keypoints) == points_loss(right, keypoints)


def test_located_is_what_was_drawn():
    rows, columns = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(32) + 0.5, indexing="ij")
    centres = torch.rand(1, 17, 2, generator=torch.Generator().manual_seed(0)) * 90 + 20
    u, v = (centres[..., k, None, None] / 4 for k in range(2))
    found, share = locate(-((columns - u) ** 2 + (rows - v) ** 2))
    torch.testing.assert_close(found, centres, atol=0.1, rtol=0)
    assert (share > 0.99).all()
    second = (-((columns - u) ** 2 + (rows - v) ** 2)).exp() + 0.5 * (
        -((columns - 31 + u) ** 2 + (rows - v) ** 2)
    ).exp()
    drawn, share = locate((second + 1e-9).log())
    apart = (31 - 2 * u[..., 0, 0]).abs() > 6
    torch.testing.assert_close(drawn[apart], centres[apart], atol=0.2, rtol=0)
    assert (share[apart] < 0.75).all()


def test_it_learns_where_a_disc_is(tmp_path):
    images, maps, keypoints = discs(32)
    loop = LoopConfig(steps=40, batch_size=4, learning_rate=3e-3, warmup_steps=5, decay_steps=10, ema=0.9)
    config = ObserverConfig(moved=0.0, threads=1, precision="float32", loop=loop)
    attributes = [draw_attributes(np.random.default_rng(seed)) for seed in range(32)]
    torch.manual_seed(0)
    loss_at = observer_loss(Renders(images, maps, number_attributes(attributes), keypoints), config, torch.float32)
    averages, losses = train(
        "observer", {"net": ObserverNet()}, loss_at, loop, tmp_path, lambda *_: None, resume=False, threads=1
    )
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])
    fresh, body, keypoints = discs(8, seed=1)
    with torch.no_grad():
        seen = averages["net"](torch.from_numpy(fresh).permute(0, 3, 1, 2).float() / 127.5 - 1)
    found, expected = (seen.body[:, 0] > 0).numpy(), body[..., 0] > 0
    assert (found & expected).sum() / (found | expected).sum() > 0.8
    centres, _ = locate(seen.points)
    assert np.linalg.norm(centres.numpy() - keypoints[..., :2], axis=2).mean() < 6
