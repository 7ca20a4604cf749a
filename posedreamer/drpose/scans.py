"""Scans: dressed bodies as a multi-view model learns from them, drawn in PSHuman's six views, each with one photograph.

Colours are lit from the front camera's upper left, without shadows; normals are those of the front camera in OpenGL's axes (x right, y up,
z towards the viewer) as (n + 1) / 2, in every view; both on white. A photograph is what the generator's training set holds: perspective,
with light and a scene.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.posing import PosedBody, pose_body
from posedreamer.bodies.wardrobe import Wardrobe
from posedreamer.drpose.views import VIEWS, SubjectFrame, rotate_to_view
from posedreamer.geometry.cameras import make_K
from posedreamer.rendering import attributes as looks
from posedreamer.rendering.dressing import dresser_for
from posedreamer.rendering.people import DressedMesh, averaged_down, draw_dressed, dress, print_places
from posedreamer.rendering.rasterizer import interpolate, rasterize, vertex_normals
from posedreamer.rendering.shading import linear_to_srgb
from posedreamer.sample import BodyParameters
from posedreamer.seeds import generator_for
from posedreamer.stages.sampling.library import load_library
from posedreamer.stages.sampling.library_source import LibrarySource
from posedreamer.stages.sampling.motion import MotionSource
from posedreamer.stages.sampling.placing import draw_to_parameters
from posedreamer.stages.sampling.prompts import PEOPLE_PROMPTS, PromptGrammar
from posedreamer.stages.sampling.shapes import draw_betas
from posedreamer.stages.sampling.sources import MixedSource, PoseDraw, PoseSource
from posedreamer.stages.sampling.splits import Split
from posedreamer.stages.sampling.viewpoints import ViewpointRanges, draw_camera
from posedreamer.training.nano_data import move_body

PHOTO_SIZE = 192
SUPERSAMPLE = 2
FAR = 1e4  # a perspective camera at so many diagonals is orthographic to 0.01 pixels
WHITE = 255.0
TOWARDS_LIGHT = np.array([-0.36, -0.64, -0.68])  # in the front camera's axes: x right, y down, z forward
SHADED = 0.55  # what a surface that faces away from the light keeps
CLIPS = "clips"  # names the embedded motions among families
SHARES: dict[type, float] = {LibrarySource: 0.35, MotionSource: 0.3}  # plain and varied poses of the library, and clips
WHOLE_BODY = ViewpointRanges(shares=(1.0, 0.0, 0.0))


class ScanMaker(NamedTuple):
    """Everything a scan is drawn from, loaded once."""

    body: BodyModel
    wardrobe: Wardrobe
    source: PoseSource
    grammar: PromptGrammar
    split: Split


class Subject(NamedTuple):
    """One dressed body in front of its photograph's camera. K: of a square photograph of PHOTO_SIZE."""

    mesh: DressedMesh
    posed: PosedBody
    K: Float[np.ndarray, "3 3"]
    T_cam_from_world: Float[np.ndarray, "4 4"]
    attributes: Mapping[str, str]
    tags: tuple[str, ...]


class ScanViews(NamedTuple):
    """Pictures of VIEWS as they are stored, two of them mirrored."""

    colors: UInt8[np.ndarray, "views h w 3"]
    normals: UInt8[np.ndarray, "views h w 3"]


def make_scan_maker(
    body: BodyModel, wardrobe: Wardrobe, split: Split, families: Sequence[str] | None = None
) -> ScanMaker:
    """Poses of these families of the library, and of the clips when CLIPS is among them; mixed and shaken as for the generator.

    Without families: all of them, and the clips.
    """
    hand_mean = body.get_buffer("hand_mean").numpy()
    named = None if families is None else [family for family in families if family != CLIPS]
    sources: list[PoseSource] = []
    if named is None or named:
        sources.append(LibrarySource(load_library(), hand_mean, split=split, families=named))
        varied = LibrarySource(load_library(), hand_mean, split=split, families=named, interpolation=0.7, jitter=2.0)
        sources.append(varied)
    if families is None or CLIPS in families:
        sources.append(MotionSource(CLIPS, hand_mean, split=split))
    shares = [SHARES[type(source)] for source in sources]
    source = MixedSource(sources, shares)
    return ScanMaker(body, wardrobe, source, PromptGrammar.from_yaml(PEOPLE_PROMPTS), split)


def draw_subject(maker: ScanMaker, pose: PoseDraw, seed: int, key: str) -> Subject:
    """A dressed body in this pose and the camera of its photograph, drawn from (seed, key)."""
    parameters = draw_to_parameters(pose, draw_betas(generator_for(seed, key, "shape"), split=maker.split))
    posed = pose_body(maker.body, parameters)
    low, high = posed.vertices.min(axis=0), posed.vertices.max(axis=0)
    T_world_from_draw = np.eye(4)
    T_world_from_draw[:3, 3] = -np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    shift = T_world_from_draw[:3, 3].astype(np.float32)
    camera = draw_camera(
        posed.vertices + shift, posed.joints + shift, PHOTO_SIZE, PHOTO_SIZE, WHOLE_BODY, generator_for(seed, key, "camera")
    )  # fmt: skip
    parameters_cam, posed_cam = move_body(maker.body, parameters, posed, camera.T_cam_from_world @ T_world_from_draw)
    attributes = looks.complete(maker.grammar.draw(generator_for(seed, key, "prompt"), maker.split).attributes)
    mesh = _dressed(maker, posed_cam, parameters_cam, attributes, seed, key)
    return Subject(mesh, posed_cam, camera.K, camera.T_cam_from_world, attributes, pose.tags)


def draw_photo(subject: Subject, size: int, rng: np.random.Generator) -> UInt8[np.ndarray, "size size 3"]:
    """The subject's photograph, cut as `crop_subject` cuts."""
    rgb = draw_dressed(
        subject.mesh, subject.posed, subject.K, PHOTO_SIZE, PHOTO_SIZE, subject.attributes["scene"], rng, SUPERSAMPLE,
        subject.T_cam_from_world,
    )  # fmt: skip
    pixels = subject.posed.vertices @ subject.K.T.astype(np.float32)
    pixels = pixels[:, :2] / pixels[:, 2:]
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    return crop_subject(rgb, np.concatenate([low, high - low]), size)


def crop_subject(
    rgb: UInt8[np.ndarray, "h w 3"], bbox: Float[np.ndarray, "4"], size: int
) -> UInt8[np.ndarray, "size size 3"]:
    """The square round a body's box (x, y, w, h; pixels) that the views' squares are likest to: as wide as the box's diagonal.

    What lies outside the picture repeats its border.
    """
    x, y, width, height = bbox
    side = max(round(float(np.hypot(width, height))), 1)
    left, top = round(float(x + width / 2 - side / 2)), round(float(y + height / 2 - side / 2))
    rows = np.clip(np.arange(top, top + side), 0, rgb.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, rgb.shape[1] - 1)
    kind = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(rgb[np.ix_(rows, columns)], (size, size), interpolation=kind).astype(np.uint8)


def subject_joints(subject: Subject) -> tuple[Float32[np.ndarray, "127 3"], float]:
    """The output joints in the subject's frame (`views.py`), and what its unit is in metres."""
    frame, joints = _frame(subject), torch.from_numpy(subject.posed.joints)[None]
    return frame.normalise(joints)[0].numpy(), float(frame.diagonal)


def draw_views(subject: Subject, size: int) -> ScanViews:
    """The subject in all views."""
    frame, mesh = _frame(subject), subject.mesh
    vertices = frame.normalise(torch.from_numpy(mesh.vertices)[None])[0]
    normals = vertex_normals(mesh.vertices, mesh.faces)
    at_vertices = np.concatenate([mesh.albedo, print_places(mesh), normals], axis=1)
    lift = mesh.lift / float(frame.diagonal)
    side = size * SUPERSAMPLE
    colors, shapes = [], []
    for view in VIEWS:
        points = rotate_to_view(vertices, view.azimuth).numpy().astype(np.float64)
        points[:, 2] += FAR - lift
        raster = rasterize(points, mesh.faces, make_K(FAR * side, side, side), side, side)
        seen = raster.face_id >= 0
        values = interpolate(raster, mesh.faces, at_vertices)[seen]
        facing = _towards(values[:, 7:], view.azimuth)
        shown = mesh.pattern.applied(values[:, :3], values[:, 3:6], values[:, 6] > 0.99)
        light = SHADED + (1.0 - SHADED) * (0.5 + 0.5 * facing @ (TOWARDS_LIGHT / np.linalg.norm(TOWARDS_LIGHT)))
        colors.append(_on_white(linear_to_srgb(shown * light[:, None]), seen, view.is_mirrored))
        shapes.append(_on_white(127.5 * (1.0 + facing * [1.0, -1.0, -1.0]), seen, view.is_mirrored))
    return ScanViews(np.stack(colors), np.stack(shapes))


def _towards(normals: Float[np.ndarray, "points 3"], azimuth: float) -> Float32[np.ndarray, "points 3"]:
    """Unit normals, turned round where they face away from the view: surfaces have two sides."""
    unit = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    away = rotate_to_view(torch.from_numpy(unit), azimuth).numpy()[:, 2:] > 0
    return np.where(away, -unit, unit).astype(np.float32)


def _on_white(
    values: Float[np.ndarray, "seen 3"] | UInt8[np.ndarray, "seen 3"], seen: np.ndarray, is_mirrored: bool
) -> UInt8[np.ndarray, "h w 3"]:
    picture = np.full((*seen.shape, 3), WHITE, dtype=np.float32)
    picture[seen] = values
    small = np.rint(averaged_down(picture, SUPERSAMPLE)).astype(np.uint8)
    return small[:, ::-1] if is_mirrored else small


def _frame(subject: Subject) -> SubjectFrame:
    return SubjectFrame.of(torch.from_numpy(subject.posed.vertices)[None])


def _dressed(
    maker: ScanMaker, posed: PosedBody, parameters: BodyParameters, attributes: Mapping[str, str], seed: int, key: str
) -> DressedMesh:
    dresser = dresser_for(maker.body, maker.wardrobe)
    return dress(dresser, posed, parameters, attributes, generator_for(seed, key, "look"))
