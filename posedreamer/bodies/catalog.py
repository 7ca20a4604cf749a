"""Bodies by name: `open` is the embedded one, everything else is the path of a SMPL-X file."""

import functools
from pathlib import Path

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.layout import read_body_arrays
from posedreamer.bodies.wardrobe import Wardrobe

OPEN_BODY_DIRECTORY = Path(__file__).parents[1] / "assets" / "open_body"


@functools.cache
def load_body(name_or_path: str = "open") -> BodyModel:
    """The body model, read once a process."""
    if name_or_path == "open":
        return BodyModel.from_file(OPEN_BODY_DIRECTORY / "open.npz")
    return BodyModel.from_file(Path(name_or_path))


@functools.cache
def load_wardrobe() -> Wardrobe:
    """Clothes, shoes and hair of the open body, read once a process."""
    return Wardrobe.from_file(OPEN_BODY_DIRECTORY / "wardrobe.npz", read_body_arrays(OPEN_BODY_DIRECTORY / "open.npz"))
