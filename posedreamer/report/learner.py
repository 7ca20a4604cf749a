"""What a run's learner makes of it: a map of pose space coloured by difficulty, round by round, and its hardest kept samples."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from jaxtyping import Float

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.posing import body_joints
from posedreamer.estimators.mesh import MeshEstimate, chosen_estimator
from posedreamer.rendering.label import draw_label
from posedreamer.rendering.overlay import LEARNER_COLOR, MESH_COLOR, draw_mesh, draw_skeleton
from posedreamer.report.charts import scatter_svg
from posedreamer.report.pictures import SIZE, Panel, resize, scale_label, scale_to, to_data_uri
from posedreamer.sample import BodyParameters, Sample
from posedreamer.storage.index import SCORE_PREFIX, read_index

log = logging.getLogger(__name__)
HARDEST = 10
MAX_POINTS = 4000  # of a map; more are spread evenly
OPACITY = 0.55
DIFFICULTY = f"{SCORE_PREFIX}difficulty"


def pose_maps(run_dir: str | Path, body: BodyModel) -> list[dict[str, Any]]:
    """A map a round: every label's pose on the two principal components of all their joints, coloured by difficulty.

    Rejected samples have none: a picture of another pose is difficult too. No map when no difficulty is known.
    """
    table = read_index(run_dir)
    if DIFFICULTY not in table.column_names or table[DIFFICULTY].null_count == len(table):
        return []
    table = table.select(["round", "status", DIFFICULTY, "body_pose"]).filter(pc.field("body_pose").is_valid())
    table = table.take(np.unique(np.linspace(0, len(table) - 1, min(len(table), MAX_POINTS)).astype(int)))
    poses = np.stack(table["body_pose"].to_numpy(zero_copy_only=False)).reshape(-1, 21, 3)
    places = principal_plane(body_joints(body, poses))
    is_kept = table["status"].to_numpy(zero_copy_only=False) == "kept"
    difficulty = np.where(is_kept, table[DIFFICULTY].cast("float64").to_numpy().astype(np.float64), np.nan)
    if np.isnan(difficulty).all():
        return []
    rounds = table["round"].to_numpy()
    return [
        {"round": int(number), "svg": scatter_svg(places, difficulty, rounds == number, "mm")}
        for number in np.unique(rounds)
    ]


def principal_plane(joints: Float[np.ndarray, "poses joints 3"]) -> Float[np.ndarray, "poses 2"]:
    """The poses on the two axes along which their joints vary most, each with its largest entry positive."""
    flat = joints.reshape(len(joints), -1).astype(np.float64)
    centred = flat - flat.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    return centred @ axes.T


def hardest_rows(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The kept rows of most difficulty, hardest first."""
    known = [row for row in rows if row["status"] == "kept" and row["scores"].get("difficulty") is not None]
    return sorted(known, key=lambda row: -row["scores"]["difficulty"])[:HARDEST]


def hardest_cards(
    rows: Sequence[Mapping[str, Any]], samples: Mapping[str, Sample], config: Mapping[str, Any], body: BodyModel
) -> list[dict[str, Any]]:
    """Picture, the label's mesh, and the learner's mesh over it, of each row. A learner that is not here draws nothing (logged)."""
    chosen = [samples[row["key"]] for row in rows if row["key"] in samples]
    settings = config["mining"].get("learner")
    if settings is None or not chosen:
        return []
    try:
        learner = chosen_estimator(settings["model"], settings["settings"], config["body"], 1).setup()
    except ValueError as error:
        log.warning("the hardest samples are not shown: %s", error)
        return []
    labels = [sample.label for sample in chosen if sample.label is not None]
    pictures = [sample.image.rgb for sample in chosen if sample.image is not None]
    bboxes, Ks = (np.stack([getattr(label, name) for label in labels]) for name in ("bbox", "K"))
    cards = []
    for sample, label, estimate in zip(
        chosen, labels, learner.estimate(pictures, bboxes.astype(np.float64), Ks), strict=True
    ):
        try:
            panels = learner_panels(sample, estimate, body)
        except ValueError as error:  # a body that is seen behind the camera
            log.warning("%s is not shown: %s", sample.key, error)
            continue
        difficulty = sample.scores["difficulty"]
        cards.append({"key": sample.key, "difficulty": difficulty, "panels": panels, "tags": label.tags, "ratio": f"{label.width}/{label.height}"})  # fmt: skip
    return cards


def learner_panels(sample: Sample, estimate: MeshEstimate, body: BodyModel, size: int = SIZE) -> list[Panel]:
    """The picture, the label's mesh, and over it the learner's; its skeleton where it has another body."""
    label, image = sample.label, sample.image
    if label is None or image is None:
        raise ValueError(f"sample {sample.key}: needs label and image")
    factor = scale_to(size, label.width, label.height)
    rgb = resize(image.rgb, factor)
    scaled = scale_label(label, factor, rgb.shape[1], rgb.shape[0])

    def drawn_over(picture: np.ndarray, parameters: BodyParameters, color: np.ndarray) -> np.ndarray:
        drawn = draw_label(body, parameters, scaled.K, scaled.width, scaled.height)
        return draw_mesh(picture, body, drawn, OPACITY, color)

    panels = {"picture": rgb, "label": drawn_over(rgb, scaled.parameters, MESH_COLOR)}
    if estimate.parameters is None:
        seen = np.concatenate([estimate.coco_keypoints * factor, np.full((17, 1), 2.0)], axis=1)
        panels["learner over label"] = draw_skeleton(panels["label"], seen)
    else:
        panels["learner over label"] = drawn_over(panels["label"], estimate.parameters, LEARNER_COLOR)
    return [Panel(name, to_data_uri(pixels)) for name, pixels in panels.items()]
