"""Figures say what they are given."""

import numpy as np
import pytest
from PIL import Image

from posedreamer.report.figures import save_histograms


def test_scores_become_a_picture(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "new" / "oks.png"
    save_histograms(
        path, {"before": rng.uniform(0, 0.5, 50), "after": np.append(rng.uniform(0.5, 1, 50), np.nan)}, "OKS"
    )
    with Image.open(path) as picture:
        assert picture.size == (704, 396)


def test_a_series_without_a_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"histogram oks\.png: no score of 'after'"):
        save_histograms(tmp_path / "oks.png", {"after": np.full(3, np.nan)}, "OKS")
