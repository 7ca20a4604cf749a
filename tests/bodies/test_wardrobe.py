"""Garments: they stand off the skin, follow the body, and a damaged file is refused."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from posedreamer.bodies.catalog import OPEN_BODY_DIRECTORY, load_body, load_wardrobe
from posedreamer.bodies.layout import read_body_arrays
from posedreamer.bodies.posing import pose_body, rest_parameters
from posedreamer.bodies.wardrobe import Wardrobe, pose_garment
from posedreamer.geometry.skeletons import BODY_JOINTS

CLOTHES = ("t_shirt", "long_sleeve_top", "tank_top", "trousers", "shorts")


def normals(vertices, faces):
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(summed, faces[:, corner], across)
    return summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12)


def is_border(garment):
    edges = np.sort(np.concatenate([garment.faces[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    return np.isin(np.arange(len(garment.v_template)), unique[count == 1])


def posed(**degrees):
    pose = np.zeros((21, 3), dtype=np.float32)
    for joint, angles in degrees.items():
        pose[BODY_JOINTS.index(joint) - 1] = np.radians(angles)
    return replace(rest_parameters(), body_pose=pose, betas=np.float32([1, -1, 1, 0, 1, 0, 0, 0, 0, 0]))


POSES = {
    "T": posed(),
    "arms down": posed(left_shoulder=(0, 0, -70), right_shoulder=(0, 0, 70)),
    "sit": posed(left_hip=(-90, 0, 0), right_hip=(-90, 0, 0), left_knee=(90, 0, 0), right_knee=(90, 0, 0)),
}


def test_the_wardrobe_holds_what_people_wear():
    names = set(load_wardrobe().garments)
    assert names >= {*CLOTHES, "skirt", "shoes", "hair_short", "hair_bob", "hair_long", "hair_bun", "hair_ponytail"}


@pytest.mark.parametrize("name", CLOTHES)
@pytest.mark.parametrize("pose", POSES)
def test_cloth_stands_off_the_skin(name, pose):
    body, garment, parameters = load_body(), load_wardrobe().garments[name], POSES[pose]
    skin = pose_body(body, parameters)
    cloth = pose_garment(garment, parameters, skin)
    _, nearest = cKDTree(skin.vertices).query(cloth)
    height = ((cloth - skin.vertices[nearest]) * normals(skin.vertices, body.faces)[nearest]).sum(axis=1)
    # The inner edge of a folded hem lies in the skin, and in a bent crease cloth meets cloth.
    height = height[~is_border(garment)]
    assert np.mean(height > 0) > (0.93 if pose == "sit" else 0.99)
    assert np.median(height) > 0.004


@pytest.mark.parametrize("name", sorted(load_wardrobe().garments))
def test_garments_follow_transl_and_betas(name):
    body, garment = load_body(), load_wardrobe().garments[name]
    tall = replace(rest_parameters(), betas=np.float32([2, *[0] * 9]))
    moved = replace(tall, transl=np.float32([1, 2, 3]))
    here, there = (pose_garment(garment, one, pose_body(body, one)) for one in (tall, moved))
    assert np.allclose(there - here, [1, 2, 3], atol=1e-5)
    small = pose_garment(garment, rest_parameters(), pose_body(body, rest_parameters()))
    gap = [
        np.median(cKDTree(pose_body(body, one).vertices).query(cloth)[0])
        for one, cloth in ((tall, here), (rest_parameters(), small))
    ]
    assert abs(gap[0] - gap[1]) < 0.005
    assert np.allclose(garment.weights.sum(axis=1), 1, atol=1e-3)
    assert garment.shade.min() > 0.3 and garment.faces.max() == len(garment.v_template) - 1


def test_garments_are_mirror_images_of_themselves_or_nearly():
    # The diagonals of the body's quads are not mirrored, so cut vertices lie elsewhere on the same hem.
    for name in CLOTHES:
        vertices = load_wardrobe().garments[name].v_template
        distance = cKDTree(vertices).query(vertices * [-1, 1, 1])[0]
        assert distance.max() < 0.02 and np.median(distance) < 0.006


def test_a_damaged_wardrobe_is_refused(tmp_path):
    body = read_body_arrays(OPEN_BODY_DIRECTORY / "open.npz")
    with np.load(OPEN_BODY_DIRECTORY / "wardrobe.npz") as archive:
        arrays = {key: archive[key] for key in archive.files if key.startswith("shorts.")}
    np.savez(tmp_path / "a.npz", **{key: value for key, value in arrays.items() if key != "shorts.shade"})
    with pytest.raises(ValueError, match=r"missing shorts\.shade"):
        Wardrobe.from_file(tmp_path / "a.npz", body)
    np.savez(tmp_path / "b.npz", **arrays | {"shorts.anchor_index": arrays["shorts.anchor_index"] + 20000})
    with pytest.raises(ValueError, match="shorts is anchored at vertex"):
        Wardrobe.from_file(tmp_path / "b.npz", body)
