"""A set against a folder: equal to the bare distances, and refusals."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from posedreamer.metrics.distribution import frechet_distance, kernel_distance
from posedreamer.metrics.reference import distance_to_reference, read_reference


class MeanColours:
    """A stand-in for the network: the mean colour of a picture's four quarters."""

    identity = "mean-colours:0"
    resize = "none"

    def extract(self, images) -> np.ndarray:
        return np.stack([i.reshape(2, 8, 2, 8, 3).mean((1, 3)).ravel() / 255 for i in images]).astype(np.float32)


def noise(count: int, seed: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index, picture in enumerate(noise(40, 1)):
        Image.fromarray(picture).save(tmp_path / f"{index:03d}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_equals_the_bare_distances(folder: Path) -> None:
    extractor, images = MeanColours(), noise(50, 2)
    a, b = extractor.extract(images), extractor.extract(noise(40, 1))
    result = distance_to_reference(images, folder, extractor)
    assert (result.kid_effnet, result.fd_effnet) == (kernel_distance(a, b), frechet_distance(a, b))
    assert (result.num_images, result.num_reference, result.image_size) == (50, 40, (16, 16))
    assert not result.fd_is_rank_deficient


def test_description_names_its_circumstances(folder: Path) -> None:
    text = distance_to_reference(noise(50, 2), folder, MeanColours()).describe()
    for part in (read_reference(folder)[1][:12], "50 pictures of 16 x 16 against 40", "mean-colours:0", "resize: none"):
        assert part in text


def test_hash_knows_names_and_bytes(folder: Path) -> None:
    before = read_reference(folder)[1]
    assert read_reference(folder)[1] == before
    (folder / "000.png").rename(folder / "000b.png")
    renamed = read_reference(folder)[1]
    Image.fromarray(noise(1, 9)[0]).save(folder / "000b.png")
    assert len({before, renamed, read_reference(folder)[1]}) == 3


def test_too_few_pictures_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="got 31 pictures, expected at least 32"):
        distance_to_reference(noise(31, 2), folder, MeanColours())
    for index in range(9):
        (folder / f"{index:03d}.png").unlink()
    with pytest.raises(ValueError, match=r"reference .* got 31"):
        distance_to_reference(noise(50, 2), folder, MeanColours())


def test_mixed_sizes_are_refused(folder: Path) -> None:
    images = noise(50, 2)
    with pytest.raises(ValueError, match="2 sizes"):
        distance_to_reference([*images, np.zeros((16, 20, 3), np.uint8)], folder, MeanColours())
    with pytest.raises(ValueError, match="resize one set"):
        distance_to_reference([image[:8, :8] for image in images], folder, MeanColours())
