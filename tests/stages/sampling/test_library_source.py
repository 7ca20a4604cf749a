"""Drawing from the library: determinism, mirror, interpolation, and that train draws never touch what is held out."""

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import pose_body
from posedreamer.geometry.skeletons import SMPLX_JOINTS, mirror_permutation
from posedreamer.stages.sampling.library import load_library
from posedreamer.stages.sampling.library_source import LibrarySource, interpolate_draws, pose_to_draw
from posedreamer.stages.sampling.limits import load_joint_limits
from posedreamer.stages.sampling.placing import draw_to_parameters, stand_on_ground
from posedreamer.stages.sampling.sources import MixedSource, PoseDraw, mirror_draw
from posedreamer.stages.sampling.splits import load_splits

HAND_MEAN = np.zeros((2, 15, 3))
LIBRARY = load_library()
ARRAYS = [name for name in PoseDraw.__dataclass_fields__ if name not in ("source", "tags")]


def assert_equal_draws(a: PoseDraw, b: PoseDraw, atol: float = 0.0) -> None:
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=atol, err_msg=name)


def random_draw(seed: int) -> PoseDraw:
    return LibrarySource(LIBRARY, HAND_MEAN).draw(np.random.default_rng(seed))


def test_the_generator_alone_decides() -> None:
    one, two = LibrarySource(LIBRARY, HAND_MEAN), LibrarySource(LIBRARY, HAND_MEAN)
    two.draw(np.random.default_rng(99))
    for seed in range(5):
        assert_equal_draws(one.draw(np.random.default_rng(seed)), two.draw(np.random.default_rng(seed)))
    assert abs(random_draw(1).body_pose - random_draw(2).body_pose).max() > 0.1


def test_mirror_twice_is_the_pose() -> None:
    for seed in range(10):
        draw = random_draw(seed)
        assert_equal_draws(mirror_draw(mirror_draw(draw)), draw)
        assert set(mirror_draw(mirror_draw(draw)).tags) == set(draw.tags)
        assert ("mirrored" in mirror_draw(draw).tags) != ("mirrored" in draw.tags)


def test_mirrored_pose_is_the_mirror_image_of_the_body() -> None:
    """Joints agree to 5 mm, the asymmetry of the open body's regressed joints."""
    body = load_body()
    swap = mirror_permutation(SMPLX_JOINTS)
    for name in ("wave", "warrior_two", "cartwheel", "lie_side"):
        draw = pose_to_draw(LIBRARY.poses[name], body.get_buffer("hand_mean").numpy())
        plain = pose_body(body, draw_to_parameters(draw, np.zeros(10))).joints[:55]
        mirrored = pose_body(body, draw_to_parameters(mirror_draw(draw), np.zeros(10))).joints[:55]
        np.testing.assert_allclose(mirrored, plain[swap] * [-1, 1, 1], atol=0.005, err_msg=name)


def test_interpolation_ends_at_its_ends_and_is_half_way_between() -> None:
    a, b = (pose_to_draw(LIBRARY.poses[name], HAND_MEAN) for name in ("stand_relaxed", "hands_on_hips"))
    assert_equal_draws(interpolate_draws(a, b, 0.0), a, atol=1e-6)
    assert_equal_draws(interpolate_draws(a, b, 1.0), b, atol=1e-6)
    assert_equal_draws(interpolate_draws(a, b, 0.3), interpolate_draws(b, a, 0.7), atol=1e-6)
    assert {"stand_relaxed", "hands_on_hips", "interpolated"} <= set(interpolate_draws(a, b, 0.5).tags)


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_draws_stay_in_their_split(split: str) -> None:
    """Not even as the partner of an interpolation does a pose of the other split come in."""
    held_out = load_splits().poses
    source = LibrarySource(LIBRARY, HAND_MEAN, split=split, interpolation=1.0)
    forbidden = held_out if split == "train" else set(LIBRARY.poses) - held_out
    for names in ([pose.name for pose in source.poses], *(map(_name, pool) for pool in source.partners.values())):
        assert not set(names) & forbidden
    for seed in range(60):
        assert not set(source.draw(np.random.default_rng(seed)).tags) & forbidden


def _name(pose) -> str:
    return pose.name


def test_draws_are_inside_the_limits_and_of_the_families_asked_for() -> None:
    source = LibrarySource(LIBRARY, HAND_MEAN, families=["yoga"])
    for seed in range(20):
        draw = source.draw(np.random.default_rng(seed))
        assert load_joint_limits().violations(draw.body_pose) == []
        assert "yoga" in draw.tags
        assert not {"sport", "work", "dance", "floor", "everyday", "acrobatic"} & set(draw.tags)


def test_a_source_that_finds_nothing_says_so() -> None:
    seen = []

    def refuse(draw: PoseDraw, contacts: tuple) -> list[str]:
        seen.append(draw)
        return ["left_hand is 90 mm inside head"]

    source = LibrarySource(LIBRARY, HAND_MEAN, check=refuse)
    with pytest.raises(ValueError, match=r"pose_impossible.*90 mm inside head"):
        source.draw(np.random.default_rng(0))
    assert len(seen) == 15
    with pytest.raises(ValueError, match="unknown families"):
        LibrarySource(LIBRARY, HAND_MEAN, families=["swimming"])


def test_a_refused_draw_is_drawn_again() -> None:
    refused = []

    def refuse_twice(draw: PoseDraw, contacts: tuple) -> list[str]:
        refused.append(draw)
        return ["too deep"] if len(refused) < 3 else []

    draw = LibrarySource(LIBRARY, HAND_MEAN, check=refuse_twice).draw(np.random.default_rng(0))
    assert draw is refused[2]


def test_everything_stands_on_the_ground() -> None:
    body = load_body()
    for name in ("walk", "handstand", "lie_back"):
        draw = pose_to_draw(LIBRARY.poses[name], body.get_buffer("hand_mean").numpy())
        parameters, posed = stand_on_ground(body, draw_to_parameters(draw, np.full(10, 0.5)))
        again = pose_body(body, parameters).vertices
        np.testing.assert_allclose(again, posed.vertices, atol=1e-5)
        assert abs(again[:, 1].min()) < 1e-5
        np.testing.assert_allclose((again.min(0) + again.max(0))[[0, 2]], 0.0, atol=1e-5)


def test_a_mixture_keeps_its_weights() -> None:
    class Fixed:
        def __init__(self, draw: PoseDraw) -> None:
            self.fixed = draw

        def draw(self, rng: np.random.Generator) -> PoseDraw:
            return self.fixed

    a, b = Fixed(random_draw(0)), Fixed(random_draw(1))
    rng = np.random.default_rng(0)
    mixed = MixedSource([a, b], [3.0, 1.0])
    share = np.mean([mixed.draw(rng) is a.fixed for _ in range(2000)])
    assert abs(share - 0.75) < 0.04
    with pytest.raises(ValueError, match="weights"):
        MixedSource([a, b], [1.0])
