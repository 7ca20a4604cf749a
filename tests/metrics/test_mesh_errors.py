"""Errors with cards: closed forms, parity with scipy's Procrustes, and no comparison across protocols."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posedreamer.metrics.mesh import ERRORS, ProtocolCard, mesh_errors, ratio_of_errors

CARD = ProtocolCard(body="open:1234")
RNG = np.random.default_rng(0)
JOINTS, VERTICES = RNG.normal(size=(4, 22, 3)), RNG.normal(size=(4, 300, 3))


def errors(joints, vertices, card=CARD):
    return mesh_errors(card, (vertices, VERTICES), (joints, JOINTS))


def test_the_truth_has_no_error_and_neither_has_a_shifted_body():
    for shift in (0.0, 0.3):
        for name, value in errors(JOINTS + shift, VERTICES + shift).means().items():
            assert value == pytest.approx(0.0, abs=1e-9), name


def test_vertices_a_distance_away_from_their_root_err_by_it():
    moved = VERTICES + np.array([0.02, 0.0, 0.0])
    assert errors(JOINTS, moved).pve_mm == pytest.approx(20.0)
    joints = JOINTS.copy()
    joints[:, 1:] += np.array([0.0, 0.03, 0.04])
    assert errors(joints, VERTICES).mpjpe_mm == pytest.approx(50.0 * 21 / 22)


def test_a_similarity_is_taken_out_of_the_aligned_errors_alone():
    turn = Rotation.from_rotvec([0.3, -0.5, 1.0]).as_matrix()
    found = errors(1.3 * JOINTS @ turn.T + 0.2, 1.3 * VERTICES @ turn.T + 0.2).means()
    assert found["pa_pve_mm"] == pytest.approx(0.0, abs=1e-6) and found["pa_mpjpe_mm"] == pytest.approx(0.0, abs=1e-6)
    assert found["pve_mm"] > 100 and found["mpjpe_mm"] > 100


def test_aligned_errors_are_those_of_an_independent_procrustes():
    noisy = JOINTS + 0.05 * RNG.normal(size=JOINTS.shape)
    for found, one, true in zip(errors(noisy, VERTICES).pa_mpjpe_mm, noisy, JOINTS, strict=True):
        source, target = one - one.mean(0), true - true.mean(0)
        turn, _ = Rotation.align_vectors(target, source)
        turned = turn.apply(source)
        scale = (turned * target).sum() / (source**2).sum()
        expected = 1000.0 * np.linalg.norm(scale * turned - target, axis=1).mean()
        assert found == pytest.approx(expected, abs=1e-6)


def test_joining_keeps_all_people_and_ratios_are_of_means():
    noisy = errors(JOINTS + 0.01 * RNG.normal(size=JOINTS.shape), VERTICES + 0.01 * RNG.normal(size=VERTICES.shape))
    both = noisy.joined(noisy)
    assert all(len(getattr(both, name)) == 8 for name in ERRORS)
    assert ratio_of_errors(both, noisy) == pytest.approx(dict.fromkeys(ERRORS, 1.0))


@pytest.mark.parametrize("change", [{"root": "mean of the hips"}, {"body": "smplx:99"}, {"camera": "weak perspective"}])
def test_other_cards_are_refused_by_name(change):
    one, other = errors(JOINTS, VERTICES), errors(JOINTS, VERTICES, replace(CARD, **change))
    with pytest.raises(ValueError, match=f"different protocols.*{next(iter(change))}: "):
        ratio_of_errors(one, other)
    with pytest.raises(ValueError, match=next(iter(change.values()))):
        one.joined(other)
