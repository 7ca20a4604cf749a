"""The data set of the nano generator: dressed people, their xyz maps and prompts, packed for fast reading (packed.py).

A folder holds `images.npy` and `xyz.npy` (uint8, count x size x size x 3), `coco_keypoints.npy` (float32, count x 17 x 3: x, y,
v as in the record), `mask_area.npy` (float32, pixels of the label's silhouette), `prompts.json` (list of texts),
`attributes.json` (list of mappings) and `tags.json` (list of lists: the pose's family first, then its names).
"""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.catalog import load_body, load_wardrobe
from posedreamer.bodies.posing import PosedBody, pose_bodies, transform_parameters
from posedreamer.bodies.wardrobe import Wardrobe
from posedreamer.rendering.conditions import condition_renderer_id, draw_condition
from posedreamer.rendering.label import draw_posed_label
from posedreamer.rendering.people import draw_person
from posedreamer.sample import BodyParameters, Prompt
from posedreamer.seeds import generator_for
from posedreamer.stages.sampling.library import load_library
from posedreamer.stages.sampling.library_source import LibrarySource
from posedreamer.stages.sampling.motion import MotionSource
from posedreamer.stages.sampling.placing import draw_to_parameters
from posedreamer.stages.sampling.prompts import PEOPLE_PROMPTS, PromptGrammar
from posedreamer.stages.sampling.shapes import draw_betas
from posedreamer.stages.sampling.sources import MixedSource, PoseSource
from posedreamer.stages.sampling.splits import Split
from posedreamer.stages.sampling.viewpoints import ViewpointRanges, draw_camera
from posedreamer.training.packed import Rows, RowType, create_packed, open_packed, write_chunk

ARRAYS = ("images", "xyz", "coco_keypoints", "mask_area")


class PeopleMaker(NamedTuple):
    """Everything a picture is drawn from, loaded once."""

    body: BodyModel
    wardrobe: Wardrobe
    source: PoseSource
    grammar: PromptGrammar
    split: Split


class Batch(NamedTuple):
    """Pictures and what is known of them, row by row."""

    images: UInt8[np.ndarray, "batch h w 3"]
    xyz: UInt8[np.ndarray, "batch h w 3"]
    coco_keypoints: Float32[np.ndarray, "batch 17 3"]
    mask_area: Float32[np.ndarray, " batch"]
    prompts: list[Prompt]
    tags: list[tuple[str, ...]]


def make_people_maker(body: BodyModel, wardrobe: Wardrobe, split: Split) -> PeopleMaker:
    """Poses as the line draws them, and, for variety, some mixed and shaken more; a fifth are frames of the embedded clips."""
    hand_mean = body.get_buffer("hand_mean").numpy()
    plain = LibrarySource(load_library(), hand_mean, split=split)
    varied = LibrarySource(load_library(), hand_mean, split=split, interpolation=0.7, jitter=2.0)
    clips = MotionSource("clips", hand_mean, split=split)
    source = MixedSource([plain, varied, clips], [0.55, 0.25, 0.2])
    return PeopleMaker(body, wardrobe, source, PromptGrammar.from_yaml(PEOPLE_PROMPTS), split)


def render_batch(maker: PeopleMaker, seed: int, keys: list[str], size: int) -> Batch:
    """One picture a key, all drawn from (seed, key), but that two neighbours share a pose: drawing poses is the dear part."""
    worlds: list[BodyParameters] = []
    draws = [maker.source.draw(generator_for(seed, key, "pose")) for key in keys[::2]]
    for place, key in enumerate(keys):
        draw = draws[place // 2]
        betas = draw_betas(generator_for(seed, key, "shape"), split=maker.split)
        worlds.append(draw_to_parameters(draw, betas))
    rows = [
        _render_one(maker, seed, key, size, parameters, posed)
        for key, parameters, posed in zip(keys, worlds, pose_bodies(maker.body, worlds), strict=True)
    ]
    images, maps, keypoints, areas, prompts = zip(*rows, strict=True)
    return Batch(
        np.stack(images),
        np.stack(maps),
        np.stack(keypoints),
        np.array(areas, dtype=np.float32),
        list(prompts),
        [draws[place // 2].tags for place in range(len(keys))],
    )


def move_body(
    body: BodyModel, parameters: BodyParameters, posed: PosedBody, T_a_from_b: Float[np.ndarray, "4 4"]
) -> tuple[BodyParameters, PosedBody]:
    """Parameters and posed body of frame b, seen from frame a: the same as posing the moved parameters, but quicker."""
    moved = transform_parameters(body, parameters, T_a_from_b)
    rotmat, shift = T_a_from_b[:3, :3].astype(np.float32), T_a_from_b[:3, 3].astype(np.float32)
    transforms = posed.transforms.copy()
    transforms[:, :3, :3] = rotmat @ posed.transforms[:, :3, :3]
    # posed = transform(rest) + transl in either frame.
    transforms[:, :3, 3] = (posed.transforms[:, :3, 3] + parameters.transl) @ rotmat.T + shift - moved.transl
    return moved, PosedBody(posed.vertices @ rotmat.T + shift, posed.joints @ rotmat.T + shift, transforms)


def write_people_chunk(folder: Path, split: Split, seed: int, size: int, chunk: int) -> bool:
    """Renders a chunk that is not there yet, into a folder made by `create_dataset`."""

    def make(rows: range) -> Rows:
        batch = render_batch(_embedded_maker(split), seed, [f"{split}-{row:07d}" for row in rows], size)
        said = {
            "prompts": [prompt.text for prompt in batch.prompts],
            "attributes": [dict(prompt.attributes) for prompt in batch.prompts],
            "tags": batch.tags,
        }
        return {name: getattr(batch, name) for name in ARRAYS}, said

    return write_chunk(folder, chunk, make)


def create_dataset(folder: Path, split: Split, seed: int, size: int, count: int) -> list[int]:
    """Makes the empty arrays, or checks that the folder holds the same data set begun earlier; returns all chunks.

    A folder of another data set is a ValueError that names the difference.
    """
    settings = {
        "split": split,
        "seed": seed,
        "size": size,
        "count": count,
        "body_sha256": load_body().sha256,
        "condition": condition_renderer_id("xyz"),
    }
    arrays: dict[str, RowType] = {
        "images": ((size, size, 3), "uint8"),
        "xyz": ((size, size, 3), "uint8"),
        "coco_keypoints": ((17, 3), "float32"),
        "mask_area": ((), "float32"),
    }
    return create_packed(folder, settings, arrays)


class People(NamedTuple):
    """The first rows of a packed data set; arrays are memory maps."""

    images: UInt8[np.ndarray, "count h w 3"]
    xyz: UInt8[np.ndarray, "count h w 3"]
    coco_keypoints: Float32[np.ndarray, "count 17 3"]
    mask_area: Float32[np.ndarray, " count"]
    prompts: list[str]
    attributes: list[dict[str, str]]
    tags: list[list[str]]


def open_dataset(folder: Path, count: int | None = None, split: Split | None = None) -> People:
    """The first `count` rows, or all. What is missing, or another split than is wanted, is a ValueError that says which.

    A data set may be opened while it is rendered, as far as its chunks are there.
    """
    arrays, said = open_packed(folder, ARRAYS, count, split)
    columns: dict[str, Any] = {**arrays, **said}
    return People(**columns)


def some_rows(people: People, rows: slice) -> People:
    """Those rows of a data set."""
    return People(
        people.images[rows],
        people.xyz[rows],
        people.coco_keypoints[rows],
        people.mask_area[rows],
        people.prompts[rows],
        people.attributes[rows],
        people.tags[rows],
    )


@functools.cache
def _embedded_maker(split: Split) -> PeopleMaker:
    return make_people_maker(load_body(), load_wardrobe(), split)


def _render_one(
    maker: PeopleMaker, seed: int, key: str, size: int, parameters: BodyParameters, posed: PosedBody
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, Prompt]:
    low, high = posed.vertices.min(axis=0), posed.vertices.max(axis=0)
    T_world_from_draw = np.eye(4)
    T_world_from_draw[:3, 3] = -np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    on_ground = posed.vertices + T_world_from_draw[:3, 3].astype(np.float32)
    joints = posed.joints + T_world_from_draw[:3, 3].astype(np.float32)
    camera = draw_camera(on_ground, joints, size, size, ViewpointRanges(), generator_for(seed, key, "camera"))
    T_cam_from_draw = camera.T_cam_from_world @ T_world_from_draw
    parameters_cam, posed_cam = move_body(maker.body, parameters, posed, T_cam_from_draw)
    drawn = draw_posed_label(maker.body, posed_cam, camera.K, size, size)
    prompt = maker.grammar.draw(generator_for(seed, key, "prompt"), maker.split)
    image = draw_person(
        maker.body, maker.wardrobe, posed_cam, parameters_cam, camera.K, size, size, prompt.attributes,
        generator_for(seed, key, "look"), T_cam_from_world=camera.T_cam_from_world,
    )  # fmt: skip
    return image, draw_condition("xyz", maker.body, drawn), drawn.coco_keypoints, int(drawn.mask.sum()), prompt
