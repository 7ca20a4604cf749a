"""Shapes and splits: truncation, spread, and a held-out region that train never enters."""

import numpy as np
import pytest
import yaml

from posedreamer.stages.sampling.library import load_library
from posedreamer.stages.sampling.shapes import draw_betas, draw_expression
from posedreamer.stages.sampling.splits import SPLITS, load_splits


def test_betas_are_a_truncated_normal() -> None:
    rng = np.random.default_rng(0)
    betas = np.array([draw_betas(rng) for _ in range(1500)])
    assert abs(betas).max() <= 2.5
    np.testing.assert_allclose(betas.mean(0), 0.0, atol=0.1)
    np.testing.assert_allclose(betas.std(0), 0.97, atol=0.06)  # cut at 2.5, a unit normal keeps 0.97
    wide = np.array([draw_betas(rng, sigma=2.0, clip=3.0) for _ in range(500)])
    assert 2.8 < abs(wide).max() <= 3.0
    np.testing.assert_array_equal(draw_betas(rng, sigma=0.0), 0.0)
    for wrong in ({"clip": 3.5}, {"sigma": 4.0}, {"sigma": -1.0}, {"clip": 0.0}):
        with pytest.raises(ValueError, match="expected sigma"):
            draw_betas(rng, **wrong)


def test_expressions_are_mild() -> None:
    rng = np.random.default_rng(0)
    faces = np.array([draw_expression(rng) for _ in range(300)])
    assert abs(faces).max() <= 1.2
    assert 0.4 < faces.std() < 0.5


def test_train_and_held_out_shapes_are_disjoint() -> None:
    splits, rng = load_splits(), np.random.default_rng(1)
    train = [draw_betas(rng, split="train") for _ in range(300)]
    held_out = [draw_betas(rng, split="held_out") for _ in range(300)]
    assert not any(map(splits.is_held_out_shape, train))
    assert all(map(splits.is_held_out_shape, held_out))
    share = np.mean([splits.is_held_out_shape(draw_betas(rng)) for _ in range(3000)])
    assert 0.15 < share < 0.25
    with pytest.raises(ValueError, match="no shape of the split"):
        draw_betas(rng, sigma=0.0, split="held_out")


def test_held_out_poses_are_a_fifth_of_every_kind() -> None:
    splits, poses = load_splits(), load_library().poses
    assert splits.poses <= set(poses)
    assert 0.17 < len(splits.poses) / len(poses) < 0.25
    families = [poses[name].family for name in splits.poses]
    assert set(families) == set(load_library().families())
    assert families.count("yoga") >= 4
    assert families.count("acrobatic") >= 2
    train, held_out = splits.select_poses(poses, "train"), splits.select_poses(poses, "held_out")
    assert not set(train) & set(held_out)
    assert sorted(train + held_out) == splits.select_poses(poses, "all") == sorted(poses)


def test_prompts_are_held_out_by_combination() -> None:
    splits = load_splits()
    line = dict(splits.prompts[0])
    assert splits.is_held_out_prompt({**line, "skin": "dark"})
    first = next(iter(line))
    assert not splits.is_held_out_prompt({**line, first: "another"})
    assert not splits.is_held_out_prompt({})


def test_the_file_lists_nothing_twice() -> None:
    raw = yaml.safe_load(SPLITS.read_text())
    for part in ("poses", "clips"):
        assert len(set(raw[part]["held_out"])) == len(raw[part]["held_out"])
