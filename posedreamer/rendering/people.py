"""People: the posed body dressed from its wardrobe, painted, lit and set into a scene.

One merged mesh of body, clothes, shoes and hair is rasterised at a multiple of the picture's size, shaded per pixel in
linear light, and averaged down. Skin that a garment covers is left out, and clothes are drawn a few millimetres nearer to
the camera than they are (along the line of sight, so nothing moves in the picture): no skin pokes through in a posed body.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int32, UInt8

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.posing import PosedBody, pose_body
from posedreamer.bodies.wardrobe import Wardrobe, pose_garment
from posedreamer.rendering import attributes as looks
from posedreamer.rendering.canvas import look
from posedreamer.rendering.dressing import Dresser, dresser_for
from posedreamer.rendering.ground import contact, shadow_on_ground
from posedreamer.rendering.patterns import Pattern, draw_pattern
from posedreamer.rendering.photograph import out_of_focus, photograph
from posedreamer.rendering.rasterizer import interpolate, rasterize, vertex_normals
from posedreamer.rendering.scenes import draw_scene
from posedreamer.rendering.shading import crevices, draw_sun_map, shade, sunlit
from posedreamer.sample import BodyParameters

# How much of the sun a shadow takes away from the ground: skylight fills it.
GROUND_SHADOW = 0.42
CONTACT_SHADOW = 0.5


class DressedMesh(NamedTuple):
    """Everything that is drawn, camera frame, metres. albedo: linear RGB of each vertex.

    printed: the part of the vertices that bears the pattern; cloth: those vertices in the T-pose, where the pattern is laid.
    """

    vertices: Float32[np.ndarray, "verts 3"]
    faces: Int32[np.ndarray, "faces 3"]
    albedo: Float32[np.ndarray, "verts 3"]
    lift: Float32[np.ndarray, " verts"]
    printed: slice
    cloth: Float32[np.ndarray, "printed 3"]
    pattern: Pattern


def render_person(
    body: BodyModel,
    wardrobe: Wardrobe,
    parameters_cam: BodyParameters,
    K: Float[np.ndarray, "3 3"],
    width: int,
    height: int,
    attributes: Mapping[str, str],
    rng: np.random.Generator,
    supersample: int = 2,
    T_cam_from_world: Float[np.ndarray, "4 4"] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """A picture of the person that `attributes` describe (all of attributes.VALUES), in a scene drawn from rng.

    T_cam_from_world: where up and the ground (y = 0) are. Without it the camera is taken to be level, the ground to be
    under the body's lowest point. A body that is not in front of the camera is a ValueError.
    """
    posed = pose_body(body, parameters_cam)
    return draw_person(
        body, wardrobe, posed, parameters_cam, K, width, height, attributes, rng, supersample, T_cam_from_world
    )


def draw_person(
    body: BodyModel,
    wardrobe: Wardrobe,
    posed: PosedBody,
    parameters_cam: BodyParameters,
    K: Float[np.ndarray, "3 3"],
    width: int,
    height: int,
    attributes: Mapping[str, str],
    rng: np.random.Generator,
    supersample: int = 2,
    T_cam_from_world: Float[np.ndarray, "4 4"] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """`render_person` of a body that is posed already (from `pose_bodies`: one forward pass for many)."""
    attributes = looks.complete(attributes)
    mesh = dress(dresser_for(body, wardrobe), posed, parameters_cam, attributes, rng)
    return draw_dressed(mesh, posed, K, width, height, attributes["scene"], rng, supersample, T_cam_from_world)


def draw_dressed(
    mesh: DressedMesh,
    posed: PosedBody,
    K: Float[np.ndarray, "3 3"],
    width: int,
    height: int,
    scene_name: str,
    rng: np.random.Generator,
    supersample: int = 2,
    T_cam_from_world: Float[np.ndarray, "4 4"] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """`render_person` of a body that is dressed already, in a scene by its name."""
    T_cam_from_world = _level_camera() if T_cam_from_world is None else np.asarray(T_cam_from_world, np.float64)
    foot = _foot(posed.vertices, T_cam_from_world)
    view = look(T_cam_from_world, K, width, height, foot)
    scene = draw_scene(scene_name, view, rng)
    sun_map = draw_sun_map(mesh.vertices, mesh.faces, T_cam_from_world[:3, :3] @ scene.light.towards_sun)
    shadow = GROUND_SHADOW * shadow_on_ground(sun_map, view.ground_points_cam)
    shadow += CONTACT_SHADOW * contact(mesh.vertices, view, T_cam_from_world, foot)
    shadow = np.clip(shadow, 0.0, 0.75) * view.ground
    background = out_of_focus(scene.background * (1.0 - shadow[..., None]), view, rng)

    scaled_K = np.diag([supersample, supersample, 1.0]) @ K
    lifted = mesh.vertices * (1.0 - mesh.lift / mesh.vertices[:, 2])[:, None]
    raster = rasterize(lifted, mesh.faces, scaled_K, width * supersample, height * supersample)
    normals = vertex_normals(mesh.vertices, mesh.faces)
    seen = raster.face_id >= 0
    at_vertices = np.concatenate([mesh.albedo, normals, mesh.vertices, print_places(mesh)], axis=1)
    values = interpolate(raster, mesh.faces, at_vertices)[seen]
    openness = crevices(raster, seen, float(scaled_K[0, 0]))[seen]
    points = values[:, 6:9]
    color = shade(
        mesh.pattern.applied(values[:, :3], values[:, 9:12], values[:, 12] > 0.99),
        values[:, 3:6],
        points,
        sunlit(sun_map, points, values[:, 3:6]),
        openness,
        scene.light,
        T_cam_from_world[:3, :3],
    )
    foreground = np.zeros((*seen.shape, 4), dtype=np.float32)
    foreground[seen, :3], foreground[seen, 3] = np.clip(color, 0.0, 1.2), 1.0
    foreground = averaged_down(foreground, supersample)
    return photograph(foreground[..., :3] + background * (1.0 - foreground[..., 3:]), rng)


def print_places(mesh: DressedMesh) -> Float32[np.ndarray, "verts 4"]:
    """Where each vertex lies in the pattern's cloth, and 1; 0 everywhere else. Interpolated, the last is 1 on printed faces alone."""
    places = np.zeros((len(mesh.vertices), 4), dtype=np.float32)
    places[mesh.printed, :3], places[mesh.printed, 3] = mesh.cloth, 1.0
    return places


def averaged_down(image: Float32[np.ndarray, "h w channels"], factor: int) -> Float32[np.ndarray, "h2 w2 channels"]:
    """The mean of each square of so many pixels."""
    height, width, channels = image.shape
    squares = image.reshape(height // factor, factor, width // factor, factor, channels)
    parts = [squares[:, i, :, j] for i in range(factor) for j in range(factor)]
    return sum(parts[1:], start=parts[0]) / np.float32(factor**2)


def dress(
    dresser: Dresser,
    posed: PosedBody,
    parameters_cam: BodyParameters,
    attributes: Mapping[str, str],
    rng: np.random.Generator,
) -> DressedMesh:
    """Body and garments as one mesh with its colours. attributes: all of `attributes.VALUES`."""
    choices = {
        "shoes": looks.SHOES_GARMENTS[attributes["shoes"]],
        "bottom": looks.BOTTOM_GARMENTS[attributes["bottom"]],
        "top": looks.TOP_GARMENTS[attributes["top"]],
    }
    # From inside to outside: a top hangs over trousers, and is tucked into a skirt; a coat is worn over everything.
    if attributes["bottom"] == "skirt" and attributes["top"] != "coat":
        choices["bottom"] = choices.pop("bottom")
    garments = {part: names[int(rng.integers(len(names)))] for part, names in choices.items() if names}
    cloth = {part: looks.jittered(looks.CLOTH_COLORS[attributes[f"{part}_color"]], rng) for part in choices}
    colors = {name: cloth[part] for part, name in garments.items()}
    hair_color = looks.jittered(looks.HAIR_COLORS[attributes["hair_color"]], rng)
    styles = looks.HAIR_GARMENTS[attributes["hair_style"]]
    if styles:
        colors[styles[int(rng.integers(len(styles)))]] = hair_color
    skin = looks.jittered(looks.SKIN_COLORS[attributes["skin"]], rng, 0.7)
    outfit = dresser.outfit(tuple(colors))
    vertices, albedo, first = [posed.vertices], [dresser.skin_paint().albedo(skin, hair_color, rng)], {}
    for name, color in colors.items():
        garment = dresser.wardrobe.garments[name]
        first[name] = sum(len(part) for part in vertices)
        vertices.append(pose_garment(garment, parameters_cam, posed))
        albedo.append(garment.shade[:, None] * color.astype(np.float32))
    top = dresser.layer(garments["top"]).vertices
    return DressedMesh(
        np.concatenate(vertices).astype(np.float32),
        outfit.faces,
        np.concatenate(albedo).astype(np.float32),
        outfit.lift,
        slice(first[garments["top"]], first[garments["top"]] + len(top)),
        top.astype(np.float32),
        draw_pattern(attributes["top_pattern"], cloth["top"], rng),
    )


def _foot(vertices_cam: Float[np.ndarray, "verts 3"], T_cam_from_world: Float[np.ndarray, "4 4"]) -> np.ndarray:
    """The point of the ground below the body, world: the ground is y = 0, or the lowest vertex where that is lower."""
    rotmat = T_cam_from_world[:3, :3]
    world = (vertices_cam - T_cam_from_world[:3, 3]) @ rotmat
    middle = (world.min(axis=0) + world.max(axis=0)) / 2
    is_known = not np.array_equal(T_cam_from_world, _level_camera())
    lowest = float(world[:, 1].min())
    return np.array([middle[0], min(lowest, 0.0) if is_known else lowest, middle[2]])


def _level_camera() -> Float[np.ndarray, "4 4"]:
    """A camera in its own world: x right, y up (image rows run down), looking along the world's -z."""
    return np.diag([1.0, -1.0, -1.0, 1.0])
