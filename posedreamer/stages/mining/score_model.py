"""Predicted scores of pictures that are not made yet, from the label's parameters alone.

Generatability is the predicted OKS of a picture, difficulty the predicted error of a learner on it. A LightGBM regressor with
PoseDreamer's settings on its 182 numbers (bodies/vector.py), or on the same rotations as six numbers each, which have no
jump: whichever ranks unseen rows better. Everything is seeded and runs in LightGBM's deterministic mode, so equal rows give
an equal model on one machine.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.stats
import torch
from jaxtyping import Float

from posedreamer.geometry.rotations import rotmat_to_rot6d, rotvec_to_rotmat
from posedreamer.geometry.skeletons import BODY_JOINTS

MIN_ROWS = 40  # two leaves of LightGBM's least size
FOLDS = 5
EARLY_STOP_SHARE = 0.1  # of a fold's training rows; they only say when to stop
MAX_TREES = 1000
PATIENCE = 50
SETTINGS: dict[str, Any] = {
    "objective": "regression",
    "metric": "rmse",
    "num_leaves": 31,
    "learning_rate": 0.05,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 5,
    "min_data_in_leaf": 20,
    "max_depth": 8,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}

# The groups of the 182 columns in the report: body pose by limb, then the vector's other parts in its order.
LIMBS = {
    "legs": ("hip", "knee", "ankle", "foot"),
    "spine": ("spine",),
    "neck_and_head": ("neck", "head"),
    "arms": ("collar", "shoulder", "elbow", "wrist"),
}
OTHER_PARTS = (
    ("root_orientation", 3), ("shape", 10), ("place", 3), ("left_hand", 45), ("right_hand", 45), ("jaw", 3),
    ("expression", 10),
)  # fmt: skip
# The vector's rotations come in two runs: before betas and transl, and after them, up to the expression.
FIRST_ROTATIONS, LAST_ROTATIONS, EXPRESSION = slice(0, 66), slice(79, 172), slice(172, 182)
DECILES = 10

Features = Literal["rotvec", "rot6d"]


def as_features(vectors: Float[np.ndarray, "n 182"], features: Features) -> Float[np.ndarray, "n columns"]:
    """The vectors as they are, or with six numbers a rotation (Zhou et al. 2019)."""
    if features == "rotvec":
        return vectors

    def six(rotvecs: np.ndarray) -> np.ndarray:
        rotmats = torch.from_numpy(rotvec_to_rotmat(rotvecs.reshape(len(vectors), -1, 3)))
        return rotmat_to_rot6d(rotmats).flatten(1).numpy()

    others = vectors[:, FIRST_ROTATIONS.stop : LAST_ROTATIONS.start]
    parts = [six(vectors[:, FIRST_ROTATIONS]), others, six(vectors[:, LAST_ROTATIONS]), vectors[:, EXPRESSION]]
    return np.concatenate(parts, axis=1)


def column_groups(features: Features = "rotvec") -> list[str]:
    """The group of each column."""
    wide, groups = (3 if features == "rotvec" else 6), []
    for joint in BODY_JOINTS[1:]:
        limb = next(limb for limb, parts in LIMBS.items() if any(part in joint for part in parts))
        groups += [limb] * wide
    for name, count in OTHER_PARTS:
        groups += [name] * (count if name in ("shape", "place", "expression") else count // 3 * wide)
    return groups


class Decile(NamedTuple):
    """A tenth of the rows, by prediction: what was predicted of them on average, and what was seen."""

    predicted: float
    observed: float


@dataclass(frozen=True)
class Fit:
    """A fitted model (lightgbm.Booster) and what is known of its worth.

    rmse, rank_correlation (Spearman), calibration: of predictions for rows that the predicting model had not seen, five folds.
    baseline_rmse: of always saying the mean of the other folds. importance: gain by group of columns, shares of 1.
    limits: values that the score can have.
    """

    booster: Any
    features: Features
    limits: tuple[float, float]
    rows: int
    trees: int
    rmse: float
    baseline_rmse: float
    rank_correlation: float
    calibration: tuple[Decile, ...]
    importance: dict[str, float]

    def predict(self, vectors: Float[np.ndarray, "n 182"]) -> Float[np.ndarray, " n"]:
        """Predicted scores; a sum of trees may leave the limits, the prediction does not."""
        return np.clip(np.asarray(self.booster.predict(as_features(vectors, self.features))), *self.limits)


def why_not(target: Float[np.ndarray, " n"], name: str = "oks") -> str | None:
    """Why no model can be fitted to these values, or None when one can."""
    if len(target) < MIN_ROWS:
        return f"{len(target)} rows whose {name} is known, at least {MIN_ROWS} are needed"
    if np.ptp(target) < 1e-6:
        return f"all {len(target)} rows have the same {name} ({target[0]:.3f}): nothing to learn from"
    return None


def fit_generatability(
    vectors: Float[np.ndarray, "n 182"], target: Float[np.ndarray, " n"], rng: np.random.Generator, threads: int
) -> Fit:
    """The better model of these rows' oks; ValueError where `why_not` has a reason."""
    return _fit(vectors, target, rng, threads, "oks", (0.0, 1.0))


def fit_difficulty(
    vectors: Float[np.ndarray, "n 182"], target: Float[np.ndarray, " n"], rng: np.random.Generator, threads: int
) -> Fit:
    """The better model of these rows' difficulty, a learner's error in millimetres; ValueError where `why_not` has a reason."""
    return _fit(vectors, target, rng, threads, "difficulty", (0.0, float("inf")))


def _fit(
    vectors: np.ndarray,
    target: np.ndarray,
    rng: np.random.Generator,
    threads: int,
    name: str,
    limits: tuple[float, float],
) -> Fit:
    if (reason := why_not(target, name)) is not None:
        raise ValueError(f"fit_{name}: {reason}")
    if not (np.isfinite(vectors).all() and np.isfinite(target).all()):
        raise ValueError(f"fit_{name}: a vector or a target is not finite")
    settings = SETTINGS | {"num_threads": threads, "seed": int(rng.integers(2**31 - 1))}
    order = rng.permutation(len(target))
    fits = [_fit_features(vectors, target, order, settings, features, limits) for features in ("rotvec", "rot6d")]
    return max(fits, key=lambda fit: fit.rank_correlation)


def _fit_features(
    vectors: np.ndarray,
    target: np.ndarray,
    order: np.ndarray,
    settings: dict[str, Any],
    features: Features,
    limits: tuple[float, float],
) -> Fit:
    """The model of all rows on one kind of columns, with as many trees as the folds needed (median)."""
    columns = as_features(vectors, features)
    predicted, baseline, trees = np.empty(len(target)), np.empty(len(target)), []
    for fold in range(FOLDS):
        test, rest = order[fold::FOLDS], np.concatenate([order[i::FOLDS] for i in range(FOLDS) if i != fold])
        num_stop = max(1, round(EARLY_STOP_SHARE * len(rest)))
        booster = _train(settings, columns, target, rest[num_stop:], rest[:num_stop])
        predicted[test], baseline[test] = booster.predict(columns[test]), target[rest].mean()
        trees.append(booster.best_iteration)
    num_trees = max(1, round(float(np.median(trees))))
    booster = _train(settings, columns, target, np.arange(len(target)), None, num_trees)
    return Fit(
        booster=booster,
        features=features,
        limits=limits,
        rows=len(target),
        trees=num_trees,
        rmse=_rmse(predicted - target),
        baseline_rmse=_rmse(baseline - target),
        rank_correlation=_rank_correlation(predicted, target),
        calibration=_calibration(predicted, target),
        importance=_importance(booster.feature_importance("gain"), features),
    )


def _calibration(predicted: np.ndarray, target: np.ndarray) -> tuple[Decile, ...]:
    tenths = np.array_split(np.argsort(predicted, kind="stable"), DECILES)
    return tuple(Decile(float(predicted[rows].mean()), float(target[rows].mean())) for rows in tenths)


def _train(
    settings: dict[str, Any],
    vectors: np.ndarray,
    target: np.ndarray,
    rows: np.ndarray,
    stop_rows: np.ndarray | None,
    num_trees: int = MAX_TREES,
) -> Any:
    import lightgbm

    training = lightgbm.Dataset(vectors[rows], target[rows])
    if stop_rows is None:
        return lightgbm.train(settings, training, num_boost_round=num_trees)
    stopping = lightgbm.Dataset(vectors[stop_rows], target[stop_rows], reference=training)
    patience = lightgbm.early_stopping(PATIENCE, verbose=False)
    return lightgbm.train(settings, training, num_trees, valid_sets=[stopping], callbacks=[patience])


def _rmse(errors: np.ndarray) -> float:
    return float(np.sqrt((errors**2).mean()))


def _rank_correlation(predicted: np.ndarray, target: np.ndarray) -> float:
    """Spearman's; 0 when the model says the same of every row (it is undefined there)."""
    if np.ptp(predicted) == 0:
        return 0.0
    return float(np.corrcoef(scipy.stats.rankdata(predicted), scipy.stats.rankdata(target))[0, 1])


def _importance(gain: np.ndarray, features: Features) -> dict[str, float]:
    groups = column_groups(features)
    totals = dict.fromkeys(groups, 0.0)
    for group, value in zip(groups, gain, strict=True):
        totals[group] += float(value)
    whole = sum(totals.values())
    return {group: value / whole if whole > 0 else 0.0 for group, value in totals.items()}
