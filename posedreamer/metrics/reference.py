"""A set of pictures against a reference folder: kernel and Frechet distance, with all that is needed to repeat them.

A figure of this kind means something only beside the reference, its number of pictures, the resize and the network, so
they come in one record. Sets that cannot be compared (too few pictures, mixed sizes) are refused.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from posedreamer.metrics.distribution import frechet_distance, kernel_distance

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
# Under this the kernel distance's spread drowns what it measures (30 against 30 of one set: about .011).
MIN_IMAGES = 32


@runtime_checkable
class Extractor(Protocol):
    """What turns pictures into rows of features and says which network and resize did it."""

    identity: str
    resize: str

    def extract(self, images: Sequence[np.ndarray]) -> Float[np.ndarray, "images features"]: ...


@dataclass(frozen=True)
class SetDistance:
    """Both distances with their circumstances, named after the one network in use (estimators/features.py).

    fd_is_rank_deficient: no more pictures than features, so fd_effnet is biased upwards.
    """

    kid_effnet: float
    fd_effnet: float
    fd_is_rank_deficient: bool
    num_images: int
    num_reference: int
    image_size: tuple[int, int]
    reference_sha256: str
    extractor: str
    resize: str

    def describe(self) -> str:
        """One line for a log or a report."""
        bias = ", fd biased: no more pictures than features" if self.fd_is_rank_deficient else ""
        width, height = self.image_size
        return (
            f"kid_effnet {self.kid_effnet:.4f}, fd_effnet {self.fd_effnet:.1f} ({self.num_images} pictures of "
            f"{width} x {height} against {self.num_reference}, reference {self.reference_sha256[:12]}, "
            f"extractor {self.extractor}, resize: {self.resize}{bias})"
        )


def read_reference(folder: Path) -> tuple[list[UInt8[np.ndarray, "h w 3"]], str]:
    """Pictures of the folder and its subfolders in the order of their names, and a sha256 over names and bytes."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    digest, images = hashlib.sha256(), []
    for path in paths:
        name, data = path.relative_to(folder).as_posix(), path.read_bytes()
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
        with Image.open(path) as picture:
            images.append(np.array(picture.convert("RGB")))
    return images, digest.hexdigest()


def check_set(images: Sequence[np.ndarray], name: str) -> tuple[int, int]:
    """Width and height common to all pictures; a ValueError when there are too few or several sizes."""
    if len(images) < MIN_IMAGES:
        raise ValueError(f"{name}: got {len(images)} pictures, expected at least {MIN_IMAGES}")
    sizes = sorted({(image.shape[1], image.shape[0]) for image in images})
    if len(sizes) > 1:
        raise ValueError(f"{name}: pictures of {len(sizes)} sizes ({sizes[0]}, {sizes[1]} ...), expected one size")
    return sizes[0]


def distance_to_reference(
    images: Sequence[UInt8[np.ndarray, "_h _w 3"]], folder: Path, extractor: Extractor
) -> SetDistance:
    """Distances of the pictures to those in the folder. Both sets must have one size, the same."""
    reference, digest = read_reference(folder)
    reference_size = check_set(reference, f"reference {folder}")
    image_size = check_set(images, "pictures")
    if image_size != reference_size:
        raise ValueError(f"pictures are {image_size}, those of the reference {folder} {reference_size}: resize one set")
    a, b = extractor.extract(images), extractor.extract(reference)
    return SetDistance(
        kid_effnet=kernel_distance(a, b),
        fd_effnet=frechet_distance(a, b),
        fd_is_rank_deficient=min(len(a), len(b)) <= a.shape[1],
        num_images=len(a),
        num_reference=len(b),
        image_size=image_size,
        reference_sha256=digest,
        extractor=extractor.identity,
        resize=extractor.resize,
    )
