import numpy as np

from posedreamer.metrics.nearest import nearest


def test_a_copy_is_found_at_distance_zero_whatever_its_length():
    rows = np.random.default_rng(0).normal(size=(50, 16))
    order = np.random.default_rng(1).permutation(50)
    found, distance = nearest(3.0 * rows[order], rows)
    assert np.array_equal(found, order)
    np.testing.assert_allclose(distance, 0.0, atol=1e-12)


def test_opposite_and_orthogonal_vectors():
    found, distance = nearest(np.array([[1.0, 0.0]]), np.array([[-1.0, 0.0], [0.0, 2.0]]))
    assert found[0] == 1
    np.testing.assert_allclose(distance, 1.0)
