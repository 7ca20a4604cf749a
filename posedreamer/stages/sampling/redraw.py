"""Stage 1 without a draw: the labels and prompts of another run, so that two runs differ in their pictures alone.

Shard 7, place 12 of this run gets what shard 7, place 12 of the other was made from, whatever became of it there (a rejected
sample needs the other run's `storage.keep_rejects`). So another generator, an adapter or the renderer is compared body by body.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import UInt8

from posedreamer.bodies.catalog import load_body
from posedreamer.config import Config
from posedreamer.rendering.conditions import draw_condition
from posedreamer.rendering.label import draw_label
from posedreamer.rendering.rasterizer import Backend
from posedreamer.sample import Label, Sample, failed, place_of
from posedreamer.storage.codec import IMAGE_SUFFIXES, members_to_sample
from posedreamer.storage.files import file_exists, join
from posedreamer.storage.manifest import read_manifest
from posedreamer.storage.shard import read_groups_of
from posedreamer.strict import differences


class RedrawingStage:
    """Fills label, prompt and condition from `run_dir`, a run of the same body, size of image and places in a shard."""

    def __init__(
        self, *, run_dir: str, body: str, width: int, height: int, places: int, condition: str, rasterizer: Backend
    ) -> None:
        self.run_dir, self.body_name, self.places = run_dir, body, places
        self.width, self.height = width, height
        self.condition = condition
        self.rasterizer: Backend = rasterizer
        self.shard: int | None = None

    @classmethod
    def from_config(cls, config: Config) -> "RedrawingStage":
        """The stage as configured."""
        if config.sampling.labels_of is None:
            raise ValueError("sampling.labels_of: expected a run, got none")
        return cls(
            run_dir=config.sampling.labels_of,
            body=config.body,
            width=config.image.width,
            height=config.image.height,
            places=config.shard_size // config.candidates,
            condition=config.generator.condition,
            rasterizer=config.sampling.rasterizer,
        )

    def setup(self) -> None:
        """Loads the body, once an actor."""
        self.body = load_body(self.body_name)

    def check_inputs(self) -> dict[str, str]:
        """Finds the other run before any work, and refuses one that is made otherwise; name -> identity of body and run."""
        manifest, body = read_manifest(self.run_dir), load_body(self.body_name)
        config = manifest["config"]
        found = {
            "body": manifest["body"]["sha256"],
            "image size": (config["image"]["width"], config["image"]["height"]),
            "labels in a shard": config["shard_size"] // config.get("candidates", 1),
        }
        wanted: dict[str, Any] = {
            "body": body.sha256,
            "image size": (self.width, self.height),
            "labels in a shard": self.places,
        }
        if strange := differences(found, wanted):
            raise ValueError(f"sampling.labels_of {self.run_dir}: it has {strange}")
        return {f"body:{body.name}": body.sha256, f"labels:{self.run_dir}": manifest["config_hash"]}

    def __call__(self, samples: list[Sample]) -> list[Sample]:
        """The samples with label, prompt and condition; those with a verdict pass through. Candidates share one label."""
        return [self.fill(sample) if sample.is_pending else sample for sample in samples]

    def fill(self, sample: Sample) -> Sample:
        """One sample, filled or failed."""
        shard, place = place_of(sample.key)
        if shard != self.shard:
            self.shard, self.labels = shard, read_labels(self.run_dir, shard)
        if place not in self.labels:
            return failed(sample, f"no_label: {self.run_dir} holds no label at place {place} of shard {shard}")
        key, members = self.labels[place]
        other = members_to_sample(key, members, self.run_dir, self._draw_control)
        if other.label is None or other.condition is None:
            return failed(sample, f"no_label: {key} of {self.run_dir} has none")
        condition = other.condition
        control = condition.xyz if self.condition == "xyz" else self._draw_control(self.condition, other.label)
        condition = replace(condition, kind=self.condition, control=control)
        return replace(sample, label=other.label, prompt=other.prompt, condition=condition)

    def _draw_control(self, kind: str, label: Label) -> UInt8[np.ndarray, "h w 3"]:
        drawn = draw_label(self.body, label.parameters, label.K, label.width, label.height, self.rasterizer)
        return draw_condition(kind, self.body, drawn)


def read_labels(run_dir: str, shard: int) -> dict[int, tuple[str, dict[str, bytes]]]:
    """Key and members, but for the picture, of the sample at each place of a shard, kept or rejected; of several candidates one."""
    found: dict[int, tuple[str, dict[str, bytes]]] = {}
    for folder in ("shards", "rejects"):
        path = join(run_dir, f"{folder}/{shard:06d}.tar")
        if file_exists(path):
            for key, members in read_groups_of(path):
                without = {suffix: content for suffix, content in members.items() if suffix not in IMAGE_SUFFIXES}
                found[place_of(key)[1]] = key, without
    return found
