"""Mining of a finished dataset: what a learner makes of its kept samples, and which regions of pose space are thin.

Nothing of the dataset is changed; what is found goes to `mining.json` beside it, or where it is asked for.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import body_joints
from posedreamer.config import Config
from posedreamer.curriculum import CandidatePoses, draw_candidates, read_scored_rows
from posedreamer.estimators.mesh import MeshEstimator, chosen_estimator
from posedreamer.sample import Sample
from posedreamer.seeds import generator_for
from posedreamer.stages.mining.coverage import Region, cover
from posedreamer.stages.mining.stage import MiningStage
from posedreamer.stages.sampling.stage import SamplingStage
from posedreamer.storage.index import read_index
from posedreamer.storage.locate import find_tars
from posedreamer.storage.manifest import read_manifest
from posedreamer.storage.shard import read_shard

POOL, REGIONS = 1000, 24
BATCH = 16  # pictures that the learner is asked about at once
NAME = "coverage"  # of what is drawn here, for the seeds


def mine_dataset(run_dir: str, learner: str | None, threads: int) -> dict[str, Any]:
    """Regions of pose space, thinnest first, and, with a learner, the difficulty of each kept sample; ready for JSON.

    learner: as `mining.learner.model`; without one, difficulties are those that the run recorded.
    """
    config = Config.model_validate(read_manifest(run_dir)["config"])
    body = load_body(config.body)
    source = SamplingStage.from_config(config)
    source.setup()
    pool = draw_candidates(source.source, POOL, config.seed, NAME, body)
    rows = read_scored_rows(run_dir, before_round=10**9)
    keys, is_kept = _keys(run_dir)
    difficulty = rows.difficulty
    if learner is not None:
        estimator = chosen_estimator(learner, {}, config.body, threads).setup()
        found = ask_about(run_dir, estimator, threads)
        difficulty = np.array([found.get(key, np.nan) for key in keys])
    regions = cover(
        pool.joints, body_joints(body, rows.arrays["body_pose"]), is_kept, rows.oks, difficulty, REGIONS,
        generator_for(config.seed, NAME, "regions"),
    )  # fmt: skip
    report: dict[str, Any] = {
        "run": run_dir,
        "kept": int(is_kept.sum()),
        "attempted": len(keys),
        "pool": len(pool.tags),
    }
    report["regions"] = [_record(region, pool) for region in regions]
    if np.isfinite(difficulty).any():
        report["difficulty_mm"] = {key: round(float(value), 2) for key, value in zip(keys, difficulty, strict=True) if np.isfinite(value)}  # fmt: skip
    return report


def ask_about(run_dir: str, learner: MeshEstimator, threads: int) -> dict[str, float]:
    """The difficulty of each kept sample by key, millimetres (stages/mining/stage.py)."""
    stage, found = MiningStage(threads, learner), {}

    def ask(samples: list[Sample]) -> None:
        for sample, scores in zip(samples, stage.ask_learner(samples), strict=True):
            if (difficulty := scores["difficulty"]) is not None:
                found[sample.key] = difficulty

    for tar in find_tars(run_dir):
        samples = list(read_shard(tar, lambda kind, label: np.zeros((label.height, label.width, 3), np.uint8)))
        for first in range(0, len(samples), BATCH):
            ask(samples[first : first + BATCH])
    return found


def to_text(report: dict[str, Any]) -> str:
    """The regions as a table."""
    lines = [f"{report['kept']} kept of {report['attempted']} attempted; regions of {report['pool']} poses that its sources draw, thinnest first", ""]  # fmt: skip
    lines += [f"{'kept':>6} {'of kept':>8} {'of pool':>8} {'oks':>6} {'hard mm':>8}  around"]
    for region in report["regions"]:
        numbers = (region["mean_oks"], region["mean_difficulty_mm"])
        oks, hard = (
            "-" if value is None else f"{value:.{digits}f}" for value, digits in zip(numbers, (2, 0), strict=True)
        )
        thin = "  THIN" if region["is_thin"] else ""
        lines += [
            f"{region['kept']:>6} {region['of_kept']:>8.1%} {region['of_pool']:>8.1%} {oks:>6} {hard:>8}  {region['around']}{thin}"
        ]
    return "\n".join(lines)


def write_report(report: dict[str, Any], path: Path) -> None:
    """Writes what was found as JSON."""
    path.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")


def _record(region: Region, pool: CandidatePoses) -> dict[str, Any]:
    means = {"mean_oks": region.oks, "mean_difficulty_mm": region.difficulty}
    return {
        "around": ", ".join(tag for tag in pool.tags[region.centre] if ":" not in tag),
        "is_thin": region.is_thin,
        "kept": region.kept,
        "attempted": region.attempted,
        "of_kept": round(region.of_kept, 4),
        "most_of_kept": round(region.most_of_kept, 4),
        "of_pool": round(region.of_pool, 4),
        **{name: None if np.isnan(value) else round(value, 3) for name, value in means.items()},
    }


def _keys(run_dir: str) -> tuple[list[str], np.ndarray]:
    """Keys of the rows that `read_scored_rows` gives, and which of them were kept."""
    table = read_index(run_dir, ["key", "status", "betas"]).filter(pc.field("betas").is_valid())
    return table["key"].to_pylist(), table["status"].to_numpy(zero_copy_only=False) == "kept"
