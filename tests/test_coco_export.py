"""pycocotools reads what is exported, and finds the figures that we say; every picture, point and box is the shard's."""

import contextlib
import io
import json

import cv2
import numpy as np
import pytest
from commands import ROOT, posedreamer
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy.ndimage import binary_fill_holes

from posedreamer.coco_export import export_coco
from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.storage.images import decode_rgb
from posedreamer.storage.locate import find_tars
from posedreamer.storage.shard import read_shard

SAMPLE = ROOT / "shards" / "sample"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    out = tmp_path_factory.mktemp("coco")
    return out, export_coco(SAMPLE, out, KeypointDetector(1).setup())


def test_the_figures_are_those_of_cocoeval_on_the_files(exported):
    out, figures = exported
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(out / "person_keypoints.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(out / "detections.json")), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    np.testing.assert_allclose(figures, evaluation.stats, atol=1e-9)
    assert figures.AP > 0.3


def test_images_and_annotations_are_those_of_the_shards(exported):
    out, _ = exported
    content = json.loads((out / "person_keypoints.json").read_text())
    samples = list(read_shard(find_tars(str(SAMPLE))[0]))
    assert [image["file_name"].split(".")[0] for image in content["images"]] == [sample.key for sample in samples]
    for image, one, sample in zip(content["images"], content["annotations"], samples, strict=True):
        assert (decode_rgb((out / "images" / image["file_name"]).read_bytes(), "") == sample.image.rgb).all()
        keypoints = np.array(one["keypoints"]).reshape(17, 3)
        inside = sample.label.coco_keypoints[:, 2] > 0
        np.testing.assert_array_equal(keypoints[inside], sample.label.coco_keypoints[inside])
        assert not keypoints[~inside].any() and one["num_keypoints"] == inside.sum()
        np.testing.assert_array_equal(one["bbox"], sample.label.bbox)
        mask = sample.condition.mask
        assert one["area"] == mask.sum()
        lines = [np.array(line, np.int32).reshape(-1, 1, 2) for line in one["segmentation"]]
        outline = cv2.fillPoly(np.zeros(mask.shape, np.uint8), lines, 1).astype(bool)
        filled = binary_fill_holes(mask)  # an outline has no holes
        assert (outline ^ filled).sum() < 0.1 * mask.sum() and not (mask & ~outline).any()


def test_the_command_writes_once(tmp_path):
    assert "person_keypoints.json" in posedreamer("coco", str(SAMPLE), "--out", str(tmp_path / "coco"))
    assert not (tmp_path / "coco" / "detections.json").exists()
    assert "is there already" in posedreamer("coco", str(SAMPLE), "--out", str(tmp_path / "coco"), expect=2)
