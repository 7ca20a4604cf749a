"""Between rounds: the index of the rounds that are done becomes the curriculum of the next one, as two files.

    curriculum/round-01.json       why these poses, the model, its figures
    curriculum/round-01.parquet    the chosen poses; absent when nothing was chosen, and the json says why

What is chosen is a function of the config and of the earlier rounds' shards, so a resumed run finds the same.
"""

import json
import logging

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import body_joints
from posedreamer.config import Config
from posedreamer.sample import PARAMETER_SHAPES
from posedreamer.seeds import generator_for
from posedreamer.stages.mining.curriculum import POSE_FIELDS, CandidatePoses, ScoredRows, plan_curriculum
from posedreamer.stages.sampling.sources import PoseDraw, PoseSource
from posedreamer.storage.files import join, list_files, write_file
from posedreamer.storage.index import SCORE_PREFIX, read_index, table_to_parquet

log = logging.getLogger(__name__)
OKS_COLUMN, DIFFICULTY_COLUMN = f"{SCORE_PREFIX}oks", f"{SCORE_PREFIX}difficulty"


def hand_over(config: Config, run_dir: str, round_index: int, source: PoseSource) -> str | None:
    """The parquet file with the poses that the rounds before `round_index` hand to it; None when they hand over none.

    source: where candidates are drawn from. Files that are already there are taken as they are.
    """
    name = f"round-{round_index:02d}"
    folder = join(run_dir, "curriculum")
    table_path = join(folder, f"{name}.parquet")
    if not list_files(folder, f"{name}.json"):
        settings = config.mining.curriculum
        curriculum = plan_curriculum(
            read_scored_rows(run_dir, round_index),
            draw_candidates(source, settings.pool, config.seed, name, load_body(config.body)),
            generator_for(config.seed, name, "curriculum"),
            target=config.mining.target,
            chosen=settings.chosen,
            floor=settings.floor,
            threads=settings.threads,
        )
        if curriculum.table is not None:
            write_file(table_path, table_to_parquet(curriculum.table))
        report = json.dumps(curriculum.report, indent=1, sort_keys=True, allow_nan=False) + "\n"
        write_file(join(folder, f"{name}.json"), report.encode())
        log.info("%s: %s", name, curriculum.report["why"])
    return table_path if list_files(folder, f"{name}.parquet") else None


def read_scored_rows(run_dir: str, before_round: int) -> ScoredRows:
    """Labels and scores of all rows of the earlier rounds that have a picture."""
    scores = (OKS_COLUMN, DIFFICULTY_COLUMN)
    table = read_index(run_dir, ["round", "status", *scores, "T_cam_from_world", *PARAMETER_SHAPES])
    for column in scores:
        if column not in table.column_names:
            table = table.append_column(column, pa.nulls(len(table), pa.float64()))
    table = table.filter((pc.field("round") < before_round) & pc.field("betas").is_valid())
    is_kept = table["status"].to_numpy(zero_copy_only=False) == "kept"
    difficulty = table[DIFFICULTY_COLUMN].cast(pa.float64()).to_numpy().astype(np.float64)
    return ScoredRows(
        arrays={name: _column(table, name).reshape(-1, *shape) for name, shape in PARAMETER_SHAPES.items()},
        T_cam_from_world=_column(table, "T_cam_from_world").reshape(-1, 4, 4),
        oks=table[OKS_COLUMN].to_numpy().astype(np.float64),
        difficulty=np.where(is_kept, difficulty, np.nan),
    )


def draw_candidates(source: PoseSource, pool: int, run_seed: int, name: str, body: BodyModel) -> CandidatePoses:
    """A pool of poses; one that the source cannot draw is left out (its reason is logged)."""
    draws: list[PoseDraw] = []
    for index in range(pool):
        try:
            draws.append(source.draw(generator_for(run_seed, f"{name}-{index:07d}", "candidate")))
        except ValueError as error:
            log.info("%s: candidate %d: %s", name, index, error)
    if not draws:
        raise ValueError(f"{name}: none of {pool} candidate poses could be drawn")
    arrays = {field: np.stack([getattr(draw, field) for draw in draws]) for field in POSE_FIELDS}
    return CandidatePoses(
        arrays=arrays,
        joints=body_joints(body, arrays["body_pose"]),
        families=[draw.tags[0] for draw in draws],
        tags=[draw.tags for draw in draws],
        sources=[draw.source for draw in draws],
    )


def _column(table: pa.Table, name: str) -> np.ndarray:
    """A column of fixed-size lists as rows of numbers; the table has no nulls in it."""
    column = table[name].combine_chunks()
    width = column.type.list_size
    return column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
