"""The other rewards: what each is 0 at, what lowers it, and that a gradient comes back to the latents."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from tiny_multiview import CELLS, LATENT_CHANNELS, tiny_multiview

from posedreamer.bodies.catalog import load_body
from posedreamer.drpose.reward_forms import (
    PER_DIAGONAL,
    JointNet,
    JointScore,
    LearnerScore,
    PairNet,
    PairScore,
)
from posedreamer.drpose.skeleton import CHANNELS, FROM_OUTPUT
from posedreamer.drpose.views import VIEWS, project_to_views
from posedreamer.estimators.hmr import Recovered

SIDE = 64


@pytest.fixture
def joints():
    return torch.rand(2, len(CHANNELS), 3, generator=torch.Generator().manual_seed(0)) * 0.5 - 0.25


@pytest.fixture
def latents():
    return torch.randn(2 * 2 * len(VIEWS), LATENT_CHANNELS, CELLS, CELLS, generator=torch.Generator().manual_seed(1))


def test_heat_at_the_joints_of_every_view_is_the_joints(joints, latents):
    """Views as they are stored: a net that forgets that two are mirrored puts joints elsewhere."""
    net = JointNet(LATENT_CHANNELS)
    cells = project_to_views(joints, SIDE)[..., :2].long()
    heat = torch.zeros(2, len(VIEWS), 2 * len(CHANNELS), SIDE, SIDE)
    for subject, view, joint in np.ndindex(2, len(VIEWS), len(CHANNELS)):
        u, v = cells[subject, view, joint]
        heat[subject, view, joint, v, u] = 100.0
    net.trunk.forward = lambda given: heat
    found = net(latents)
    assert (found - joints).abs().max() < 0.6 / SIDE


def test_the_joint_score_is_the_distance(joints, latents):
    net = JointNet(LATENT_CHANNELS)
    net.forward = lambda given: joints + torch.tensor([0.0, 0.03, 0.04])
    torch.testing.assert_close(JointScore(net)(latents, joints), torch.full((2,), -0.05 * PER_DIAGONAL))


@pytest.mark.parametrize("score", [JointScore(JointNet(LATENT_CHANNELS)), PairScore(PairNet(LATENT_CHANNELS))])
def test_gradients_reach_the_latents(score, joints, latents):
    given = latents.clone().requires_grad_(True)
    found = score(given, joints)
    assert found.shape == (2,) and (found < 0).all()
    found.sum().backward()
    assert given.grad is not None and given.grad.abs().sum() > 0


def test_a_pair_is_told_by_its_pose_and_each_subject_by_its_own(joints, latents):
    score = PairScore(PairNet(LATENT_CHANNELS))
    with torch.no_grad():
        plain, turned = score(latents, joints), score(latents, joints * torch.tensor([1.0, -1.0, 1.0]))
        other = score(latents, torch.stack([joints[0], joints[1] + 0.1]))
    assert (plain != turned).all()
    assert other[0] == pytest.approx(float(plain[0]), abs=1e-6) and other[1] != plain[1]


class StandingLearner(torch.nn.Module):
    """A learner that always sees the resting body, from the front."""

    settings: ClassVar = {"size": 32}

    def forward(self, crops):
        rotmats = torch.eye(3).expand(len(crops), 22, 3, 3).clone()
        rotmats[:, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
        return Recovered(rotmats, torch.zeros(len(crops), 10), torch.zeros(len(crops), 3) + 0.0 * crops.sum())


def test_the_learners_score_knows_no_place_and_no_size(monkeypatch, latents):
    monkeypatch.setattr("posedreamer.drpose.reward_forms.load_network", lambda folder: StandingLearner())
    body = load_body()
    score = LearnerScore(tiny_multiview(), Path("learner"), body)
    seen = (
        StandingLearner()(torch.zeros(2, 3, 32, 32)).pose(body, torch.full((2,), 32.0), 32).joints[:, list(FROM_OUTPUT)]
    )
    torch.testing.assert_close(score(latents, 0.37 * seen + 0.2), torch.zeros(2), atol=1e-4, rtol=0)
    assert (score(latents, seen * torch.tensor([1.0, 1.0, -1.0])) < -0.1).all()
