import numpy as np

from posedreamer.metrics.silhouette import silhouette_iou


def square(first, last):
    mask = np.zeros((20, 20), dtype=bool)
    mask[first:last, first:last] = True
    return mask


def test_closed_forms():
    assert silhouette_iou(square(2, 8), square(2, 8)) == 1.0
    assert silhouette_iou(square(0, 5), square(10, 15)) == 0.0
    # 4 x 4 common of 6 x 6 each
    assert silhouette_iou(square(2, 8), square(4, 10)) == 16 / (36 + 36 - 16)
    assert np.isnan(silhouette_iou(square(3, 3), square(3, 3)))
