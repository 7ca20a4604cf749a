"""Files of the builder: the same arrays are the same bytes, and rounding keeps what must hold."""

import zipfile

import numpy as np

from posedreamer.bodies.building.pack import quantised_correctives, quantised_weights, write_npz


def test_archives_carry_no_clock_and_no_order(tmp_path):
    arrays = {"b": np.arange(5), "a": np.ones((2, 3), np.float16)}
    write_npz(tmp_path / "x.npz", arrays)
    write_npz(tmp_path / "y.npz", dict(reversed(arrays.items())))
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        assert {member.date_time[0] for member in archive.infolist()} == {1980}


def test_rounded_weights_still_sum_to_one():
    weights = np.random.default_rng(0).dirichlet(np.full(55, 0.05), 200)
    rounded = quantised_weights(weights)
    assert np.all(rounded.astype(np.float64).sum(axis=1) == 1)
    # Half a step for each of 55 joints may land on the heaviest.
    assert np.abs(rounded - weights).max() < 55 / 2048 and rounded.min() >= 0


def test_rounded_correctives_are_off_by_half_a_step_at_most():
    posedirs = np.random.default_rng(1).normal(size=(10, 3, 486), scale=0.004)
    # 0.1 mm, and the float16 of values up to 2 cm.
    assert np.abs(quantised_correctives(posedirs) - posedirs).max() < 1.2e-4
