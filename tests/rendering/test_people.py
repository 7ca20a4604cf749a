from dataclasses import replace

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body, load_wardrobe
from posedreamer.bodies.posing import pose_body, rest_parameters, transform_parameters
from posedreamer.geometry.cameras import look_at, make_K, project
from posedreamer.geometry.skeletons import BODY_JOINTS, OUTPUT_JOINTS
from posedreamer.rendering.attributes import CLOTH_COLORS, UNSAID, VALUES, complete, draw_attributes, srgb_to_linear
from posedreamer.rendering.dressing import dresser_for
from posedreamer.rendering.people import dress, render_person
from posedreamer.rendering.rasterizer import rasterize
from posedreamer.rendering.shading import linear_to_srgb

SIZE = 96
K = make_K(1.4 * SIZE, SIZE, SIZE)
PLAIN = {
    "skin": "light", "hair_style": "short", "hair_color": "brown", "top": "t-shirt", "top_color": "red",
    "bottom": "trousers", "bottom_color": "blue", "shoes_color": "white", "scene": "studio",
}  # fmt: skip


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def world_camera(yaw: float) -> np.ndarray:
    return look_at(np.array([3.2 * np.sin(yaw), 1.4, 3.2 * np.cos(yaw)]), np.array([0.0, 0.9, 0.0]))


def standing(T_cam_from_world: np.ndarray, **rotvecs: tuple[float, float, float]):
    body_pose = np.zeros((21, 3), dtype=np.float32)
    lowered = {"left_shoulder": (0, 0, -1.0), "right_shoulder": (0, 0, 1.0), **rotvecs}
    for name, rotvec in lowered.items():
        body_pose[BODY_JOINTS.index(name) - 1] = rotvec
    parameters = replace(rest_parameters(), body_pose=body_pose)
    lowest = pose_body(load_body(), parameters).vertices[:, 1].min()
    parameters = replace(parameters, transl=np.array([0.0, -lowest, 0.0], dtype=np.float32))
    return transform_parameters(load_body(), parameters, T_cam_from_world)


def render(parameters, attributes, seed=0, T_cam_from_world=None):
    return render_person(
        load_body(), load_wardrobe(), parameters, K, SIZE, SIZE, attributes, rng(seed),
        T_cam_from_world=T_cam_from_world,
    )  # fmt: skip


@pytest.mark.parametrize("color", CLOTH_COLORS)
def test_the_top_has_the_color_that_the_prompt_says(color):
    # The nearest named colour on the chest, compared in the light that the picture has (white is the picture's own).
    camera = world_camera(0.3)
    parameters = standing(camera)
    chest = project(pose_body(load_body(), parameters).joints[[OUTPUT_JOINTS.index("spine3")]], K)[0].astype(int)
    patches = {}
    for name in CLOTH_COLORS:
        image = render(parameters, {**PLAIN, "top_color": name}, 4, camera)
        patch = image[chest[1] - 3 : chest[1] + 4, chest[0] - 3 : chest[0] + 4].reshape(-1, 3)
        patches[name] = srgb_to_linear(np.median(patch, axis=0) / 255.0)
    exposure = patches["white"] / srgb_to_linear(np.array(CLOTH_COLORS["white"]) / 255.0)
    seen = linear_to_srgb(np.clip(patches[color] / exposure, 0, 0.8)).astype(float)
    distance = {name: np.linalg.norm(seen - np.array(value)) for name, value in CLOTH_COLORS.items()}
    assert min(distance, key=distance.__getitem__) == color


def test_equal_generators_give_equal_pictures_and_others_do_not():
    camera = world_camera(1.0)
    first, again, other = (render(standing(camera), PLAIN, seed, camera) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_layers_are_drawn_nearer_without_moving_in_the_picture():
    camera = world_camera(-0.6)
    parameters = standing(camera)
    mesh = dress(
        dresser_for(load_body(), load_wardrobe()),
        pose_body(load_body(), parameters),
        parameters,
        complete(PLAIN),
        rng(0),
    )
    lifted = mesh.vertices * (1.0 - mesh.lift / mesh.vertices[:, 2])[:, None]
    assert mesh.lift.max() > 0.01
    # float32 metres at 3 m: 4e-7, times the focal length.
    np.testing.assert_allclose(project(lifted, K), project(mesh.vertices, K), atol=1e-3)


@pytest.mark.parametrize("top", VALUES["top"])
@pytest.mark.parametrize("bottom", VALUES["bottom"])
def test_no_skin_pokes_through_the_clothes(top, bottom):
    # Twisted and bent, seen from four sides: within 5 cm of the trunk's axis only cloth (or an arm before it) is seen.
    body, wardrobe = load_body(), load_wardrobe()
    attributes = complete({**PLAIN, "top": top, "bottom": bottom, "hair_style": "bald"})
    arm = np.isin(body.weights.numpy().argmax(axis=1), [16, 17, 18, 19, 20, 21, *range(25, 55)])
    for seed, yaw in enumerate((0.0, 1.6, 3.1, 4.7)):  # each look in another of the cuts
        camera = world_camera(yaw)
        parameters = standing(camera, spine1=(0.3, 0.2, 0.1), spine3=(0.2, 0.3, 0.0), left_hip=(-0.6, 0.0, 0.2))
        posed = pose_body(body, parameters)
        mesh = dress(dresser_for(body, wardrobe), posed, parameters, attributes, rng(seed))
        lifted = mesh.vertices * (1.0 - mesh.lift / mesh.vertices[:, 2])[:, None]
        raster = rasterize(lifted, mesh.faces, K, SIZE, SIZE)
        is_skin = (mesh.faces < body.num_vertices).all(axis=1) & ~arm[np.minimum(mesh.faces[:, 0], len(arm) - 1)]
        joints = posed.joints[[OUTPUT_JOINTS.index(name) for name in ("pelvis", "spine1", "spine2")]]
        for u, v in project(joints, K).astype(int):
            seen = raster.face_id[v - 2 : v + 3, u - 2 : u + 3]
            assert (seen >= 0).sum() > 12
            assert not is_skin[seen[seen >= 0]].any()


def test_without_a_world_the_camera_is_level_and_the_body_stands_on_the_ground():
    # So telling of just such a world changes nothing but the rounding.
    camera = look_at(np.array([0.0, 0.9, 3.2]), np.array([0.0, 0.9, 0.0]))
    told, untold = render(standing(camera), PLAIN, 0, camera), render(standing(camera), PLAIN, 0)
    assert np.abs(told.astype(int) - untold.astype(int)).mean() < 0.1


@pytest.mark.parametrize("name", VALUES)
def test_an_attribute_that_is_missing_or_unknown_is_named(name):
    parameters = standing(world_camera(0.0))
    if name not in UNSAID:
        with pytest.raises(ValueError, match=f"{name} is missing"):
            render(parameters, {key: value for key, value in PLAIN.items() if key != name})
    with pytest.raises(ValueError, match=f"{name} is 'plaid'"):
        render(parameters, {**PLAIN, name: "plaid"})


def test_a_body_behind_the_camera_is_an_error():
    parameters = replace(rest_parameters(), transl=np.array([0.0, 0.0, -2.0], dtype=np.float32))
    with pytest.raises(ValueError, match="in front of the camera"):
        render(parameters, PLAIN)


def test_drawn_attributes_can_all_be_rendered():
    camera = world_camera(2.0)
    seen = [draw_attributes(rng(seed)) for seed in range(200)]
    assert all({row[name] for row in seen} == set(values) for name, values in VALUES.items())
    image = render(standing(camera), seen[0], 0, camera)
    assert image.dtype == np.uint8 and image.std() > 5


def test_a_record_from_before_patterns_shows_what_it_showed():
    camera = world_camera(0.3)
    told = render(standing(camera), {**PLAIN, "top_pattern": "plain", "shoes": "shoes"}, 3, camera)
    assert np.array_equal(render(standing(camera), PLAIN, 3, camera), told)


@pytest.mark.parametrize("pattern", ["striped", "checked", "dotted"])
def test_a_print_changes_the_top_alone(pattern):
    camera = world_camera(0.0)
    parameters = standing(camera)
    plain = render(parameters, PLAIN, 5, camera).astype(int)
    printed = render(parameters, {**PLAIN, "top_pattern": pattern}, 5, camera).astype(int)
    chest, knee = project(
        pose_body(load_body(), parameters).joints[[OUTPUT_JOINTS.index(name) for name in ("spine3", "left_knee")]], K
    ).astype(int)
    changed = np.abs(plain - printed).max(axis=2) > 24
    patch = changed[chest[1] - 6 : chest[1] + 7, chest[0] - 6 : chest[0] + 7]
    assert 0.05 < patch.mean() < 0.95  # how much exactly: test_patterns.py
    assert not changed[knee[1] - 3 : knee[1] + 4, knee[0] - 3 : knee[0] + 4].any()


def test_bare_feet_are_not_under_shoes():
    camera = world_camera(0.4)
    body, parameters = load_body(), standing(camera)
    feet = np.isin(body.weights.numpy().argmax(axis=1), [10, 11])
    seen = []
    for shoes in ("bare feet", "shoes"):
        attributes = complete({**PLAIN, "shoes": shoes})
        mesh = dress(dresser_for(body, load_wardrobe()), pose_body(body, parameters), parameters, attributes, rng(0))
        lifted = mesh.vertices * (1.0 - mesh.lift / mesh.vertices[:, 2])[:, None]
        raster = rasterize(lifted, mesh.faces, K, SIZE, SIZE)
        faces = mesh.faces[raster.face_id[raster.face_id >= 0]]
        is_skin = (faces < body.num_vertices).all(axis=1)
        seen.append(feet[faces[is_skin]].all(axis=1).sum())
    assert seen[0] > 5 and seen[1] == 0
