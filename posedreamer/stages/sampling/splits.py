"""What is kept for evaluation (`assets/splits.yaml`): named poses, motion clips, shapes and prompts.

`split` is "train", "held_out" or "all" everywhere. Train draws never touch what is held out, not even as the partner of an
interpolation.
"""

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import yaml
from jaxtyping import Float

Split = Literal["train", "held_out", "all"]
SPLITS = Path(__file__).parents[2] / "assets" / "splits.yaml"


class Splits(NamedTuple):
    """shape_sector: least and most angle of (betas 0, betas 1) of a held-out shape, radians in [0, 2 pi)."""

    poses: frozenset[str]
    clips: frozenset[str]
    shape_sector: tuple[float, float]
    prompts: tuple[Mapping[str, str], ...]

    def select_poses(self, names: Iterable[str], split: Split) -> list[str]:
        """The named poses of a split, sorted."""
        return _select(names, self.poses, split)

    def select_clips(self, names: Iterable[str], split: Split) -> list[str]:
        """The motion clips (file names without ending) of a split, sorted."""
        return _select(names, self.clips, split)

    def is_held_out_shape(self, betas: Float[np.ndarray, "10"]) -> bool:
        """Whether a shape is kept for evaluation: by the direction of its first two betas, so mean shapes are in both."""
        angle = np.arctan2(betas[1], betas[0]) % (2 * np.pi)
        return bool(self.shape_sector[0] <= angle < self.shape_sector[1])

    def is_held_out_prompt(self, attributes: Mapping[str, str]) -> bool:
        """Whether a prompt has all the attributes of one of the combinations that are kept for evaluation."""
        return any(all(attributes.get(k) == v for k, v in line.items()) for line in self.prompts)


@functools.cache
def load_splits(path: Path = SPLITS) -> Splits:
    """The splits of a YAML file."""
    raw = yaml.safe_load(path.read_text())
    low, high = np.radians(raw["shapes"]["held_out_sector_deg"])
    return Splits(
        poses=frozenset(raw["poses"]["held_out"]),
        clips=frozenset(raw["clips"]["held_out"]),
        shape_sector=(float(low), float(high)),
        prompts=tuple(raw["prompts"]["held_out"]),
    )


def is_in_split(held_out: bool, split: Split) -> bool:
    """Whether something belongs to a split, given whether it is held out."""
    return split == "all" or held_out == (split == "held_out")


def _select(names: Iterable[str], held_out: frozenset[str], split: Split) -> list[str]:
    return sorted(name for name in names if is_in_split(name in held_out, split))
