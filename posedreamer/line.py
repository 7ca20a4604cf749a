"""From a config to a dataset: `generate` is the story in five beats, the rest of this file are its words.

`pipelines/generate.py` and `posedreamer generate` both call it.
"""

import contextlib
import logging
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from rich.console import Console

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.catalog import load_body
from posedreamer.config import Config, load_config
from posedreamer.curriculum import hand_over
from posedreamer.estimators.mesh import chosen_estimator, find_estimator
from posedreamer.estimators.text_image import TextImageModel
from posedreamer.estimators.unsafe import UnsafeClassifier
from posedreamer.factory import Line, run_line
from posedreamer.gates import Gates
from posedreamer.progress import ShardProgress
from posedreamer.report.card import write_card
from posedreamer.report.gallery import write_gallery
from posedreamer.report.set_distance import write_set_distance
from posedreamer.report.statistics import run_statistics
from posedreamer.stages.filtering.checks import Check
from posedreamer.stages.filtering.model_checks import SafetyCheck, TextImageCheck
from posedreamer.stages.filtering.person_checks import (
    ClothesCheck,
    HeadCheck,
    JointCheck,
    OksCheck,
    PersonCheck,
    SecondJudgeCheck,
    SecondPersonCheck,
    SilhouetteCheck,
    TruncationCheck,
    VisibilityCheck,
)
from posedreamer.stages.filtering.picture_checks import ColourCheck, ExposureCheck, SharpnessCheck
from posedreamer.stages.filtering.skin import SkinCheck
from posedreamer.stages.filtering.stage import FilteringStage
from posedreamer.stages.generation.renderer import RENDERER, SECOND_RENDERER, RenderingStage, SecondRenderingStage
from posedreamer.stages.generation.stage import GenerationStage
from posedreamer.stages.mining.stage import MiningStage
from posedreamer.stages.sampling.redraw import RedrawingStage
from posedreamer.stages.sampling.stage import SamplingStage
from posedreamer.storage.manifest import open_run
from posedreamer.storage.provenance import describe_body, make_manifest
from posedreamer.storage.stats import ShardStats

log = logging.getLogger(__name__)


def generate(config_path: Path, run_dir: str, overrides: Sequence[str]) -> None:
    """Makes a dataset, or goes on with one that was interrupted; killed at any time, it ends with the same bytes."""
    console = Console()

    # config: one YAML file, strict; an unknown key is an error
    config = load_config(config_path, overrides)

    # inputs: body, poses, prompts, weights; what is missing is said now
    run_dir = absolute_run_dir(run_dir)
    body = open_inputs(config, run_dir)

    with resumable(config_path, run_dir, overrides, console):
        with ShardProgress(config.samples, console) as progress, Gates(config, run_dir) as gates:
            # stages and run: rounds of shards; the stages of a round are made when the rounds before it are done
            run_line(
                config,
                run_dir,
                describe_body(body),
                line_of_round=lambda round_index: make_line(config, run_dir, round_index),
                on_shard=lambda stats, is_new: tell([progress, gates], stats, is_new),
            )

        # report: set-level distances, gallery, dataset card
        report(config, run_dir, console)


def gather_overrides(sets: Sequence[str], samples: int | None, seed: int | None) -> list[str]:
    """`--samples` and `--seed` as the overrides that they stand for, after the others."""
    named = {"samples": samples, "seed": seed}
    return [*sets, *(f"{name}={value}" for name, value in named.items() if value is not None)]


def absolute_run_dir(run_dir: str) -> str:
    """The run directory as every actor can find it: a URL as it is, a path made absolute.

    On a cluster a relative path is a ValueError: it would mean another place on every node.
    """
    if "://" in run_dir or Path(run_dir).is_absolute():
        return run_dir
    if "RAY_ADDRESS" in os.environ:
        raise ValueError(f"--out {run_dir}: on a cluster give an absolute path that all nodes share, or a URL")
    return str(Path(run_dir).absolute())


def tell(watchers: Sequence[ShardProgress | Gates], stats: ShardStats, is_new: bool) -> None:
    """Tells each of them of a finished shard."""
    for watcher in watchers:
        watcher.add_shard(stats, is_new)


def open_inputs(config: Config, run_dir: str) -> BodyModel:
    """Loads what can be missing, and opens the run directory for this config; whatever is wrong is said before any work."""
    body = load_body(config.body)
    weights = {}
    for stage in (sampling_stage(config), generation_stage(config), filtering_stage(config)):
        weights.update(stage.check_inputs())
    if config.mining.learner is not None:
        weights.update(find_estimator(config.mining.learner.model, body))
    open_run(run_dir, make_manifest(config.identity(), config.hash, body, weights))
    return body


def make_line(config: Config, run_dir: str, round_index: int) -> Line:
    """The four stages of a round. Before every round but the first, the curriculum is fitted on the rounds before it."""
    curriculum = None
    if round_index > 0 and config.mining.curriculum.share > 0:
        plain = SamplingStage.from_config(config)
        plain.setup()
        curriculum = hand_over(config, run_dir, round_index, plain.source)
    return Line(
        sampling=sampling_stage(config, curriculum),
        generation=generation_stage(config),
        mining=mining_stage(config),
        filtering=filtering_stage(config),
    )


def sampling_stage(config: Config, curriculum: str | None = None) -> SamplingStage | RedrawingStage:
    """Stage 1 as configured: labels that are drawn, or those of another run."""
    if config.sampling.labels_of is not None:
        return RedrawingStage.from_config(config)
    return SamplingStage.from_config(config, curriculum)


def generation_stage(config: Config) -> GenerationStage | RenderingStage | SecondRenderingStage:
    """Stage 2 as configured: a diffusion model, or a renderer."""
    if config.generator.model == RENDERER:
        return RenderingStage()
    if config.generator.model == SECOND_RENDERER:
        return SecondRenderingStage(config.body)
    return GenerationStage(**config.generator.model_dump())


def mining_stage(config: Config) -> MiningStage:
    """Stage 3 as configured: the judge, and the learner if there is one."""
    mining = config.mining
    if mining.learner is None:
        return MiningStage(mining.threads)
    estimator = chosen_estimator(mining.learner.model, mining.learner.settings, config.body, mining.threads)
    return MiningStage(mining.threads, estimator)


def filtering_stage(config: Config) -> FilteringStage:
    """Stage 4 as configured: the checks in their order."""
    filters, threads = config.filters, config.filters.threads
    checks: dict[str, Check] = {
        "exposure": ExposureCheck(filters.exposure.min_contrast, filters.exposure.max_clipped),
        "colour": ColourCheck(filters.colour.min_colourfulness, filters.colour.min_range, filters.colour.max_cast),
        "sharpness": SharpnessCheck(filters.sharpness.max_blur),
        "truncation": TruncationCheck(filters.truncation.min),
        "person": PersonCheck(filters.person.min),
        "second_person": SecondPersonCheck(filters.second_person.max, threads),
        "oks": OksCheck(filters.oks.min),
        "joint": JointCheck(filters.joint.min),
        "head": HeadCheck(filters.head.max),
        "visibility": VisibilityCheck(filters.visibility.min_face, filters.visibility.min_hands),
        "second_judge": SecondJudgeCheck(filters.second_judge.min),
        "clothes": ClothesCheck(filters.clothes.min_top, filters.clothes.min_bottom),
        "silhouette": SilhouetteCheck(filters.silhouette.min),
        "skin": SkinCheck(filters.skin.max, config.body),
        "text_image": TextImageCheck(TextImageModel(filters.text_image.model or "", threads), filters.text_image.min),
        "safety": SafetyCheck(
            UnsafeClassifier(filters.safety.model or "", filters.safety.labels, threads), filters.safety.max
        ),
    }
    return FilteringStage([checks[name] for name in filters.order])


def report(config: Config, run_dir: str, console: Console) -> None:
    """Writes the set-level distances, the gallery and the dataset card, and prints what a person wants to know."""
    write_set_distance(config, run_dir)
    page = write_gallery(run_dir, Path(run_dir) / "report.html")
    write_card(run_dir)
    statistics = run_statistics(run_dir)
    console.print(yaml.safe_dump(statistics["summary"], sort_keys=False))
    console.print(f"report: {page}")


@contextlib.contextmanager
def resumable(config_path: Path, run_dir: str, overrides: Sequence[str], console: Console) -> Iterator[None]:
    """Whatever stops the block, the last line printed is the command that goes on from there."""
    sets = [part for override in overrides for part in ("--set", override)]
    command = shlex.join(["posedreamer", "generate", "--config", str(config_path), "--out", run_dir, *sets])
    try:
        yield
    except BaseException:
        console.print(f"\nnothing finished is lost; to go on from here:\n  {command}", highlight=False, soft_wrap=True)
        raise
