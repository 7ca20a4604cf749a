"""Which samples belong to a domain.

1. A pose drawn from the library carries the families of the named poses behind it. All of them in the domain: it belongs.
   None of them: it does not, however near it is; a named pose is what its author calls it.
2. A pose between a named pose of the domain and one of another family, and a pose without a family (motion files, fits),
   belongs when its nearest named pose of the whole library is one of the domain and lies within the domain's thresholds.

Nearness is that of pose_distance.py: joint angles and tilt, mirrored too, without yaw.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from posedreamer.curation.pose_distance import PoseSet, nearest_pose, up_in_body
from posedreamer.stages.sampling.library import PoseLibrary

DOMAINS = Path(__file__).parents[1] / "assets" / "domains"


class Similarity(BaseModel):
    """Most distance to a named pose, degrees: mean over the 21 body joints, and between the root's ups."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    joints_deg: Annotated[float, Field(gt=0.0, le=180.0)]
    tilt_deg: Annotated[float, Field(gt=0.0, le=180.0)]


class Domain(BaseModel):
    """A domain file: the families of the library that make it up, and what counts as near."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    families: Annotated[tuple[str, ...], Field(min_length=1)]
    similarity: Similarity


class Membership(NamedTuple):
    """What was decided for one pose. why: tags, near or, for one that does not belong, other_family or far.

    nearest: the nearest named pose; joints_deg and tilt_deg: the distance to it.
    """

    belongs: bool
    why: str
    nearest: str
    joints_deg: float
    tilt_deg: float


def load_domain(name_or_path: str | Path, library: PoseLibrary) -> Domain:
    """An embedded domain by name, or a YAML file; unknown names, fields and families are a ValueError."""
    path = DOMAINS / f"{name_or_path}.yaml"
    path = path if path.is_file() else Path(name_or_path)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in DOMAINS.glob("*.yaml")))
        raise ValueError(f"domain {str(name_or_path)!r}: no such domain; embedded are {known}, or give a YAML file")
    try:
        domain = Domain.model_validate(yaml.safe_load(path.read_text()))
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise ValueError(f"domain {path}:\n" + "\n".join(lines)) from None
    if unknown := sorted(set(domain.families) - set(library.families())):
        raise ValueError(f"domain {path}: unknown families {unknown}, the library has {list(library.families())}")
    return domain


def library_poses(library: PoseLibrary) -> PoseSet:
    """The named poses, in the order of the library."""
    poses = list(library.poses.values())
    return PoseSet(
        np.stack([pose.body_pose for pose in poses]).astype(np.float64),
        up_in_body(np.stack([pose.global_orient for pose in poses]).astype(np.float64)),
    )


def decide(domain: Domain, library: PoseLibrary, poses: PoseSet, tags: Sequence[Sequence[str]]) -> list[Membership]:
    """One decision a pose, in order. tags: of the samples whose poses these are."""
    if not tags:
        return []
    named = list(library.poses.values())
    nearest = nearest_pose(poses, library_poses(library))
    families = set(library.families())
    decisions = []
    for row, own_tags in enumerate(tags):
        pose = named[nearest.reference[row]]
        joints_deg, tilt_deg = np.rad2deg([nearest.joints_rad[row], nearest.tilt_rad[row]]).tolist()
        parents = families.intersection(own_tags)
        is_near = (
            pose.family in domain.families
            and joints_deg <= domain.similarity.joints_deg
            and tilt_deg <= domain.similarity.tilt_deg
        )
        if parents and parents <= set(domain.families):
            belongs, why = True, "tags"
        elif parents.isdisjoint(domain.families) and parents:
            belongs, why = False, "other_family"
        else:
            belongs, why = is_near, "near" if is_near else "far"
        decisions.append(Membership(belongs, why, pose.name, joints_deg, tilt_deg))
    return decisions
