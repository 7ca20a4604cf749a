"""An image classifier of transformers goes through the safety check by its path."""

import numpy as np
import pytest
import torch
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from posedreamer.estimators.unsafe import UnsafeClassifier
from posedreamer.sample import Verdict
from posedreamer.stages.filtering.model_checks import SafetyCheck
from posedreamer.stages.filtering.stage import FilteringStage

NAMES = {0: "drawing", 1: "neutral", 2: "nsfw"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(0)
    shape = {"image_size": 32, "patch_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = ViTConfig(hidden_size=16, intermediate_size=32, id2label=NAMES, label2id={n: k for k, n in NAMES.items()}, **shape)  # fmt: skip
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_probabilities_of_the_labels_are_added(folder, sample):
    rgb = sample.image.rgb
    one, other, both = (
        UnsafeClassifier(str(folder), labels, threads=1).setup().probability(rgb)
        for labels in (["nsfw"], ["drawing"], ["nsfw", "drawing"])
    )
    assert both == pytest.approx(one + other) and 0 < one < 1
    assert UnsafeClassifier(str(folder), list(NAMES.values()), threads=1).setup().probability(rgb) == pytest.approx(1)
    dark = UnsafeClassifier(str(folder), ["nsfw"], threads=1).setup().probability(np.zeros_like(rgb))
    assert dark != pytest.approx(one, abs=1e-4)


def test_the_check_decides_by_its_limit(folder, sample):
    model = UnsafeClassifier(str(folder), ["nsfw"], threads=1)
    assert list(SafetyCheck(model, 0.5).check_inputs()) == [f"safety:{folder}"]
    stages = [FilteringStage([SafetyCheck(model, limit)]) for limit in (1.0, 0.0)]
    stages[0].setup()
    assert stages[0]([sample])[0].verdict == Verdict("kept")
    assert stages[1]([sample])[0].verdict == Verdict("rejected", "unsafe")


def test_labels_that_the_classifier_does_not_know_are_refused(folder):
    with pytest.raises(ValueError, match="knows no porn; its labels are drawing, neutral, nsfw"):
        UnsafeClassifier(str(folder), ["porn", "nsfw"], threads=1).check_inputs()
