"""A tiny random open_clip model on disk goes through the check by its path; what it says is the cosine of its own embeddings."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from posedreamer import torchvision_shim
from posedreamer.estimators.text_image import TextImageModel
from posedreamer.filters_config import FiltersConfig
from posedreamer.sample import Prompt, Verdict
from posedreamer.stages.filtering.model_checks import TextImageCheck
from posedreamer.stages.filtering.stage import FilteringStage

torchvision_shim.install()
open_clip = pytest.importorskip("open_clip")

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model in open_clip's own format, float32, about 1.7 M parameters."""
    folder = tmp_path_factory.mktemp("clip") / "tiny"
    folder.mkdir()
    torch.manual_seed(0)
    save_file(open_clip.model.CLIP(**TINY).state_dict(), folder / "open_clip_model.safetensors")
    colors = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY, "preprocess_cfg": colors}))
    return folder


def test_the_score_is_the_cosine_of_the_model_s_embeddings(folder, sample):
    network = open_clip.model.CLIP(**TINY).eval()
    network.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
    texts = ["a woman in a red shirt", "an empty street"]
    rgb = sample.image.rgb
    small = Image.fromarray(rgb).resize((32, 32), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.asarray(small, np.float32) / 255).permute(2, 0, 1)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ([0.48, 0.46, 0.41], [0.27, 0.26, 0.28]))
    with torch.no_grad():
        picture = network.encode_image(((pixels - mean) / std)[None])
        words = network.encode_text(open_clip.SimpleTokenizer(context_length=24)(texts))
    expected = torch.cosine_similarity(picture, words).tolist()
    model = TextImageModel(str(folder), threads=1).setup()
    assert [model.similarity(rgb, text) for text in texts] == pytest.approx(expected, abs=1e-3)
    assert abs(expected[0] - expected[1]) > 0.003


def test_the_check_decides_by_its_limit(folder, sample):
    sample = replace(sample, prompt=Prompt("a woman in a red shirt", {}))
    check = TextImageCheck(TextImageModel(str(folder), threads=1), -1.0)
    (name, identity), *_ = check.check_inputs().items()
    assert name == f"text_image:{folder}" and identity.startswith("tiny@sha256:")
    stage = FilteringStage([check])
    stage.setup()
    assert stage([sample])[0].verdict == Verdict("kept")
    strict = FilteringStage([TextImageCheck(check.model, 0.999)])
    assert strict([sample])[0].verdict == Verdict("rejected", "text_mismatch")
    (wordless,) = stage([replace(sample, prompt=None)])
    assert wordless.verdict.status == "failed" and "no prompt" in wordless.verdict.reason


def test_a_folder_of_another_format_and_a_check_without_a_model_are_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"open_clip_config\.json is missing"):
        TextImageModel(str(tmp_path), threads=1).check_inputs()
    with pytest.raises(ValueError, match="no such folder, and no hub id"):
        TextImageModel("nowhere", threads=1).check_inputs()
    for name in ("text_image", "safety"):
        with pytest.raises(ValueError, match=rf"`{name}.model` must name"):
            FiltersConfig.model_validate({"order": [name]})
