"""Precision, recall, density and coverage: closed forms, and parity with torch-fidelity."""

import numpy as np
import pytest
import torch

from posedreamer import torchvision_shim
from posedreamer.metrics import manifold
from posedreamer.metrics.manifold import manifolds


def test_a_set_in_itself_is_whole_and_two_far_ones_share_nothing():
    rows = np.random.default_rng(0).normal(size=(50, 4))
    found = manifolds(rows, rows)
    assert (found.precision, found.recall, found.coverage) == (1.0, 1.0, 1.0)
    # Every row lies in the balls of those of whose k nearest it is one, and in its own: k + 1 on average.
    assert found.density == pytest.approx((manifold.NEIGHBOURS + 1) / manifold.NEIGHBOURS)
    assert set(manifolds(rows, rows + 100.0)) == {0.0}


def test_one_crowded_place_is_precise_but_covers_little():
    rng = np.random.default_rng(1)
    reference = rng.normal(size=(400, 2))
    found = manifolds(0.05 * rng.normal(size=(400, 2)), reference)
    assert found.precision == 1.0 and found.recall < 0.05 and found.coverage < 0.2 and found.density > 1.0


def test_an_outlier_of_the_reference_fools_precision_more_than_density():
    rng = np.random.default_rng(2)
    reference = np.concatenate([rng.normal(size=(200, 2)), [[30.0, 0.0]]])
    far = rng.normal(size=(200, 2)) * 0.5 + [15.0, 0.0]
    found = manifolds(far, reference)
    assert found.precision > 0.9 and found.density < 0.25


def test_precision_and_recall_are_torch_fidelity_s(monkeypatch):
    torchvision_shim.install()
    from torch_fidelity.metric_prc import prc_features_to_metric

    rng = np.random.default_rng(3)
    generated, reference = rng.normal(size=(150, 6)), rng.normal(0.5, 1.2, size=(170, 6))
    theirs = prc_features_to_metric(
        torch.from_numpy(generated), torch.from_numpy(reference), prc_neighborhood=3, prc_batch_size=64, save_cpu_ram=False, verbose=False
    )  # fmt: skip
    monkeypatch.setattr(manifold, "BLOCK", 64)
    found = manifolds(generated, reference, 3)
    assert (found.precision, found.recall) == pytest.approx((theirs["precision"], theirs["recall"]))
    assert 0.1 < found.recall < found.precision <= 1.0


def test_too_few_rows_and_nan_are_refused():
    rows = np.zeros((5, 2))
    with pytest.raises(ValueError, match="got 5 generated rows, expected more than 5"):
        manifolds(rows, np.zeros((9, 2)))
    with pytest.raises(ValueError, match="a reference feature is not finite"):
        manifolds(np.zeros((9, 2)), np.full((9, 2), np.nan))
