"""A rendered person with its label, from golden/rendered_person.npz (remake_rendered_person.py)."""

from pathlib import Path

import numpy as np
import pytest

from posedreamer.sample import PARAMETER_SHAPES, BodyParameters, Condition, Label, Picture, Sample

GOLDEN = Path(__file__).parent / "golden" / "rendered_person.npz"


@pytest.fixture(scope="session")
def person() -> dict[str, np.ndarray]:
    """picture, crowded (the same with a second person), mask, and the label's arrays."""
    with np.load(GOLDEN, allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture
def sample(person: dict[str, np.ndarray]) -> Sample:
    """A pending sample whose picture is the true render of its label."""
    height, width = person["mask"].shape
    names = ("K", "T_cam_from_world", "joints_cam", "keypoints", "visible", "coco_keypoints", "bbox")
    label = Label(
        parameters=BodyParameters(**{name: person[f"parameters_{name}"] for name in PARAMETER_SHAPES}),
        **{name: person[name] for name in names},
        width=width, height=height, source="library", tags=("everyday", "standing"),
    )  # fmt: skip
    blank = np.zeros_like(person["picture"])
    condition = Condition("xyz", control=blank, xyz=blank, mask=person["mask"], depth_mm=person["depth_mm"])
    return Sample("0123abcd-r00-000000-0000", 0, label, None, condition, Picture(person["picture"], "render", 0))
