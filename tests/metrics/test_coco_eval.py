"""Parity of AP and AR with pycocotools, over random images that meet all its rules."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from posedreamer.metrics.coco_eval import (
    AREAS,
    MOST_DETECTIONS,
    DetectedPerson,
    LabelledPerson,
    average_precision,
    similarities,
)
from posedreamer.metrics.oks import oks_coco


def random_images(rng, count, most_people=3, most_found=4):
    """Near and far detections, crowds, people without keypoints, of all areas, scores that tie."""
    images = []
    for _ in range(count):
        people, found = [], []
        for _ in range(rng.integers(0, most_people + 1)):
            side = float(np.exp(rng.uniform(np.log(15), np.log(300))))
            corner = rng.uniform(0, 200, 2)
            visible = rng.integers(0, 3, 17) * (rng.random() > 0.2)
            keypoints = np.column_stack([corner + rng.uniform(0, side, (17, 2)), visible])
            people.append(
                LabelledPerson(keypoints, np.array([*corner, side, side]), float(side**2 * rng.uniform(0.2, 1.0)))
            )
            for _ in range(rng.integers(0, 3)):
                off = rng.normal(0, side * rng.choice([0.005, 0.03, 0.1, 1.0]), (17, 2))
                found.append(DetectedPerson(keypoints[:, :2] + off, float(rng.integers(1, 9) / 8)))
        for _ in range(rng.integers(0, most_found)):
            found.append(DetectedPerson(rng.uniform(0, 300, (17, 2)), float(rng.random())))
        images.append((people, found))
    return images


def theirs(images):
    annotations, results = [], []
    for image, (people, found) in enumerate(images, start=1):
        for one in people:
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": 1, "iscrowd": 0, "area": one.area, "bbox": one.bbox.tolist(),
                 "keypoints": one.coco_keypoints.ravel().tolist(), "num_keypoints": int((one.coco_keypoints[:, 2] > 0).sum())}
            )  # fmt: skip
        for one in found:
            keypoints = np.column_stack([one.keypoints, np.ones(17)]).ravel().tolist()
            results.append({"image_id": image, "category_id": 1, "keypoints": keypoints, "score": one.score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": image} for image in range(1, len(images) + 1)],
            "categories": [{"id": 1, "name": "person"}],
            "annotations": annotations,
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats, evaluation


@pytest.mark.parametrize("seed", range(4))
def test_all_ten_figures_are_pycocotools_s(seed):
    """250 images a seed."""
    images = random_images(np.random.default_rng(seed), 250)
    expected, _ = theirs(images)
    np.testing.assert_allclose(average_precision(images), expected, atol=1e-9, rtol=0)
    assert 0.05 < expected[0] < 0.95


def test_similarities_are_pycocotools_s_and_ours():
    images = random_images(np.random.default_rng(7), 60)
    _, evaluation = theirs(images)
    for image, (people, found) in enumerate(images, start=1):
        if not people or not found:
            continue
        ranked = [found[place] for place in np.argsort([-one.score for one in found], kind="mergesort")]
        np.testing.assert_allclose(similarities(ranked, people), evaluation.ious[image, 1], atol=1e-9)
        for column, person in enumerate(people):
            if not person.is_ignored:
                own = [oks_coco(one.keypoints, person.coco_keypoints, person.area) for one in ranked]
                np.testing.assert_allclose(own, similarities(ranked, people)[:, column], atol=1e-12)


def test_a_crowd_of_detections_is_cut_at_twenty():
    rng = np.random.default_rng(0)
    images = random_images(rng, 20)
    people, _ = images[0]
    images.append(
        (
            people,
            [DetectedPerson(rng.uniform(0, 300, (17, 2)), float(rng.random())) for _ in range(2 * MOST_DETECTIONS)],
        )
    )
    np.testing.assert_allclose(average_precision(images), theirs(images)[0], atol=1e-9, rtol=0)


@pytest.mark.parametrize("kind", list(AREAS))
def test_without_people_there_is_no_figure(kind):
    found = DetectedPerson(np.random.default_rng(0).uniform(0, 300, (17, 2)), 0.5)
    assert set(average_precision([([], [found])])) == {-1.0}
