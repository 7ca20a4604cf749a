"""Which candidates a curriculum takes: hard ones that the generator can still draw, far from one another, of several families."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

HARDEST = 2  # times as many of the hardest candidates as are wanted are looked at for those that lie far apart


class Choice(NamedTuple):
    """Indices of the chosen candidates, hardest first; the floor in force, and how many candidates fell under it."""

    chosen: Int[np.ndarray, " chosen"]
    floor: float
    num_under_floor: int


def choose(
    hardness: Float[np.ndarray, " pool"],
    predicted_oks: Float[np.ndarray, " pool"],
    families: Sequence[str],
    joints: Float[np.ndarray, "pool joints 3"],
    *,
    wanted: int,
    floor: float,
    floor_quantile: float,
    family_share: float,
) -> Choice:
    """The `wanted` candidates at or above the floor; fewer when there are not so many.

    floor: least predicted oks; where the pool's `floor_quantile` is higher, that counts. family_share: no family gets more
    while others are left among the hardest. joints: what poses are compared by, metres.
    """
    effective = max(floor, float(np.quantile(predicted_oks, floor_quantile)))
    allowed = predicted_oks >= effective
    order = np.argsort(-hardness, kind="stable")
    taken = _far_apart(order[allowed[order]], families, joints, wanted, int(np.ceil(family_share * wanted)))
    chosen = np.array(sorted(taken, key=lambda index: (-hardness[index], index)), dtype=np.int64)
    return Choice(chosen, effective, int((~allowed).sum()))


def _far_apart(
    order: Int[np.ndarray, " allowed"],
    families: Sequence[str],
    joints: Float[np.ndarray, "pool joints 3"],
    wanted: int,
    most: int,
) -> list[int]:
    """The hardest, then again and again the one farthest from all that are taken (k-center, Gonzalez 1985); ties: the harder one.

    Looked at are the hardest HARDEST x wanted, those beyond a family's share last.
    """
    count = dict.fromkeys(families, 0)
    within, beyond = [], []
    for index in map(int, order):
        family = families[index]
        (within if count[family] < HARDEST * most else beyond).append(index)
        count[family] += 1
    pool = (within + beyond)[: HARDEST * wanted]
    taken: list[int] = []
    distance, of_family = np.full(len(pool), np.inf), np.array([families[index] for index in pool])
    is_open = np.ones(len(pool), dtype=bool)
    while len(taken) < min(wanted, len(pool)):
        crowded = [family for family in set(of_family) if sum(families[one] == family for one in taken) >= most]
        place = _farthest(distance, is_open & ~np.isin(of_family, crowded))
        if place is None:  # places that no other family can fill go to the crowded ones after all
            place = _farthest(distance, is_open)
        assert place is not None
        is_open[place] = False
        taken.append(pool[place])
        to_it = np.linalg.norm(joints[pool] - joints[pool[place]], axis=-1).mean(-1)
        distance = np.minimum(distance, to_it)
    return taken


def _farthest(distance: Float[np.ndarray, " pool"], is_open: Bool[np.ndarray, " pool"]) -> int | None:
    """The first of the open places that are farthest; None when none is open."""
    return int(np.argmax(np.where(is_open, distance, -1.0))) if is_open.any() else None
