"""Stage 1: a key becomes a label, a prompt and the condition maps.

    pose  (library, motion files, curriculum)  ─┐
    shape (truncated normal betas)              ├─► body on the ground ─► camera ─► label ─► maps
    prompt (grammar)                            ┘

Everything is drawn from `seeds.generator_for(run_seed, key, purpose)` with one purpose a draw, so a change of the prompts moves
no pose. A sample whose label cannot be made ends as failed with the reason.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import transform_parameters
from posedreamer.config import Config
from posedreamer.rendering.conditions import CONDITION_KINDS, draw_condition
from posedreamer.rendering.label import draw_label
from posedreamer.rendering.rasterizer import Backend
from posedreamer.sample import Condition, Label, Sample, Verdict, split_key
from posedreamer.seeds import generator_for
from posedreamer.stages.sampling.curriculum_source import CurriculumSource
from posedreamer.stages.sampling.library import load_library
from posedreamer.stages.sampling.library_source import LibrarySource
from posedreamer.stages.sampling.motion import FarthestMotionSource, MotionSource, list_motion_files
from posedreamer.stages.sampling.penetration import PenetrationCheck
from posedreamer.stages.sampling.placing import draw_to_parameters, stand_on_ground
from posedreamer.stages.sampling.prompts import PROMPTS, PromptGrammar
from posedreamer.stages.sampling.shapes import draw_betas
from posedreamer.stages.sampling.sources import MixedSource, PoseSource
from posedreamer.stages.sampling.splits import Split
from posedreamer.stages.sampling.viewpoints import ViewpointRanges, draw_camera

logger = logging.getLogger(__name__)


class SamplingStage:
    """Fills label, prompt and condition. Bodies, poses and motion lists are loaded in `setup`.

    sources: mappings with kind (library or motion), weight, and path or families. curriculum: parquet file of chosen poses
    (None before there is one) that takes curriculum_share of the draws. prompts: an embedded grammar by name, or a YAML file.
    viewpoints: elevation_deg, roll_sigma_deg, focal_mm, and the shares full_body, half_body and truncated.
    """

    def __init__(
        self,
        *,
        body: str,
        width: int,
        height: int,
        sources: Sequence[Mapping[str, Any]],
        split: Split,
        curriculum: str | None,
        curriculum_share: float,
        prompts: str,
        viewpoints: Mapping[str, Any],
        betas_sigma: float,
        condition: str,
        rasterizer: Backend,
    ) -> None:
        if condition not in CONDITION_KINDS:
            raise ValueError(f"sampling: unknown condition {condition!r}, expected one of {CONDITION_KINDS}")
        self.body_name, self.width, self.height = body, width, height
        self.source_settings = [dict(source) for source in sources]
        self.split: Split = split
        self.curriculum, self.curriculum_share = curriculum, curriculum_share
        self.prompts = prompts
        self.ranges = viewpoint_ranges(viewpoints)
        self.betas_sigma, self.condition = betas_sigma, condition
        self.rasterizer: Backend = rasterizer

    @classmethod
    def from_config(cls, config: Config, curriculum: str | None = None, split: Split | None = None) -> "SamplingStage":
        """The stage as configured; split: instead of the configured one."""
        settings = config.sampling
        return cls(
            body=config.body,
            width=config.image.width,
            height=config.image.height,
            sources=[source.model_dump(exclude_none=True) for source in settings.sources],
            split=settings.split if split is None else split,
            curriculum=curriculum,
            curriculum_share=config.mining.curriculum.share,
            prompts=settings.prompts,
            viewpoints=settings.viewpoints.model_dump(),
            betas_sigma=settings.betas_sigma,
            condition=config.generator.condition,
            rasterizer=settings.rasterizer,
        )

    def setup(self) -> None:
        """Loads the body, the grammar and the sources, once an actor."""
        torch.set_num_threads(1)  # one body at a time: more threads only get in each other's way
        self.body = load_body(self.body_name)
        self.grammar = PromptGrammar.from_yaml(prompt_path(self.prompts))
        self.source = make_source(self.source_settings, self.split, self.body, self.curriculum, self.curriculum_share)

    def check_inputs(self) -> dict[str, str]:
        """Finds the body, the grammar and the motion files before any work; returns name -> sha256 of the body."""
        body = load_body(self.body_name)
        PromptGrammar.from_yaml(prompt_path(self.prompts))
        for source in self.source_settings:
            if source["kind"] == "motion":
                list_motion_files(source["path"])
        return {f"body:{body.name}": body.sha256}

    def __call__(self, samples: list[Sample]) -> list[Sample]:
        """The samples with label, prompt and condition; those with a verdict pass through. Candidates share one label."""
        filled: dict[str, Sample] = {}
        for sample in samples:
            name, _ = split_key(sample.key)
            if sample.is_pending and name not in filled:
                filled[name] = self.fill(replace(sample, key=name))
        return [replace(filled[split_key(s.key)[0]], key=s.key) if s.is_pending else s for s in samples]

    def fill(self, sample: Sample) -> Sample:
        """One sample, filled or failed."""
        try:
            prompt = self.grammar.draw(generator_for(sample.run_seed, sample.key, "prompt"), self.split)
            label, condition = self.draw_label_and_maps(sample)
        except ValueError as error:
            logger.warning("%s: no label: %s", sample.key, error)
            return replace(sample, verdict=Verdict("failed", f"no_label: {error}"))
        return replace(sample, prompt=prompt, label=label, condition=condition)

    def draw_label_and_maps(self, sample: Sample) -> tuple[Label, Condition]:
        """The label of a key and the maps drawn from it."""

        def rng(purpose: str) -> np.random.Generator:
            return generator_for(sample.run_seed, sample.key, purpose)

        draw = self.source.draw(rng("pose"))
        betas = draw_betas(rng("shape"), self.betas_sigma, split=self.split if self.betas_sigma > 0 else "all")
        parameters_world, posed = stand_on_ground(self.body, draw_to_parameters(draw, betas))
        view = draw_camera(posed.vertices, posed.joints, self.width, self.height, self.ranges, rng("camera"))
        parameters = transform_parameters(self.body, parameters_world, view.T_cam_from_world)
        drawn = draw_label(self.body, parameters, view.K, self.width, self.height, self.rasterizer)
        if not drawn.mask.any():
            raise ValueError("the body is outside the image")
        label = Label(
            parameters=parameters,
            K=view.K,
            T_cam_from_world=view.T_cam_from_world,
            joints_cam=drawn.joints_cam,
            keypoints=drawn.keypoints,
            visible=drawn.visible,
            coco_keypoints=drawn.coco_keypoints,
            bbox=drawn.bbox,
            width=self.width,
            height=self.height,
            source=draw.source,
            tags=(*(tag for tag in draw.tags if not tag.startswith("crop:")), f"crop:{view.crop}"),
        )
        xyz = draw_condition("xyz", self.body, drawn)
        control = xyz if self.condition == "xyz" else draw_condition(self.condition, self.body, drawn)
        return label, Condition(self.condition, control, xyz, drawn.mask, drawn.depth_mm)


def make_source(
    settings: Sequence[Mapping[str, Any]],
    split: Split,
    body: BodyModel,
    curriculum: str | None = None,
    curriculum_share: float = 0.0,
) -> PoseSource:
    """The configured sources mixed by weight, and the curriculum (when there is one) at its share of all draws."""
    hand_mean = body.get_buffer("hand_mean").numpy()
    sources: list[PoseSource] = []
    for source in settings:
        match source["kind"]:
            case "library":
                families, check = source.get("families"), PenetrationCheck(body)
                sources.append(LibrarySource(load_library(), hand_mean, split=split, families=families, check=check))
            case "motion":
                if "farthest" in source:
                    sources.append(FarthestMotionSource(source["path"], body, source["farthest"], split=split))
                else:
                    sources.append(MotionSource(source["path"], hand_mean, split=split))
            case other:
                raise ValueError(f"sampling: unknown kind of source {other!r}, expected library or motion")
    mixed = MixedSource(sources, [source.get("weight", 1.0) for source in settings])
    if curriculum is None:
        return mixed
    return MixedSource([mixed, CurriculumSource(curriculum)], [1.0 - curriculum_share, curriculum_share])


def viewpoint_ranges(settings: Mapping[str, Any]) -> ViewpointRanges:
    """Ranges from the fields of the config; the three shares are gathered into one."""
    settings = dict(settings)
    full_body, half_body, truncated = (float(settings.pop(name)) for name in ("full_body", "half_body", "truncated"))
    return ViewpointRanges(**settings, shares=(full_body, half_body, truncated))


def prompt_path(name_or_path: str) -> Path:
    """The file of an embedded grammar, or the path itself; ValueError when there is neither."""
    embedded = PROMPTS / f"{name_or_path}.yaml"
    path = embedded if embedded.is_file() else Path(name_or_path)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in PROMPTS.glob("*.yaml")))
        raise ValueError(f"prompts {name_or_path!r}: no such file, and none of the embedded grammars ({known})")
    return path
