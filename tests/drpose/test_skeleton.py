"""Skeleton maps in closed form, and their gradient against finite differences."""

import torch

from posedreamer.bodies.catalog import load_body
from posedreamer.drpose.skeleton import CHANNELS, FROM_OUTPUT, PARENTS, draw_skeleton_maps

SIZE, WIDTH = 64, 1 / 16


def bones(**ends: tuple[float, float]) -> torch.Tensor:
    """All joints far outside, but those that are named."""
    points = torch.full((23, 2), -1e4, dtype=torch.float64)
    for name, place in ends.items():
        points[CHANNELS.index(name)] = torch.tensor(place, dtype=torch.float64)
    return points


def test_a_bone_is_one_on_it_and_a_half_at_half_its_width():
    points = bones(left_hip=(10.5, 20.5), left_knee=(50.5, 20.5))
    knee = draw_skeleton_maps(points, SIZE, WIDTH)[CHANNELS.index("left_knee")]
    torch.testing.assert_close(knee[20, 10:51], torch.ones(41, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        knee[22, 30], torch.tensor(0.5, dtype=torch.float64), atol=1e-6, rtol=0
    )  # 64 / 16 / 2 = 2 away
    torch.testing.assert_close(
        knee[20, 54], torch.tensor(0.5**4, dtype=torch.float64), atol=1e-6, rtol=0
    )  # 4 beyond its end
    assert knee[40].max() < 1e-6


def test_the_pelvis_is_a_dot_and_the_nose_belongs_to_the_head():
    pelvis = draw_skeleton_maps(bones(pelvis=(30.5, 30.5)), SIZE, WIDTH)[0]
    torch.testing.assert_close(pelvis[30, 32], pelvis[32, 30])
    assert pelvis.argmax() == 30 * SIZE + 30 and abs(float(pelvis[30, 32]) - 0.5) < 1e-6
    assert (
        CHANNELS[PARENTS[CHANNELS.index("nose")]] == "head" and len(CHANNELS) == len(PARENTS) == len(FROM_OUTPUT) == 23
    )


def test_channels_are_taken_from_the_body_s_output():
    body = load_body()
    assert max(FROM_OUTPUT) < 127 and body is not None
    assert FROM_OUTPUT[:22] == tuple(range(22))


def test_the_gradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    points = (torch.rand(2, 23, 2, dtype=torch.float64) * 16).requires_grad_()
    weights = torch.rand(2, 23, 16, 16, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda p: (draw_skeleton_maps(p, 16, 0.2) * weights).sum(), points, rtol=1e-3, atol=1e-6
    )
