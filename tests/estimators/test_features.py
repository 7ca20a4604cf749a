"""The feature network is the one it says, and its distances order corruptions."""

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from posedreamer.estimators import features
from posedreamer.estimators.features import FeatureExtractor, prepare
from posedreamer.metrics.distribution import frechet_distance, kernel_distance

TABBY_EGYPTIAN_TIGER_CAT = {281, 282, 285}
ESPRESSO_OR_CUP = {967, 968}


@pytest.fixture(scope="module")
def extractor() -> FeatureExtractor:
    return FeatureExtractor().setup()


@pytest.mark.parametrize(("name", "classes"), [("cat", TABBY_EGYPTIAN_TIGER_CAT), ("coffee", ESPRESSO_OR_CUP)])
def test_knows_a_cat_from_a_cup(extractor: FeatureExtractor, name: str, classes: set[int]) -> None:
    """Features through the network's own classifier: weights and input scale are right, and pooling is its own."""
    photo = getattr(skimage.data, name)()
    logits = extractor.network._fc(torch.from_numpy(extractor.extract([photo])))
    assert float(logits.softmax(1)[0, sorted(classes)].sum()) > 0.8
    torch.testing.assert_close(logits, extractor.network(torch.from_numpy(prepare(photo))[None]), atol=1e-3, rtol=0)


def test_distances_grow_with_blur(extractor: FeatureExtractor) -> None:
    """Parts of a photo against other parts of it, as they are and blurred twice as much each time."""
    photo = np.ascontiguousarray(skimage.data.astronaut()[..., :3])
    parts = [photo[y : y + 128, x : x + 128] for y in range(0, 385, 96) for x in range(0, 385, 96)]
    rows = extractor.extract(parts)
    blurred = [extractor.extract([cv2.GaussianBlur(p, (0, 0), sigma) for p in parts]) for sigma in (1, 2, 4)]
    for distance in (kernel_distance, frechet_distance):
        values = [distance(rows, rows), *(distance(rows, other) for other in blurred)]
        assert values == sorted(values)


def test_batches_equal_single_pictures(extractor: FeatureExtractor) -> None:
    """1e-3 of features around 1: convolutions may sum in another order for another batch size."""
    images = [skimage.data.cat(), skimage.data.coffee(), skimage.data.rocket()] * 3
    np.testing.assert_allclose(extractor.extract(images)[-1:], extractor.extract(images[-1:]), atol=1e-3)


def test_input_is_normalised() -> None:
    grey = np.full((32, 48, 3), 128, np.uint8)
    expected = (128 / 255 - features.MEAN) / features.DEVIATION
    np.testing.assert_allclose(prepare(grey)[:, 100, 100], expected, rtol=1e-6)


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ValueError, match="expected 0000"):
        FeatureExtractor().setup()
    with pytest.raises(ValueError, match="setup"):
        FeatureExtractor().extract([])
