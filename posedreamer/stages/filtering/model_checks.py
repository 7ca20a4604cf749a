"""Checks that ask a model which the user brings; without one they are not part of a run, and the report says so."""

from typing import Generic, TypeVar

from posedreamer.estimators.text_image import TextImageModel
from posedreamer.estimators.unsafe import UnsafeClassifier
from posedreamer.sample import Sample
from posedreamer.stages.filtering.checks import Check, Scores, at_least, at_most, parts_of

Model = TypeVar("Model", TextImageModel, UnsafeClassifier)


class ModelCheck(Check, Generic[Model]):
    """A check whose model finds its weights and loads them itself. limit: of its one score."""

    def __init__(self, model: Model, limit: float) -> None:
        self.model, self.limit = model, limit

    def check_inputs(self) -> dict[str, str]:
        return self.model.check_inputs()

    def setup(self) -> None:
        self.model.setup()


class TextImageCheck(ModelCheck[TextImageModel]):
    """The picture shows what the prompt says. text_image: cosine of both (estimators/text_image.py); its limit belongs to the model."""

    name, reason = "text_image", "text_mismatch"

    def score(self, sample: Sample) -> dict[str, float | None]:
        _, _, image = parts_of(sample)
        if sample.prompt is None:
            raise ValueError(f"sample {sample.key}: no prompt to compare the picture with")
        return {"text_image": self.model.similarity(image.rgb, sample.prompt.text)}

    def passes(self, scores: Scores) -> bool:
        return at_least(scores, "text_image", self.limit)


class SafetyCheck(ModelCheck[UnsafeClassifier]):
    """A classifier does not find the picture unsafe. unsafe: its probability (estimators/unsafe.py)."""

    name, reason = "safety", "unsafe"

    def score(self, sample: Sample) -> dict[str, float | None]:
        _, _, image = parts_of(sample)
        return {"unsafe": self.model.probability(image.rgb)}

    def passes(self, scores: Scores) -> bool:
        return at_most(scores, "unsafe", self.limit)
