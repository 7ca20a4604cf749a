"""The table of an experiment: errors with their spread over seeds, and what each set does to the baseline's, person by person."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posedreamer.bodies.body import BodyModel
from posedreamer.estimators.features import FeatureExtractor
from posedreamer.experiment.cells import CONSTANT, errors_of, people_of_set, people_of_test
from posedreamer.experiment.config import ExperimentConfig
from posedreamer.metrics.bootstrap import bootstrap
from posedreamer.metrics.distribution import frechet_distance, kernel_distance
from posedreamer.metrics.mesh import ERRORS, MeshErrors, check_same_card
from posedreamer.seeds import generator_for
from posedreamer.training.hmr_data import People

HEADS = {"pve_mm": "PVE", "pa_pve_mm": "PA-PVE", "mpjpe_mm": "MPJPE", "pa_mpjpe_mm": "PA-MPJPE"}
MOST_PICTURES = 1024  # of a set, for distances


def summarise(config: ExperimentConfig, out: Path) -> dict[str, Any]:
    """Errors of every set on every test (mean over people and seeds, deviation of the seeds' means), and over the baseline's.

    The ratio to the baseline has a 95 % bootstrap interval over people, whose errors are first averaged over seeds.
    """
    found: dict[str, Any] = {"cards": {}, "errors": {}}
    for test in config.tests:
        reference = errors_of(config, config.baseline, test, out)
        found["cards"][test] = str(reference[0].card)
        for name in (CONSTANT, *config.sets):
            errors = errors_of(config, name, test, out)
            check_same_card(errors[0].card, reference[0].card)
            rng = generator_for(0, f"{name}/{test}", "bootstrap")
            found["errors"].setdefault(name, {})[test] = {
                error: _figures(errors, reference, error, rng) for error in ERRORS
            }
    return found


def _figures(
    errors: Sequence[MeshErrors], reference: Sequence[MeshErrors], name: str, rng: np.random.Generator
) -> dict[str, Any]:
    rows, others = (np.stack([getattr(one, name) for one in many]) for many in (errors, reference))
    pairs = np.stack([rows.mean(axis=0), others.mean(axis=0)], axis=1)
    ratio = bootstrap(pairs, lambda drawn: float(drawn[:, 0].mean() / drawn[:, 1].mean()), rng)
    means = rows.mean(axis=1)
    deviation = float(means.std(ddof=1)) if len(means) > 1 else None
    return {"mean": float(means.mean()), "deviation": deviation, "over_baseline": ratio._asdict(), "people": len(pairs)}


def picture_distances(config: ExperimentConfig, out: Path, body: BodyModel) -> dict[str, dict[str, float]]:
    """kid_effnet and fd_effnet of each set's pictures to those of the reference test, equally many of both."""
    if config.reference is None:
        return {}
    extractor = FeatureExtractor().setup()
    reference = features_of(people_of_test(config, config.reference, out, body), extractor)
    found = {}
    for name in config.sets:
        features = features_of(people_of_set(config, name, out, body), extractor)
        count = min(len(features), len(reference))
        found[name] = {
            "kid_effnet": kernel_distance(features[:count], reference[:count]),
            "fd_effnet": frechet_distance(features[:count], reference[:count]),
            "pictures": float(count),
        }
    return found


def features_of(people: People, extractor: FeatureExtractor) -> np.ndarray:
    """Features of at most MOST_PICTURES pictures, spread evenly."""
    rows = np.unique(np.linspace(0, people.num_rows - 1, min(people.num_rows, MOST_PICTURES)).astype(int))
    return extractor.extract([people.picture(int(row)) for row in rows])


def to_markdown(config: ExperimentConfig, found: Mapping[str, Any]) -> str:
    """The tables: one a test under its card, and the distances of pictures."""
    lines = []
    for test, card in found["cards"].items():
        people = found["errors"][config.baseline][test]["pve_mm"]["people"]
        lines += [f"### {test}, {people} people", "", f"Protocol: {card}.", ""]
        lines += [f"| learnt from | {' | '.join(HEADS.values())} | PVE over {config.baseline}'s |"]
        lines += ["| --- " * (len(HEADS) + 2) + "|"]
        for name, by_test in found["errors"].items():
            cells = [_cell(by_test[test][error]) for error in HEADS]
            ratio = by_test[test]["pve_mm"]["over_baseline"]
            shown = "" if name == config.baseline else f"{ratio['value']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]"
            lines += [f"| {name} | {' | '.join(cells)} | {shown} |"]
        lines += [""]
    if found.get("pictures"):
        lines += [f"### pictures, against those of {config.reference}", "", "| set | kid_effnet | fd_effnet | pictures |", "| --- | --- | --- | --- |"]  # fmt: skip
        for name, row in found["pictures"].items():
            lines += [f"| {name} | {row['kid_effnet']:.4f} | {row['fd_effnet']:.1f} | {int(row['pictures'])} |"]
    return "\n".join(lines) + "\n"


def _cell(figures: Mapping[str, Any]) -> str:
    spread = "" if figures["deviation"] is None else f" ± {figures['deviation']:.1f}"
    return f"{figures['mean']:.1f}{spread}"
