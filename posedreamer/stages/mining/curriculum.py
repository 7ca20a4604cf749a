"""The curriculum: after a round, which poses the next one should see more of.

A model of the round's scores (score_model.py) predicts the OKS of many candidate poses. Chosen are the hard ones, but above a
floor of predicted OKS: under it the generator is expected to fail whatever it is given, and such poses would fill the next
round with rejects. How much of the next round comes from here, and how much is drawn as before, is the sampling stage's
mixture.

Hard for whom is the target. `generation`: for the generator, poses of lowest predicted OKS; that is what PoseDreamer's released
code mines. `hmr`: for a learner, poses of highest predicted difficulty, fitted on kept rows alone, whose pictures show their
labels; that is what its text says. Of the hardest, those are taken that lie far from one another, so that a round is not
one pose.

Frames. The papers' vector holds global_orient and transl in the camera frame, and the model is fitted on just that. A
candidate has no camera yet: it is a pose in the world, and its viewpoint and shape are drawn later. So the model is asked
about each candidate under several viewpoints of the round (camera rotation, transl and betas of one and the same row), and
the mean answer is what the pose can expect. Seeing only the pose would lose what the viewpoint explains of the scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from posedreamer.bodies.vector import VECTOR_FIELDS
from posedreamer.geometry.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from posedreamer.sample import PARAMETER_SHAPES
from posedreamer.stages.mining.choosing import Choice, choose
from posedreamer.stages.mining.score_model import Fit, fit_difficulty, fit_generatability, why_not

# What a candidate brings; betas and transl come with the viewpoint.
POSE_FIELDS = tuple(name for name in PARAMETER_SHAPES if name not in ("betas", "transl"))
QUANTILES = 201  # points of a distribution in the report

Target = Literal["generation", "hmr"]


@dataclass(frozen=True)
class ScoredRows:
    """Rows of the index: PARAMETER_SHAPES by name in the camera frame, cameras, oks of the pictures (nan: not scored), and the
    difficulty of the kept ones (nan: rejected, or no learner), millimetres.
    """

    arrays: Mapping[str, np.ndarray]
    T_cam_from_world: Float[np.ndarray, "n 4 4"]
    oks: Float[np.ndarray, " n"]
    difficulty: Float[np.ndarray, " n"]

    def __post_init__(self) -> None:
        _check_arrays("scored rows", self.arrays, tuple(PARAMETER_SHAPES), len(self.oks))


@dataclass(frozen=True)
class CandidatePoses:
    """A pool of poses: POSE_FIELDS by name, global_orient in the WORLD frame; family, tags and source of each.

    joints: of the mean shape in that pose, in the body's own frame from its root, metres: what poses are compared by.
    """

    arrays: Mapping[str, np.ndarray]
    joints: Float[np.ndarray, "n joints 3"]
    families: Sequence[str]
    tags: Sequence[Sequence[str]]
    sources: Sequence[str]

    def __post_init__(self) -> None:
        _check_arrays("candidate poses", self.arrays, POSE_FIELDS, len(self.families))
        if not len(self.families) == len(self.tags) == len(self.sources):
            counts = f"{len(self.families)} families, {len(self.tags)} tags, {len(self.sources)} sources"
            raise ValueError(f"candidate poses: got {counts}, expected one of each a pose")


def _check_arrays(what: str, arrays: Mapping[str, np.ndarray], names: Sequence[str], count: int) -> None:
    for name in names:
        expected = (count, *PARAMETER_SHAPES[name])
        got = arrays[name].shape if name in arrays else None
        if got != expected:
            raise ValueError(f"{what}: {name} has shape {got}, expected {expected}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(
                f"{what}: {name} is not finite in row {int(np.argwhere(~np.isfinite(arrays[name]))[0][0])}"
            )


def vectors_of(arrays: Mapping[str, np.ndarray]) -> Float[np.ndarray, "n 182"]:
    """`bodies.vector.parameter_vector` of every row."""
    parts = [np.reshape(arrays[name], (len(arrays[name]), -1)) for name in VECTOR_FIELDS]
    return np.concatenate(parts, axis=1).astype(np.float32).astype(np.float64)


class Curriculum(NamedTuple):
    """The chosen poses (None: none, and report["why"] says so) and the report, ready for JSON.

    table columns: POSE_FIELDS, each a list of float32 (row-major; global_orient in the WORLD frame), predicted_oks,
    family, tags and source.
    """

    table: pa.Table | None
    report: dict[str, Any]


def plan_curriculum(
    rows: ScoredRows,
    candidates: CandidatePoses,
    rng: np.random.Generator,
    *,
    target: Target = "generation",
    chosen: int,
    floor: float,
    floor_quantile: float = 0.05,
    family_share: float = 0.34,
    views: int = 8,
    threads: int = 1,
) -> Curriculum:
    """What the next round should see more of, and why.

    target: for whom it should be hard. chosen: how many poses are wanted. floor: least predicted oks; where the pool's
    `floor_quantile` is higher, that counts (predictions shrink towards the mean, so an absolute floor alone seldom bites).
    family_share: no family gets more of the choice while others have poses above the floor. views: viewpoints that a
    candidate is asked about.
    """
    scored = np.flatnonzero(np.isfinite(rows.oks))
    wanted = {"target": target, "chosen": chosen, "floor": floor, "floor_quantile": floor_quantile, "family_share": family_share}  # fmt: skip
    report: dict[str, Any] = {"why": "", "rows": len(scored), "pool": len(candidates.tags), "asked": wanted}

    def none(why: str) -> Curriculum:
        return Curriculum(None, report | {"why": f"No curriculum: {why}. The next round is drawn like this one."})

    if (reason := why_not(rows.oks[scored].astype(np.float64))) is not None:
        return none(reason)
    vectors = vectors_of(rows.arrays)
    generatability = fit_generatability(vectors[scored], rows.oks[scored].astype(np.float64), rng, threads)
    view_rows = rng.choice(scored, views)
    predicted = {"oks": predict_over_views(generatability, candidates, rows, view_rows)}
    fits, hardness = {"oks": generatability}, -predicted["oks"]
    if target == "hmr":
        known = np.flatnonzero(np.isfinite(rows.difficulty))
        if (reason := why_not(rows.difficulty[known].astype(np.float64), "difficulty")) is not None:
            return none(reason)
        fits["difficulty"] = fit_difficulty(vectors[known], rows.difficulty[known].astype(np.float64), rng, threads)
        predicted["difficulty"] = hardness = predict_over_views(fits["difficulty"], candidates, rows, view_rows)
    choice = choose(
        hardness, predicted["oks"], candidates.families, candidates.joints, wanted=chosen, floor=floor,
        floor_quantile=floor_quantile, family_share=family_share,
    )  # fmt: skip
    report |= _figures(fits, predicted, choice, candidates.families)
    if len(choice.chosen) == 0:
        return none(f"every candidate is predicted under the floor of {choice.floor:.3f}")
    fit = fits["oks" if target == "generation" else "difficulty"]
    what = "the lowest predicted oks" if target == "generation" else "the highest predicted difficulty"
    report["why"] = (
        f"{len(choice.chosen)} of {len(hardness)} candidates: {what}, oks above {choice.floor:.3f}, far from one another, "
        f"from a model of {fit.rows} rows whose rank correlation on unseen rows is {fit.rank_correlation:.2f}"
        + (" (it knows next to nothing: the choice is close to chance)." if fit.rank_correlation < 0.1 else ".")
    )
    return Curriculum(_table(candidates, predicted, choice.chosen), report)


def predict_over_views(
    fit: Fit, candidates: CandidatePoses, rows: ScoredRows, view_rows: Int[np.ndarray, " views"]
) -> Float[np.ndarray, " pool"]:
    """Predicted oks of each candidate, the mean over the viewpoints (camera rotation, transl, betas) of those rows."""
    rotmat_world = rotvec_to_rotmat(candidates.arrays["global_orient"])
    total = np.zeros(len(rotmat_world))
    for row in view_rows:
        seen = {name: np.repeat(rows.arrays[name][row][None], len(total), axis=0) for name in ("betas", "transl")}
        rotmat_cam = rows.T_cam_from_world[row, :3, :3].astype(np.float64) @ rotmat_world
        arrays = {**candidates.arrays, **seen, "global_orient": rotmat_to_rotvec(rotmat_cam)}
        total += fit.predict(vectors_of(arrays))
    return total / len(view_rows)


def _table(candidates: CandidatePoses, predicted: Mapping[str, np.ndarray], chosen: np.ndarray) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for name in POSE_FIELDS:
        values = candidates.arrays[name][chosen].reshape(len(chosen), -1).astype(np.float32)
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    for name, values in predicted.items():
        columns[f"predicted_{name}"] = pa.array(values[chosen], pa.float64())
    columns["family"] = pa.array([candidates.families[index] for index in chosen], pa.string())
    columns["tags"] = pa.array([list(candidates.tags[index]) for index in chosen], pa.list_(pa.string()))
    columns["source"] = pa.array([candidates.sources[index] for index in chosen], pa.string())
    return pa.table(columns)


def _figures(
    fits: Mapping[str, Fit], predicted: Mapping[str, np.ndarray], choice: Choice, families: Sequence[str]
) -> dict[str, Any]:
    """The report's numbers: of the models, of the pool, of the choice."""
    of_chosen = [families[index] for index in choice.chosen]
    by_family = [
        {"family": family, "pool": list(families).count(family), "chosen": of_chosen.count(family)}
        | {
            f"mean_predicted_{name}": _round(np.mean(values[[one == family for one in families]]))
            for name, values in predicted.items()
        }
        for family in sorted(set(families))
    ]
    found: dict[str, Any] = {
        "floor": _round(choice.floor),
        "under_floor": choice.num_under_floor,
        "chosen": len(choice.chosen),
        "by_family": by_family,
    }
    for name, fit in fits.items():
        found[f"model_of_{name}"] = {
            "rmse": _round(fit.rmse),
            "rmse_of_the_mean": _round(fit.baseline_rmse),
            "rank_correlation": _round(fit.rank_correlation),
            "trees": fit.trees,
            "columns": fit.features,
        }
        found[f"calibration_of_{name}"] = [
            {"predicted": _round(tenth.predicted), "observed": _round(tenth.observed)} for tenth in fit.calibration
        ]
        shares = fit.importance.items()
        found[f"importance_for_{name}"] = [{"part": part, "share_of_gain": _round(share)} for part, share in shares]
        found[f"predicted_{name}_of_pool"] = _quantiles(predicted[name])
        found[f"predicted_{name}_of_chosen"] = _quantiles(predicted[name][choice.chosen])
    return found


def _quantiles(values: np.ndarray) -> list[float]:
    """At most QUANTILES values at even ranks: the distribution, at a size that does not grow with the pool."""
    if len(values) <= QUANTILES:
        return [_round(value) for value in np.sort(values)]
    return [_round(value) for value in np.quantile(values, np.linspace(0, 1, QUANTILES))]


def _round(value: Any) -> float:
    return round(float(value), 4)
