"""The open body's arrays, in the official SMPL-X layout, from a population of adults."""

import logging
from typing import NamedTuple

import numpy as np

from posedreamer.bodies.building.anatomy import mirror_map, semantic_vertices, slot_order, symmetric, symmetric_weights
from posedreamer.bodies.building.face import face_landmarks
from posedreamer.bodies.building.hands import hand_mean
from posedreamer.bodies.building.regressor import fit_regressor
from posedreamer.bodies.building.rig import joint_weights, t_pose
from posedreamer.bodies.building.shape import fit_shape_space
from posedreamer.bodies.building.source import SURFACES, Source
from posedreamer.geometry.skeletons import SMPLX_JOINTS, SMPLX_PARENTS

LOGGER = logging.getLogger(__name__)


class OpenBody(NamedTuple):
    """The body before correctives. order: its vertices among the source's; mirror: each vertex's mirror image."""

    order: np.ndarray
    mirror: np.ndarray
    faces: np.ndarray
    v_template: np.ndarray
    shapedirs: np.ndarray
    weights: np.ndarray
    regressor: np.ndarray
    landmark_faces: np.ndarray
    landmark_barycentrics: np.ndarray
    joints: np.ndarray


def build_open_body(source: Source, rng: np.random.Generator) -> OpenBody:
    """Template, shape space, skinning and regressor; exactly mirror-symmetric but for the expression."""
    posed = [t_pose(source.rig, *body) for body in zip(source.vertices, source.heads, strict=True)]
    vertices, joints = np.array([one[0] for one in posed]), np.array([one[1] for one in posed])
    used = np.unique(np.concatenate([source.surfaces[name].ravel() for name in SURFACES]))
    mean, mean_joints = vertices[:, used].mean(axis=0), joints.mean(axis=0)
    mirror = mirror_map(mean)
    eyes = {
        side: np.searchsorted(used, np.unique(source.surfaces[f"helper-{side[0]}-eye"])) for side in ("left", "right")
    }
    weights = joint_weights(source.rig)[used]
    for side, eyeball in eyes.items():
        weights[eyeball] = np.eye(len(SMPLX_JOINTS))[SMPLX_JOINTS.index(f"{side}_eye_smplhf")]
    semantic = semantic_vertices(mean, mean_joints, weights, eyes, mirror)
    new_to_old = slot_order(semantic, len(used))
    old_to_new = np.argsort(new_to_old)
    order, mirror = used[new_to_old], old_to_new[mirror[new_to_old]]
    source_to_new = np.full(vertices.shape[1], -1)
    source_to_new[order] = np.arange(len(order))
    quads = source_to_new[np.concatenate([source.surfaces[name] for name in SURFACES])]
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    space = fit_shape_space(vertices[:, order], source.face_units[:, order], faces)
    LOGGER.info("shape space: %.2f %% of the variance in 10 components", 100 * space.explained)
    regressor, error = fit_regressor(vertices[:, order], joints, mirror, rng)
    worst = int(error.argmax())
    LOGGER.info(
        "joints on held-out bodies: mean %.2f mm, worst %.2f mm (%s)",
        1e3 * error.mean(), 1e3 * error[worst], SMPLX_JOINTS[worst],
    )  # fmt: skip
    template = symmetric(space.mean, mirror, is_vector=True)
    shapedirs = space.shapedirs.copy()
    shapedirs[..., :10] = symmetric(shapedirs[..., :10], mirror, is_vector=True)
    weights = symmetric_weights(weights[new_to_old], mirror)
    head = np.flatnonzero(weights[:, SMPLX_JOINTS.index("head")] + weights[:, SMPLX_JOINTS.index("jaw")] > 0.5)
    skin = np.setdiff1d(head, old_to_new[np.concatenate(list(eyes.values()))])
    pupil, nose = (template[old_to_new[semantic[name]]] for name in ("left_eye", "nose"))
    landmark_faces, landmark_barycentrics = face_landmarks(template, faces, skin, pupil, nose)
    return OpenBody(
        order, mirror, faces, template, shapedirs, weights, regressor, landmark_faces, landmark_barycentrics,
        regressor @ template,
    )  # fmt: skip


def official_arrays(body: OpenBody, posedirs: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays under their official names, in small number types. posedirs (verts, 3, 486)."""
    tree = np.array([SMPLX_PARENTS, range(len(SMPLX_PARENTS))], dtype=np.int64)
    return {
        "v_template": body.v_template.astype(np.float32),
        "f": body.faces.astype(np.uint16),
        "shapedirs": body.shapedirs.astype(np.float16),
        "posedirs": posedirs,
        "J_regressor": body.regressor.astype(np.float32),
        "kintree_table": tree,
        "weights": body.weights,
        "hands_meanl": hand_mean("left"),
        "hands_meanr": hand_mean("right"),
        "lmk_faces_idx": body.landmark_faces.astype(np.int64),
        "lmk_bary_coords": body.landmark_barycentrics.astype(np.float32),
    }
