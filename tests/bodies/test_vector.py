"""The row of parameters: size, order, and what is left out."""

from dataclasses import replace

import numpy as np

from posedreamer.bodies.posing import rest_parameters
from posedreamer.bodies.vector import VECTOR_FIELDS, VECTOR_SIZE, parameter_vector
from posedreamer.sample import PARAMETER_SHAPES


def test_every_field_but_the_eyes_has_its_place() -> None:
    assert VECTOR_SIZE == 182
    assert set(PARAMETER_SHAPES) - set(VECTOR_FIELDS) == {"leye_pose", "reye_pose"}
    start = 0
    for name in VECTOR_FIELDS:
        values = np.arange(1, np.prod(PARAMETER_SHAPES[name]) + 1, dtype=np.float32).reshape(PARAMETER_SHAPES[name])
        row = parameter_vector(replace(rest_parameters(), **{name: values}))
        np.testing.assert_array_equal(row[start : start + values.size], values.ravel())
        assert np.count_nonzero(row) == values.size
        start += values.size
    assert start == VECTOR_SIZE
