"""Which candidates are taken: above the floor, hard, of several families, far from one another."""

import numpy as np

from posedreamer.stages.mining.choosing import HARDEST, choose


def pick(predicted, families=None, joints=None, *, wanted, floor=0.0, quantile=0.0, share=1.0):
    """Without joints all poses are alike, and only hardness decides."""
    families = ["a"] * len(predicted) if families is None else families
    joints = np.zeros((len(predicted), 2, 3)) if joints is None else joints
    given = {"wanted": wanted, "floor": floor, "floor_quantile": quantile, "family_share": share}
    return choose(-predicted, predicted, families, joints, **given)


def test_floor_is_the_higher_of_the_two() -> None:
    predicted = np.linspace(0, 1, 101)
    absolute = pick(predicted, wanted=10, floor=0.3, quantile=0.05)
    np.testing.assert_array_equal(absolute.chosen, np.arange(30, 40))
    assert (absolute.floor, absolute.num_under_floor) == (0.3, 30)
    relative = pick(predicted, wanted=10, floor=0.3, quantile=0.5)
    np.testing.assert_array_equal(relative.chosen, np.arange(50, 60))


def test_no_family_takes_the_round_over() -> None:
    """The hardest 60 are all of one family: it gets a third while the others have poses, and else all."""
    predicted = np.linspace(0.4, 0.9, 100)
    crowded = ["headstand"] * 60 + ["walk"] * 20 + ["sit"] * 20
    chosen = pick(predicted, crowded, wanted=30, share=1 / 3).chosen
    np.testing.assert_array_equal(chosen, [*range(10), *range(60, 70), *range(80, 90)])
    alone = pick(predicted, ["headstand"] * 100, wanted=30, share=1 / 3).chosen
    np.testing.assert_array_equal(alone, np.arange(30))


def test_a_round_is_not_one_pose() -> None:
    """Of four heaps of poses that are alike, the first large enough for all: one of each, and of the first the hardest."""
    predicted = np.linspace(0.1, 0.9, 40)
    heap = np.array([0] * 5 + [1, 2, 3] + [0] * 32)
    joints = np.zeros((40, 1, 3))
    joints[:, 0, 0] = heap + 0.001 * np.arange(40) / 40
    chosen = pick(predicted, joints=joints, wanted=4).chosen
    np.testing.assert_array_equal(chosen, [0, 5, 6, 7])


def test_far_poses_that_are_not_hard_are_not_looked_at() -> None:
    predicted = np.linspace(0.1, 0.9, 40)
    joints = np.zeros((40, 1, 3))
    joints[HARDEST * 4 :, 0, 0] = 100.0
    assert pick(predicted, joints=joints, wanted=4).chosen.max() < HARDEST * 4


def test_there_may_be_fewer_than_wanted() -> None:
    assert len(pick(np.array([0.1, 0.5, 0.9]), wanted=5, floor=0.4).chosen) == 2
    assert len(pick(np.array([0.1, 0.2]), wanted=5, floor=0.4).chosen) == 0
