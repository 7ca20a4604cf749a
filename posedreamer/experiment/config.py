"""The settings of an experiment: strict, frozen models over configs/experiment_*.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from posedreamer.config import RunConfig
from posedreamer.strict import Positive, Strict

Parts = Annotated[tuple["PartConfig", ...], Field(min_length=1)]


class MinedRunConfig(RunConfig):
    """In `set`, `{runs}` is the folder of the experiment's runs. learner_of: a set whose learner (of the first seed) mines in this run; it
    is trained before.
    """

    learner_of: str | None = None


class PartConfig(Strict):
    """People of one run. samples: so many, chosen by their keys; none: all. rejects: the refused ones among them, as they come."""

    run: str
    samples: Positive | None = None
    rejects: bool = False


class ExperimentConfig(Strict):
    """All of it. runs are made in their order; sets are learnt from, tests are measured on, each of the parts of runs.

    learner: YAML file of train_hmr, learner_set: overrides. seeds: of the learners of each set. baseline: the set that others are
    compared with. reference: the test whose pictures are the reference of the distances between pictures; none: no distances.
    """

    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2)
    learner: Path
    learner_set: tuple[str, ...] = ()
    runs: dict[str, MinedRunConfig]
    sets: dict[str, Parts]
    tests: Annotated[dict[str, Parts], Field(min_length=1)]
    baseline: str
    reference: str | None = None

    @model_validator(mode="after")
    def _names_are_known(self) -> "ExperimentConfig":
        for what, named in (("sets", self.sets), ("tests", self.tests)):
            for name, parts in named.items():
                for part in parts:
                    _check(f"{what}.{name}", part.run, self.runs)
        for name, run in self.runs.items():
            if run.learner_of is not None:
                _check(f"runs.{name}.learner_of", run.learner_of, self.sets)
        _check("baseline", self.baseline, self.sets)
        if self.reference is not None:
            _check("reference", self.reference, self.tests)
        return self

    @model_validator(mode="after")
    def _a_learner_comes_of_earlier_runs(self) -> "ExperimentConfig":
        order = list(self.runs)
        for name, run in self.runs.items():
            if run.learner_of is None:
                continue
            late = [part.run for part in self.sets[run.learner_of] if order.index(part.run) >= order.index(name)]
            if late:
                raise ValueError(
                    f"runs.{name}: its learner of {run.learner_of} needs {', '.join(late)}, made no earlier"
                )
        return self


def _check(where: str, name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise ValueError(f"{where}: unknown name {name!r}, expected one of {', '.join(known)}")
