"""Measures of pictures, with observers that say what the test wants."""

import numpy as np
import pytest

from posedreamer.estimators.keypoints import Detection, KeypointDetector
from posedreamer.estimators.observer import Observation, Observer
from posedreamer.rendering.attributes import VALUES, draw_attributes
from posedreamer.training.generator_measures import TOLD, family_rows, measure, summary
from posedreamer.training.nano_data import People

COUNT = 12


class ToldJudge(KeypointDetector):
    """A judge who is given its answers, one a picture."""

    def __init__(self, answers):
        self.answers = iter(answers)

    def detect(self, image):
        return next(self.answers)


class ToldObserver(Observer):
    """An observer who is given its answers, for all pictures."""

    def __init__(self, answers):
        self.answers = answers

    def observe(self, pictures, batch_size=16):
        return self.answers


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    xyz = np.zeros((COUNT, 32, 32, 3), np.uint8)
    xyz[:, 8:24, 12:20] = 100
    keypoints = np.concatenate([rng.uniform(4, 28, (COUNT, 17, 2)), np.full((COUNT, 17, 1), 2.0)], axis=2)
    attributes = [draw_attributes(rng) | {"hair_style": "short"} for _ in range(COUNT)]
    tags = [["yoga", "tree"] if place % 2 else ["sport", "run"] for place in range(COUNT)]
    return People(xyz, xyz, keypoints.astype(np.float32), np.full(COUNT, 128.0, np.float32), [], attributes, tags)


def observe(mask, said, keypoints):
    shares = {name: {v: float(v == said[name]) for v in values} for name, values in VALUES.items()}
    return Observation(mask.astype(np.float32), shares, keypoints)


def measured(people, shift, cut, said):
    judged, second = (
        [Detection((row[:, :2] + far).astype(float), np.ones(17)) for row in people.coco_keypoints]
        for far in (shift, 2 * shift)
    )
    judge = ToldJudge(judged)
    masks = people.xyz.any(axis=3).copy()
    masks[:, 8 : 8 + cut] = False
    observer = ToldObserver([observe(*row) for row in zip(masks, said, second, strict=True)])
    return measure(people.images, people, judge, observer)


def test_what_is_right_scores_one(people):
    found = measured(people, 0.0, 0, people.attributes)
    for column in (found.oks, found.oks_coco, found.second_oks, found.iou, found.attributes):
        np.testing.assert_allclose(column, 1.0)


def test_the_second_opinion_is_the_observer_s(people):
    """It was told keypoints that are twice as far off."""
    near, far = (measured(people, shift, 0, people.attributes) for shift in (1.0, 2.0))
    np.testing.assert_allclose(near.second_oks, far.oks)
    assert (near.second_oks < near.oks).all()


def test_what_is_wrong_scores_what_it_should(people):
    other = [
        row | {"top": "tank top", "scene": next(s for s in VALUES["scene"] if s != row["scene"])}
        for row in people.attributes
    ]
    found = measured(people, 100.0, 4, other)
    np.testing.assert_allclose(found.oks, 0.0, atol=1e-3)
    np.testing.assert_allclose(found.iou, 12 / 16)
    assert not found.told[:, TOLD.index("scene")].any()
    sleeveless = [row["top"] == "tank top" for row in people.attributes]
    np.testing.assert_array_equal(found.told[:, TOLD.index("sleeve")], sleeveless)


def test_a_coat_and_a_long_sleeved_shirt_have_the_same_sleeves(people):
    said = [row | {"top": "coat"} for row in people.attributes]
    found = measured(people._replace(attributes=said), 0.0, 0, [row | {"top": "long-sleeve shirt"} for row in said])
    assert found.told[:, TOLD.index("sleeve")].all()


def test_hair_of_bald_people_is_no_question(people):
    said = [row | {"hair_style": "bald"} for row in people.attributes]
    found = measured(people._replace(attributes=said), 0.0, 0, said)
    assert np.isnan(found.told[:, TOLD.index("hair_color")]).all() and (found.attributes == 1).all()


def test_the_summary_sets_generated_over_true_and_tells_families_apart(people):
    true, generated, other = (measured(people, shift, 0, people.attributes) for shift in (0.0, 1.5, 60.0))
    found = summary(generated, true, other, people.tags, np.random.default_rng(0))
    expected = generated.oks_coco.mean() / true.oks_coco.mean()
    assert found["oks_coco_ratio"].value == pytest.approx(expected)
    assert found["oks_mean"]["another_body"].value < 0.05 < found["oks_mean"]["generated"].low
    assert set(found["families"]) == {"yoga", "sport"} and found["families"]["yoga"]["count"] == COUNT // 2
    assert found["attributes_ratio"].value == pytest.approx(1.0)
    assert {family: rows.sum() for family, rows in family_rows(people.tags).items()} == {"sport": 6, "yoga": 6}
