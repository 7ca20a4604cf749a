"""How far the kept pictures of a run are, as a set, from a reference: kid_effnet and fd_effnet in `set_distance.json`.

The reference is a folder of pictures, or true renders made for the run: shapes and poses of the held-out split, drawn by the
run's own settings, photographed by the renderer instead of the generator. Their prompts are drawn from all: the held-out ones
have few pairs of colours, and the distance would measure just that. The renders follow from the run's seed, so they are not
stored; their sha256 is.
"""

import contextlib
import json
import logging
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from posedreamer.bodies.catalog import load_body, load_wardrobe
from posedreamer.config import Config, SourceConfig
from posedreamer.estimators.features import FeatureExtractor
from posedreamer.metrics.reference import MIN_IMAGES, distance_to_reference
from posedreamer.rendering.people import render_person
from posedreamer.report.selection import spread
from posedreamer.report.statistics import SET_DISTANCE_NAME, index_rows
from posedreamer.sample import Sample
from posedreamer.seeds import generator_for
from posedreamer.stages.sampling.prompts import PromptGrammar
from posedreamer.stages.sampling.stage import SamplingStage, prompt_path
from posedreamer.storage.files import join, remove_file, write_file
from posedreamer.storage.images import encode_rgb
from posedreamer.storage.index import read_index, read_shard_index
from posedreamer.storage.shard import read_pictures

log = logging.getLogger(__name__)
MAX_IMAGES = 1024  # of the run; more are spread over it evenly


def write_set_distance(config: Config, run_dir: str | Path) -> dict[str, Any] | None:
    """Measures the kept pictures against the configured reference and writes the figures; None without a reference.

    A run with too few kept pictures to be measured gets a file that says so, with null figures.
    """
    path = join(run_dir, SET_DISTANCE_NAME)
    reference = config.reference
    if reference.folder is None and not reference.renders:
        remove_file(path)
        return None
    images = kept_images(run_dir, MAX_IMAGES)
    if len(images) < MIN_IMAGES:
        why = f"{len(images)} kept pictures, at least {MIN_IMAGES} are needed"
        record = {"kid_effnet": None, "fd_effnet": None, "why": why}
    else:
        with reference_folder(config) as folder:
            distance = distance_to_reference(images, folder, FeatureExtractor().setup())
        what = "true renders of the held-out split" if reference.folder is None else reference.folder
        log.info("%s: %s", run_dir, distance.describe())
        record = {**asdict(distance), "reference": what}
    write_file(path, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    return record


@contextlib.contextmanager
def reference_folder(config: Config) -> Iterator[Path]:
    """The configured folder of reference pictures; renders are made anew, in a folder that is gone afterwards."""
    if config.reference.folder is not None:
        yield Path(config.reference.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        render_reference(config, config.reference.renders, Path(temporary))
        yield Path(temporary)


def kept_images(
    run_dir: str | Path, count: int, shards: Collection[int] | None = None
) -> list[UInt8[np.ndarray, "_h _w 3"]]:
    """The pictures of at most `count` kept samples, evenly spread over the run (or the named shards), in its order."""
    index = (
        read_index(run_dir)
        if shards is None
        else pa.concat_tables(read_shard_index(run_dir, k) for k in sorted(shards))
    )
    rows = spread([row for row in index_rows(index) if row["status"] == "kept"], count)
    wanted: dict[int, set[str]] = {}
    for row in rows:
        wanted.setdefault(row["shard"], set()).add(row["key"])
    return [
        rgb
        for shard, keys in wanted.items()
        for _, rgb in read_pictures(join(run_dir, f"shards/{shard:06d}.tar"), keys)
    ]


def render_reference(config: Config, count: int, folder: Path) -> None:
    """Renders `count` held-out people with the run's cameras into a folder, as PNG named by their keys."""
    body, wardrobe = load_body(config.body), load_wardrobe()
    grammar = PromptGrammar.from_yaml(prompt_path(config.sampling.prompts))
    for sample in reference_samples(config, count):
        label, prompt = sample.label, grammar.draw(generator_for(config.seed, sample.key, "reference_prompt"))
        if label is None:
            continue  # no label could be drawn for this key; the log says why
        rng = generator_for(config.seed, sample.key, "scene")
        rgb = render_person(
            body,
            wardrobe,
            label.parameters,
            label.K,
            label.width,
            label.height,
            prompt.attributes,
            rng,
            T_cam_from_world=label.T_cam_from_world,
        )
        (folder / f"{sample.key}.png").write_bytes(encode_rgb(rgb, "png", fast=True))


def reference_samples(config: Config, count: int) -> Sequence[Sample]:
    """Labels and prompts of the held-out split, by the run's own sampling settings; poses from the named library alone."""
    settings = config.sampling
    libraries = tuple(source for source in settings.sources if source.kind == "library") or (
        SourceConfig(kind="library"),
    )
    only_libraries = config.model_copy(update={"sampling": settings.model_copy(update={"sources": libraries})})
    stage = SamplingStage.from_config(only_libraries, split="held_out")
    stage.setup()
    return stage([Sample(f"reference-{place:06d}", config.seed) for place in range(count)])
