"""A run in COCO's own format: images, keypoint annotations and, if asked for, a detector's keypoints with their AP and AR.

    OUT/images/<key>.<suffix>   the kept pictures, byte for byte
    OUT/person_keypoints.json   images, annotations (keypoints, bbox, area and outline of the silhouette), categories
    OUT/detections.json         COCO's results format, of the judge (estimators/keypoints.py)

Points are measured from the corner of the first pixel, as everywhere here; COCO's own files do not say. Mask, box and area are those of the
body without clothes. The files are read by pycocotools, and `average_precision` gives COCOeval's figures (metrics/coco_eval.py).
"""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool

from posedreamer.estimators.keypoints import Detection, KeypointDetector
from posedreamer.geometry.skeletons import COCO_BONES, COCO_KEYPOINTS
from posedreamer.metrics.coco_eval import AveragePrecision, DetectedPerson, LabelledPerson, average_precision
from posedreamer.sample import Label
from posedreamer.storage.codec import IMAGE_SUFFIXES, members_to_sample
from posedreamer.storage.files import file_exists, join
from posedreamer.storage.manifest import read_manifest
from posedreamer.storage.shard import read_groups_of
from posedreamer.storage.stats import finished_shards

PERSON = 1  # COCO's number of the category


def export_coco(run_dir: str | Path, out: Path, detector: KeypointDetector | None = None) -> AveragePrecision | None:
    """Writes the kept samples; returns the figures of the detector (already set up), if there is one.

    A folder that already holds an export is a ValueError.
    """
    target = out / "person_keypoints.json"
    if target.exists():
        raise ValueError(f"{target}: is there already; give another folder")
    manifest = read_manifest(run_dir)
    (out / "images").mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    compared: list[tuple[list[LabelledPerson], list[DetectedPerson]]] = []
    for shard in finished_shards(run_dir):
        path = join(run_dir, f"shards/{shard:06d}.tar")
        for key, members in read_groups_of(path) if file_exists(path) else ():
            sample = members_to_sample(key, members, path, None)
            assert sample.label is not None and sample.condition is not None and sample.image is not None
            number, suffix = len(images) + 1, next(suffix for suffix in IMAGE_SUFFIXES if suffix in members)
            name = f"{key}.{suffix}"
            (out / "images" / name).write_bytes(members[suffix])
            images.append({"id": number, "file_name": name, "width": sample.label.width, "height": sample.label.height})
            annotation = to_annotation(number, sample.label, sample.condition.mask)
            annotations.append(annotation)
            if detector is not None:
                found = detector.detect(sample.image.rgb)
                detections.append(to_result(number, found))
                compared.append(([to_person(annotation)], [DetectedPerson(found.keypoints.astype(np.float64), detections[-1]["score"])]))  # fmt: skip
    content = {
        "info": {
            "description": f"{manifest['config']['name']}: generated pictures of people with the bodies they were made from;"
            " points from the corner of the first pixel",
            "config_hash": manifest["config_hash"],
        },
        "images": images,
        "annotations": annotations,
        "categories": [
            {
                "id": PERSON,
                "name": "person",
                "keypoints": list(COCO_KEYPOINTS),
                "skeleton": [[a + 1, b + 1] for a, b in COCO_BONES],
            }
        ],
    }
    if detector is not None:
        (out / "detections.json").write_text(json.dumps(detections) + "\n")
    target.write_text(json.dumps(content) + "\n")
    return average_precision(compared) if detector is not None else None


def to_annotation(number: int, label: Label, mask: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    """One person of an image of that number. A keypoint outside the image is not labelled: 0, 0, 0, as in COCO."""
    keypoints = np.where(label.coco_keypoints[:, 2:] > 0, label.coco_keypoints, 0.0).astype(np.float64)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return {
        "id": number,
        "image_id": number,
        "category_id": PERSON,
        "iscrowd": 0,
        "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
        "bbox": label.bbox.astype(np.float64).tolist(),
        "area": float(mask.sum()),
        "segmentation": [line.ravel().astype(float).tolist() for line in outlines if len(line) >= 3],
    }


def to_person(annotation: dict[str, Any]) -> LabelledPerson:
    """What the evaluation reads of an annotation."""
    keypoints = np.array(annotation["keypoints"]).reshape(-1, 3)
    return LabelledPerson(keypoints, np.array(annotation["bbox"]), annotation["area"])


def to_result(number: int, found: Detection) -> dict[str, Any]:
    """A detection in COCO's results format; the person's score is the mean of the keypoints'."""
    rows = np.column_stack([found.keypoints, found.confidence]).astype(np.float64)
    return {
        "image_id": number,
        "category_id": PERSON,
        "keypoints": rows.ravel().tolist(),
        "score": float(rows[:, 2].mean()),
    }
