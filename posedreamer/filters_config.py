"""The `filters` of a config: which checks a run makes, in which order, and their limits."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from posedreamer.strict import Positive, PositiveFloat, Share, Strict


class OksCheck(Strict):
    """Least `oks`. Below 0.5 wrong poses begin to pass, so less than that is refused."""

    min: Annotated[float, Field(ge=0.5, le=1.0)] = 0.85


class PersonCheck(Strict):
    """Least mean confidence of the judge's joints."""

    min: Share = 0.25


class SecondPersonCheck(Strict):
    """Most confidence of a person that remains when the labelled one is painted over."""

    max: Share = 0.33


class SilhouetteCheck(Strict):
    """Least agreement of the picture's foreground with the label's silhouette."""

    min: Share = 0.3


class TruncationCheck(Strict):
    """Least share of the label's COCO keypoints inside the image."""

    min: Share = 0.35


class ExposureCheck(Strict):
    """Flat and blown-out pictures: least standard deviation of grey (0 to 255), most share of clipped pixels."""

    min_contrast: Annotated[float, Field(ge=0.0, le=128.0)] = 12.0
    max_clipped: Share = 0.5


class ColourCheck(Strict):
    """Washed-out and tinted pictures: least colourfulness (grey is 0) and tonal range (0 to 255), most cast (see picture_checks.py)."""

    min_colourfulness: Annotated[float, Field(ge=0.0)] = 8.0
    min_range: Annotated[float, Field(ge=0.0, le=255.0)] = 60.0
    max_cast: PositiveFloat = 2.9


class SharpnessCheck(Strict):
    """Most blur, 0 to 1."""

    max_blur: Share = 0.68


class JointCheck(Strict):
    """Least similarity of the worst joint in sight."""

    min: Share = 0.005


class HeadCheck(Strict):
    """Most degrees that the head may be turned from the label's."""

    max: Annotated[float, Field(gt=0.0, le=180.0)] = 50.0


class SecondJudgeCheck(Strict):
    """Least `second_oks`."""

    min: Share = 0.5


class ClothesCheck(Strict):
    """Least probability of the asked-for colours of shirt and trousers, by the observer."""

    min_top: Share = 0.02
    min_bottom: Share = 0.02


class SkinCheck(Strict):
    """Most share of trunk, hips and thighs that looks like the person's own skin."""

    max: Share = 0.85


class TextImageCheck(Strict):
    """Least similarity of picture and prompt, in [-1, 1], by an open_clip model: a folder or hub id. The limit is the model's own."""

    model: str | None = None
    min: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.2


class SafetyCheck(Strict):
    """Most probability of the `labels` by an image classifier of transformers: a folder or hub id."""

    model: str | None = None
    labels: tuple[str, ...] = ("nsfw",)
    max: Share = 0.5


class VisibilityCheck(Strict):
    """Least confidence of the judge in the facial points, and in the elbows and wrists, that the label has in sight."""

    min_face: Share = 0.2
    min_hands: Share = 0.15


CheckName = Literal[
    "exposure",
    "colour",
    "sharpness",
    "truncation",
    "person",
    "second_person",
    "oks",
    "joint",
    "head",
    "visibility",
    "second_judge",
    "clothes",
    "silhouette",
    "skin",
    "text_image",
    "safety",
]


class FiltersConfig(Strict):
    """Stage 4. Every check in `order` is scored for every sample; the first that fails, in this order, is the reason.

    The seven that are on by default let nine of ten true renders pass and catch nine of ten of each fault that they are for
    (BENCHMARKS.md, "Checks against planted faults").
    """

    order: tuple[CheckName, ...] = (
        "exposure",
        "colour",
        "sharpness",
        "truncation",
        "second_person",
        "oks",
        "silhouette",
    )
    exposure: ExposureCheck = ExposureCheck()
    colour: ColourCheck = ColourCheck()
    sharpness: SharpnessCheck = SharpnessCheck()
    truncation: TruncationCheck = TruncationCheck()
    person: PersonCheck = PersonCheck()
    second_person: SecondPersonCheck = SecondPersonCheck()
    oks: OksCheck = OksCheck()
    joint: JointCheck = JointCheck()
    head: HeadCheck = HeadCheck()
    visibility: VisibilityCheck = VisibilityCheck()
    second_judge: SecondJudgeCheck = SecondJudgeCheck()
    clothes: ClothesCheck = ClothesCheck()
    silhouette: SilhouetteCheck = SilhouetteCheck()
    skin: SkinCheck = SkinCheck()
    text_image: TextImageCheck = TextImageCheck()
    safety: SafetyCheck = SafetyCheck()
    threads: Positive = 1

    @model_validator(mode="after")
    def _once_each(self) -> "FiltersConfig":
        if len(set(self.order)) != len(self.order):
            raise ValueError(f"each check may stand once in `order`, got {list(self.order)}")
        return self

    @model_validator(mode="after")
    def _models_are_named(self) -> "FiltersConfig":
        for name in ("text_image", "safety"):
            if name in self.order and getattr(self, name).model is None:
                raise ValueError(f"check `{name}` stands in `order`, so `{name}.model` must name a folder or a hub id")
        return self
