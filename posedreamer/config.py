"""The configuration of a run: strict, frozen models. An unknown key or an impossible value is an error that names the field.

A run is identified by everything here except `engine` (how many actors work, and on what) and `gates` (what stops it): they do not
change a byte.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from posedreamer.engine_config import EngineConfig, GateConfig, GatesConfig
from posedreamer.filters_config import FiltersConfig
from posedreamer.strict import Positive, PositiveFloat, Share, Strict, read_yaml

ConditionKind = Literal["xyz", "depth", "normals", "parts", "openpose"]
Split = Literal["train", "held_out", "all"]


class ImageConfig(Strict):
    """Size of the stored image in pixels, and its file format (jpg has quality 95)."""

    width: Annotated[int, Field(ge=64, le=4096)] = 128
    height: Annotated[int, Field(ge=64, le=4096)] = 128
    format: Literal["jpg", "png", "webp"] = "jpg"


class RoundsConfig(Strict):
    """How the wished number of kept samples is spread over rounds of whole shards.

    count: rounds planned; more follow while samples are missing. first_share: part of the samples asked of round 0.
    assumed_keep_rate: used until a round has shown one; max_shards: where the run stops, reached or not.
    """

    count: Positive = 2
    first_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    assumed_keep_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    max_shards: Positive = 64


class SourceConfig(Strict):
    """Where poses come from. library: named poses; motion: AMASS SMPL-X files (path, folder, glob or URL).

    farthest: of motion, so many poses that lie far apart and their neighbours, instead of all frames (DrPose's set: 1500). The curriculum is one more source; its weight is mining.curriculum.share.
    """

    kind: Literal["library", "motion"]
    weight: PositiveFloat = 1.0
    path: str | None = None
    families: tuple[str, ...] | None = None
    farthest: Positive | None = None

    @model_validator(mode="after")
    def _path_belongs_to_motion(self) -> "SourceConfig":
        if self.kind == "motion" and self.path is None:
            raise ValueError("a motion source needs `path`: a file, folder, glob or URL")
        if self.kind == "library" and self.path is not None:
            raise ValueError("a library source takes no `path`")
        if self.kind == "motion" and self.families is not None:
            raise ValueError("a motion source takes no `families`")
        if self.kind == "library" and self.farthest is not None:
            raise ValueError("a library source takes no `farthest`")
        return self


class ViewpointConfig(Strict):
    """Camera ranges: degrees, except focal_mm (full-frame equivalent, 36 mm wide). Crop shares add up to 1."""

    elevation_deg: tuple[float, float] = (-15.0, 35.0)
    roll_sigma_deg: Annotated[float, Field(ge=0.0, le=45.0)] = 4.0
    focal_mm: tuple[float, float] = (28.0, 85.0)
    full_body: Share = 0.7
    half_body: Share = 0.2
    truncated: Share = 0.1

    @model_validator(mode="after")
    def _ranges(self) -> "ViewpointConfig":
        for name in ("elevation_deg", "focal_mm"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"{name}: the first value must not exceed the second, got {low} and {high}")
        if not -80.0 <= self.elevation_deg[0] <= self.elevation_deg[1] <= 80.0:
            raise ValueError(f"elevation_deg must stay within -80 and 80 degrees, got {self.elevation_deg}")
        if self.focal_mm[0] <= 0:
            raise ValueError(f"focal_mm must be positive, got {self.focal_mm}")
        total = self.full_body + self.half_body + self.truncated
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"full_body + half_body + truncated must be 1, got {total}")
        return self


class SamplingConfig(Strict):
    """Stage 1. prompts: an embedded grammar by name, or a YAML file. split: which part of assets/splits.yaml is drawn.

    labels_of: a run whose labels and prompts are taken instead, place by place; nothing else here but the rasterizer counts then.
    """

    sources: Annotated[tuple[SourceConfig, ...], Field(min_length=1)] = (SourceConfig(kind="library"),)
    split: Split = "all"
    prompts: str = "people"
    viewpoints: ViewpointConfig = ViewpointConfig()
    betas_sigma: Annotated[float, Field(ge=0.0, le=3.0)] = 1.0
    rasterizer: Literal["numba", "opengl"] = "numba"
    labels_of: str | None = None


class GeneratorConfig(Strict):
    """Stage 2. model: `nano`, a pipeline's folder or hub id, or `renderer` or `second_renderer`, which need none of the other fields.

    controlnet: a folder or hub id, when the pipeline has none of its own.
    """

    model: str = "nano"
    controlnet: str | None = None
    condition: ConditionKind = "xyz"
    adapters: tuple[str, ...] = ()
    steps: Positive = 20
    guidance: Annotated[float, Field(ge=0.0)] = 2.0
    controlnet_scale: Annotated[float, Field(ge=0.0)] = 1.0
    negative_prompt: str = ""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    device: str = "cpu"
    batch_size: Positive = 8
    threads: Positive = 1


class CurriculumConfig(Strict):
    """What a finished round hands to the next: hard candidates, but of predicted `oks` above the floor.

    share: part of the next round's poses that comes from the curriculum; the rest is drawn as in round 0.
    pool: candidates scored; floor: lowest predicted oks that may be chosen.
    """

    share: Share = 0.5
    pool: Positive = 2000
    chosen: Positive = 200
    floor: Share = 0.3
    threads: Positive = 1


class LearnerConfig(Strict):
    """Whoever is to learn from the data. model: the folder that pipelines/train_hmr.py wrote, or `package.module:Class` with the
    protocol of estimators/mesh.py, made from the settings where samples are scored (engine.mining.runtime_env may bring it there).
    """

    model: str
    settings: dict[str, str | int | float | bool | None] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _a_folder_has_settings_of_its_own(self) -> "LearnerConfig":
        if self.settings and ":" not in self.model:
            raise ValueError(f"settings go to a `package.module:Class`; got {self.settings} and {self.model!r}")
        return self


class MiningConfig(Strict):
    """Stage 3: scores of picture against label, and the curriculum fitted on them between rounds.

    target: for whom the next round is to be hard. generation: the generator (lowest predicted oks); hmr: the learner (highest
    predicted difficulty, known of kept samples). learner: without one, difficulty is unknown.
    """

    target: Literal["generation", "hmr"] = "generation"
    learner: LearnerConfig | None = None
    curriculum: CurriculumConfig = CurriculumConfig()
    threads: Positive = 1

    @model_validator(mode="after")
    def _difficulty_needs_a_learner(self) -> "MiningConfig":
        if self.target == "hmr" and self.learner is None:
            raise ValueError("target `hmr` needs a `learner`: a folder that train_hmr wrote, or package.module:Class")
        return self


class StorageConfig(Strict):
    keep_rejects: bool = True


class ReferenceConfig(Strict):
    """What the kept set is compared with (kid_effnet, fd_effnet): a folder of images, or true renders made for the run."""

    folder: str | None = None
    renders: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _one_of(self) -> "ReferenceConfig":
        if self.folder is not None and self.renders:
            raise ValueError("give either `folder` or `renders`, not both")
        return self


class Config(Strict):
    """One run. samples: how many are to be kept; shard_size: how many are attempted in a shard, the unit of work.

    candidates: pictures of each label, for preference pairs; all of them count as samples.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    seed: Annotated[int, Field(ge=0)] = 0
    samples: Positive = 64
    shard_size: Annotated[int, Field(ge=1, le=9999)] = 32
    candidates: Positive = 1
    body: str = "open"
    image: ImageConfig = ImageConfig()
    rounds: RoundsConfig = RoundsConfig()
    sampling: SamplingConfig = SamplingConfig()
    generator: GeneratorConfig = GeneratorConfig()
    mining: MiningConfig = MiningConfig()
    filters: FiltersConfig = FiltersConfig()
    storage: StorageConfig = StorageConfig()
    reference: ReferenceConfig = ReferenceConfig()
    gates: GatesConfig = GatesConfig()
    engine: EngineConfig = EngineConfig()

    @model_validator(mode="after")
    def _renders_need_a_wardrobe(self) -> "Config":
        if self.reference.renders and self.body != "open":
            raise ValueError(
                f"reference.renders draws dressed people, which needs `body: open`, got body {self.body!r}"
            )
        if self.generator.model == "renderer" and self.body != "open":
            raise ValueError(f"generator.model `renderer` needs `body: open`, got body {self.body!r}")
        return self

    @model_validator(mode="after")
    def _distance_needs_a_reference(self) -> "Config":
        if self.gates.kid_effnet != GateConfig() and self.reference == ReferenceConfig():
            raise ValueError(
                "gates.kid_effnet: there is nothing to compare with; set reference.folder or reference.renders"
            )
        return self

    @model_validator(mode="after")
    def _labels_of_a_run_are_all_there_are(self) -> "Config":
        if self.sampling.labels_of is not None and self.mining.curriculum.share > 0:
            raise ValueError("sampling.labels_of: labels are those of another run; set mining.curriculum.share to 0")
        return self

    @model_validator(mode="after")
    def _shards_hold_whole_labels(self) -> "Config":
        if self.shard_size % self.candidates:
            raise ValueError(
                f"shard_size must be a multiple of candidates, got {self.shard_size} and {self.candidates}"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """Everything that can change a byte of the result: all of the config but `gates` and `engine`."""
        return self.model_dump(mode="json", exclude={"gates", "engine"})

    @property
    def hash(self) -> str:
        """sha256 of the identity's canonical JSON, hex."""
        return _hash_json(self.identity())

    @property
    def key_hash(self) -> str:
        """The same of all but `filters`; its first eight digits start every key.

        Whatever the checks ask for, the same label and picture stand under a key (before a curriculum comes between), so a
        finished run can be decided anew (refilter.py).
        """
        return _hash_json({name: value for name, value in self.identity().items() if name != "filters"})


class RunConfig(Strict):
    """A run of the line that something else needs. config: its YAML file; set: overrides."""

    config: Path
    set: tuple[str, ...] = ()


def _hash_json(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The config of a YAML file with `a.b=value` overrides; errors as in `read_yaml`."""
    return read_yaml(Config, path, overrides)
