"""PoseScore: 0 for the pose's own maps, falling with distance, with a gradient that is that of finite differences; mirrored views count."""

import pytest
import torch

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import pose_body, rest_parameters
from posedreamer.drpose import reward as rewards
from posedreamer.drpose.reward import PoseScore, map_error, wanted_maps
from posedreamer.drpose.skeleton import FROM_OUTPUT
from posedreamer.drpose.skeleton_net import FINE, SkeletonNet
from posedreamer.drpose.views import VIEWS, SubjectFrame

SIZE = 32


@pytest.fixture(scope="module")
def joints() -> torch.Tensor:
    """Two bodies that are no mirror images of themselves."""
    found = []
    for angle in (1.0, -0.6):
        parameters = rest_parameters()
        parameters.body_pose[15, 2] = angle
        parameters.body_pose[3, 0] = 1.2
        posed = pose_body(load_body(), parameters)
        upright = torch.from_numpy(posed.joints)[None] * torch.tensor([1.0, -1.0, -1.0])
        frame = SubjectFrame.of(torch.from_numpy(posed.vertices)[None] * torch.tensor([1.0, -1.0, -1.0]))
        found.append(frame.normalise(upright)[0, list(FROM_OUTPUT)])
    return torch.stack(found)


def as_logits(maps: torch.Tensor) -> torch.Tensor:
    return torch.logit(maps.clamp(1e-6, 1 - 1e-6))


class Reads(SkeletonNet):
    """A net that reads given maps off any latents."""

    def __init__(self, maps):
        super().__init__(4)
        self.maps = maps

    def forward(self, latents):
        return as_logits(self.maps)


def test_the_poses_own_maps_score_nothing_and_others_less(joints):
    maps = wanted_maps(joints, SIZE)
    score = PoseScore(Reads(maps))
    best = score(torch.zeros(1, 1, 1, 1), joints)
    torch.testing.assert_close(best, torch.zeros(2), atol=1e-3, rtol=0)
    moved = [score(torch.zeros(1, 1, 1, 1), joints + shift) for shift in (0.02, 0.05, 0.1)]
    assert (best > moved[0]).all() and (moved[0] > moved[1]).all() and (moved[1] > moved[2]).all()
    assert (score(torch.zeros(1, 1, 1, 1), joints.flip(0)) < -0.1).all()


def test_both_terms_count(joints):
    maps = wanted_maps(joints, SIZE)
    one, both = (PoseScore(Reads(maps), perceptual_weight=weight) for weight in (0.0, 0.5))
    assert (both(torch.zeros(1, 1, 1, 1), joints + 0.05) < one(torch.zeros(1, 1, 1, 1), joints + 0.05)).all()


def test_the_error_is_the_cross_entropy_over_the_entropy():
    maps, shown = torch.tensor(0.3), torch.tensor(0.8)
    expected = 0.3 * torch.log(maps / shown) + 0.7 * torch.log((1 - maps) / (1 - shown))
    found = map_error(torch.logit(shown).expand(1, 6, 23, 4, 4), maps.expand(1, 6, 23, 4, 4))
    torch.testing.assert_close(found, 23 * expected[None], atol=1e-5, rtol=1e-5)


def test_a_view_that_is_stored_mirrored_is_wanted_mirrored(joints):
    """Where the front camera's mirror image is the back camera's silhouette, so are the lines: front and stored back view are alike."""
    maps = wanted_maps(joints, SIZE)
    names = [view.name for view in VIEWS]
    front, back, right, left = (maps[:, names.index(name)] for name in ("front", "back", "right", "left"))
    torch.testing.assert_close(front, back, atol=1e-4, rtol=0)
    torch.testing.assert_close(right, left, atol=1e-4, rtol=0)
    assert (front - front.flip(-1)).abs().max() > 0.5


def test_the_gradient_is_that_of_finite_differences(joints, monkeypatch):
    torch.manual_seed(0)
    net = SkeletonNet(4).double()
    score = PoseScore(net, perceptual_weight=0.2)
    score.distance.network.double()
    score.distance.mean, score.distance.deviation = score.distance.mean.double(), score.distance.deviation.double()
    score.palette = score.palette.double()
    latents = torch.randn(2 * 2 * len(VIEWS), 4, 8, 8, dtype=torch.float64, requires_grad=True)
    there = joints.double()
    score(latents, there).sum().backward()
    direction = torch.randn_like(latents)
    small = 1e-5
    with torch.no_grad():
        ahead, behind = (score(latents + sign * small * direction, there).sum() for sign in (1, -1))
    expected = (ahead - behind) / (2 * small)
    torch.testing.assert_close((latents.grad * direction).sum(), expected, rtol=1e-3, atol=1e-9)
    assert expected.abs() > 1e-5


def test_the_net_sees_one_subject_at_a_time_and_is_as_fine_as_it_says():
    torch.manual_seed(0)
    net = SkeletonNet(4).eval()
    latents = torch.randn(2, 3, len(VIEWS), 4, 8, 8)  # (domain, subject, view)
    with torch.no_grad():
        together = net(latents.flatten(0, 2))
        assert together.shape == (3, len(VIEWS), 23, 8 * FINE, 8 * FINE)
        for k in range(3):
            torch.testing.assert_close(net(latents[:, [k]].flatten(0, 2))[0], together[k], atol=1e-5, rtol=1e-4)
        # The same latents are another thing in another view.
        same = net(latents[:, :1, :1].expand(-1, -1, len(VIEWS), -1, -1, -1).flatten(0, 2))
    assert (same[0, 0] - same[0, 3]).abs().max() > 1e-3


def test_colours_of_channels_differ():
    colors = rewards.palette()
    distances = torch.cdist(colors, colors) + torch.eye(len(colors))
    assert distances.min() > 0.05
