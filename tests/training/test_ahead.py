"""Batches that are made ahead are those that are asked for, made once each."""

import threading

import pytest

from posedreamer.training.ahead import Ahead


@pytest.mark.parametrize("loaders", [0, 1, 4])
def test_every_step_gets_its_own_batch(loaders):
    ahead = Ahead(lambda step, part: (step, part.start), loaders)
    for step in (7, 8, 9, 12, 3):
        for part in (slice(0, 2), slice(2, 4)):
            assert ahead(step, part) == (step, part.start)


def test_the_next_batch_is_made_before_it_is_asked_for():
    made, is_next = [], threading.Event()

    def make(step, part):
        made.append(step)
        if step == 1:
            is_next.set()
        return step

    ahead = Ahead(make, 1)
    assert ahead(0, slice(0, 4)) == 0
    assert is_next.wait(10)
    assert ahead(1, slice(0, 4)) == 1 and made.count(1) == 1


def test_what_a_loader_meets_is_raised_where_the_batch_is_asked_for():
    def make(step, part):
        raise ValueError(f"step {step}: no picture")

    with pytest.raises(ValueError, match="step 5: no picture"):
        Ahead(make, 2)(5, slice(0, 1))
