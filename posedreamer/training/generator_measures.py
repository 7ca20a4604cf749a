"""What is measured of a generator's pictures, each against the label and the prompt that it was made from.

Two observers look, and know nothing of either: the judge (keypoints, so OKS) and the observer (silhouette, attributes). What they
find on true renders of the same bodies is the ceiling; pictures of another body's map are the floor. All families of poses
are told apart.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.estimators.observer import Observation, Observer
from posedreamer.metrics.bootstrap import Estimate, bootstrap, ratio_of_means
from posedreamer.metrics.oks import oks, oks_coco
from posedreamer.metrics.silhouette import silhouette_iou
from posedreamer.seeds import seed_for
from posedreamer.stages.generation.diffusers_backend import Drawing, Model, draw
from posedreamer.training.nano_data import People

GOOD_OKS = 0.85
SLEEVES = {"t-shirt": "short", "long-sleeve shirt": "long", "coat": "long", "tank top": "none"}
# What of the prompt is looked for. Colours of the hair of bald people are no question.
TOLD = ("top_color", "bottom_color", "sleeve", "hair_style", "hair_color", "scene")


class Measures(NamedTuple):
    """A row for each picture; nan where there is nothing to measure. second_oks: `oks` by the observer's keypoints."""

    oks: Float[np.ndarray, " count"]
    oks_coco: Float[np.ndarray, " count"]
    second_oks: Float[np.ndarray, " count"]
    iou: Float[np.ndarray, " count"]
    told: Float[np.ndarray, "count attributes"]  # 1 where the attribute of TOLD was read as the prompt says

    @property
    def attributes(self) -> Float[np.ndarray, " count"]:
        """Share of the attributes that were read as the prompt says."""
        return np.nanmean(self.told, axis=1)


def draw_people(
    model: Model, drawing: Drawing, people: People, seed: int, batch_size: int
) -> UInt8[np.ndarray, "count h w 3"]:
    """A picture from the map and the prompt of each row; its noise follows from seed and row."""
    drawn = []
    for first in range(0, len(people.prompts), batch_size):
        prompts, maps = people.prompts[first : first + batch_size], np.asarray(people.xyz[first : first + batch_size])
        seeds = [seed_for(seed, f"held_out-{first + place}", "noise") for place in range(len(prompts))]
        drawn.append(draw(model, prompts, maps, seeds, drawing))
    return (255.0 * np.concatenate(drawn)).round().astype(np.uint8)


def measure(
    pictures: UInt8[np.ndarray, "count h w 3"], people: People, judge: KeypointDetector, observer: Observer
) -> Measures:
    """The pictures against the rows of the data set, in its order."""
    keypoints = [judge.detect(picture).keypoints for picture in pictures]
    seen = observer.observe(list(pictures))
    labels = list(zip(people.coco_keypoints, people.mask_area, strict=True))
    similar = [
        [
            float(oks(found, label, float(area))),
            float(oks_coco(found, label, float(area))),
            float(oks(one.keypoints.keypoints, label, float(area))),
        ]
        for found, one, (label, area) in zip(keypoints, seen, labels, strict=True)
    ]
    ious = [
        silhouette_iou(one.body >= 0.5, xyz.any(axis=2)) for one, xyz in zip(seen, np.asarray(people.xyz), strict=True)
    ]
    told = [[_is_told(one, name, said) for name in TOLD] for one, said in zip(seen, people.attributes, strict=True)]
    scores = np.array(similar)
    return Measures(scores[:, 0], scores[:, 1], scores[:, 2], np.array(ious), np.array(told))


def summary(
    generated: Measures, true: Measures, other: Measures, tags: Sequence[Sequence[str]], rng: np.random.Generator
) -> dict[str, Any]:
    """Every measure of the three kinds of pictures, of generated over true, and of each family of poses over its own ceiling."""
    kinds = {"true": true, "generated": generated, "another_body": other}
    families = family_rows(tags)

    def each(values: Callable[[Measures], np.ndarray], statistic: Callable[[np.ndarray], float]) -> dict[str, Estimate]:
        return {kind: bootstrap(values(measures), statistic, rng) for kind, measures in kinds.items()}

    def ratio(values: Callable[[Measures], np.ndarray], rows: Bool[np.ndarray, " count"] | slice) -> Estimate:
        return bootstrap(np.stack([values(generated)[rows], values(true)[rows]], axis=1), ratio_of_means, rng)

    everything, found = slice(None), {}
    for name in ("oks", "oks_coco"):
        values = _column(name)
        found[f"{name}_mean"] = each(values, _mean)
        found[f"{name}_median"] = each(values, _median)
        found[f"{name}_good"] = each(values, _share_good)
        found[f"{name}_ratio"] = ratio(values, everything)
    found["mask_iou"] = each(_column("iou"), _mean)
    found["attributes"] = each(_column("attributes"), _mean)
    found["attributes_ratio"] = ratio(_column("attributes"), everything)
    found["attribute"] = {
        name: {kind: float(np.nanmean(measures.told[:, place])) for kind, measures in kinds.items()}
        for place, name in enumerate(TOLD)
    }
    found["families"] = {
        family: {
            "count": int(rows.sum()),
            "true": float(np.nanmean(true.oks_coco[rows])),
            "generated": float(np.nanmean(generated.oks_coco[rows])),
            "ratio": ratio(_column("oks_coco"), rows),
        }
        for family, rows in families.items()
    }
    return found


def family_rows(tags: Sequence[Sequence[str]]) -> dict[str, Bool[np.ndarray, " count"]]:
    """Family -> which rows are of it. The family is a row's first tag."""
    first = np.array([row[0] for row in tags])
    return {str(family): first == family for family in np.unique(first)}


def _is_told(seen: Observation, name: str, said: Mapping[str, str]) -> float:
    """1 if the attribute is read as the prompt says, 0 if not, nan where it is no question."""
    if name == "hair_color" and said["hair_style"] == "bald":
        return float("nan")
    if name != "sleeve":
        return float(seen.value(name) == said[name])
    shares: dict[str, float] = {}
    for top, share in seen.attributes["top"].items():
        shares[SLEEVES[top]] = shares.get(SLEEVES[top], 0.0) + share
    return float(max(shares, key=shares.__getitem__) == SLEEVES[said["top"]])


def _column(name: str) -> Callable[[Measures], np.ndarray]:
    return lambda measures: getattr(measures, name)


def _mean(rows: np.ndarray) -> float:
    return float(rows.mean())


def _median(rows: np.ndarray) -> float:
    return float(np.median(rows))


def _share_good(rows: np.ndarray) -> float:
    return float((rows >= GOOD_OKS).mean())
