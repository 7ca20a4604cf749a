"""Laws of stage 2, on tiny random pipelines of the real SD 1.5 and SDXL classes, saved to disk and loaded like real ones."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_models import PROMPTS, SIZE, save_tiny

from posedreamer.rendering.conditions import condition_renderer_id
from posedreamer.sample import BodyParameters, Condition, Label, Prompt, Sample, Verdict, make_key
from posedreamer.stages.generation.stage import GenerationStage

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "sd15": save_tiny(root / "sd15", xl=False),
        "sdxl": save_tiny(root / "sdxl", xl=True),
        "plain": save_tiny(root / "plain", xl=False, plain=True),
    }


def stage(model, condition="xyz", **changes):
    settings = {
        "model": model, "controlnet": None, "condition": condition, "adapters": (), "steps": 3, "guidance": 2.0,
        "controlnet_scale": 1.0, "negative_prompt": "", "dtype": "float32", "device": "cpu", "batch_size": 4, "threads": 1,
    }  # fmt: skip
    made = GenerationStage(**(settings | changes))
    made.setup()
    return made


def make_sample(place, condition="xyz", size=SIZE, seed=7):
    rng = np.random.default_rng(place)
    zeros = {
        "betas": 10,
        "expression": 10,
        "global_orient": 3,
        "jaw_pose": 3,
        "leye_pose": 3,
        "reye_pose": 3,
        "transl": 3,
    }
    parameters = BodyParameters(
        **{name: np.zeros(count, np.float32) for name, count in zeros.items()},
        body_pose=np.zeros((21, 3), np.float32),
        left_hand_pose=np.zeros((15, 3), np.float32),
        right_hand_pose=np.zeros((15, 3), np.float32),
    )
    label = Label(
        parameters, np.eye(3), np.eye(4), np.zeros((127, 3), np.float32), np.zeros((127, 2), np.float32),
        np.zeros(127, bool), np.zeros((17, 3), np.float32), np.zeros(4, np.float32), size, size, "library", (),
    )  # fmt: skip
    control = rng.integers(0, 256, (size, size, 3)).astype(np.uint8)
    maps = Condition(condition, control, control, control[..., 0] > 9, np.zeros((size, size), np.uint16))
    return Sample(make_key("3f9c2a17", 0, 0, place), seed, label, Prompt(PROMPTS[place % 4], {}), maps)


@pytest.mark.parametrize("model", ["sd15", "sdxl"])
@pytest.mark.parametrize("condition", ["openpose", "depth", "xyz"])
def test_draws_a_picture_of_the_labels_size(tiny, model, condition):
    samples = [make_sample(place, condition) for place in range(2)]
    drawn = stage(tiny[model], condition)(samples)
    for sample in drawn:
        assert sample.is_pending and sample.image.rgb.shape == (SIZE, SIZE, 3) and sample.image.rgb.std() > 0
        assert sample.image.generator.startswith(f"{model}@sha256:")
    assert not np.array_equal(drawn[0].image.rgb, drawn[1].image.rgb)


@pytest.mark.parametrize("model", ["sd15", "sdxl"])
def test_same_batch_same_bytes_and_a_batch_is_its_singles(tiny, model):
    samples = [make_sample(place) for place in range(4)]
    batched = stage(tiny[model])
    first, second = batched(samples), batched(samples)
    singles = stage(tiny[model], batch_size=1)(samples)
    for one, two, single in zip(first, second, singles, strict=True):
        assert np.array_equal(one.image.rgb, two.image.rgb)
        # float32 sums round differently in products of another shape: one grey level at most
        assert np.abs(one.image.rgb.astype(int) - single.image.rgb.astype(int)).max() <= 1


def test_picture_follows_condition_prompt_and_key(tiny):
    draw = stage(tiny["sd15"])
    sample = make_sample(0)
    reference = draw([sample])[0].image.rgb
    other_map = replace(sample, condition=make_sample(1).condition)
    other_text = replace(sample, prompt=Prompt("a dancer on a beach", {}))
    other_candidate = replace(sample, key=sample.key + "-c3")
    for other in (other_map, other_text, other_candidate, replace(sample, run_seed=8)):
        assert not np.array_equal(draw([other])[0].image.rgb, reference)
    assert draw([other_candidate])[0].image.candidate == 3


def test_plain_pipeline_needs_a_controlnet_and_takes_one(tiny):
    with pytest.raises(ValueError, match="no ControlNet of its own"):
        stage(tiny["plain"])
    drawn = stage(tiny["plain"], controlnet=tiny["plain"] + "-controlnet")([make_sample(0)])
    assert drawn[0].image.rgb.shape == (SIZE, SIZE, 3)
    assert "+plain-controlnet@sha256:" in drawn[0].image.generator


def test_bad_samples_fail_alone_and_spoken_verdicts_pass_untouched(tiny):
    good, rejected = make_sample(0), replace(make_sample(1), verdict=Verdict("rejected", "oks_low"))
    samples = [replace(make_sample(2), prompt=None), good, rejected, make_sample(3, "depth")]
    out = stage(tiny["sd15"])(samples)
    assert [sample.key for sample in out] == [sample.key for sample in samples]
    assert out[0].verdict.reason.startswith("incomplete") and out[3].verdict.reason.startswith("condition_kind")
    assert out[2] is rejected and out[1].image is not None


def test_sizes_are_not_mixed_and_odd_sizes_are_refused(tiny):
    draw = stage(tiny["sd15"])
    out = draw([make_sample(0), make_sample(1, size=40), make_sample(2)])
    assert [sample.image.rgb.shape[0] for sample in out] == [SIZE, 40, SIZE]
    with pytest.raises(ValueError, match="multiples of 8"):
        draw([make_sample(0, size=36)])


def test_missing_and_foreign_models_are_refused(tiny, tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        stage("/nowhere/to/be/found")
    with pytest.raises(ValueError, match=r"model_index\.json is missing"):
        stage(tiny["plain"] + "-controlnet")
    folder = save_tiny(tmp_path / "facts", xl=False)
    facts = tmp_path / "facts" / "posedreamer.json"
    facts.write_text(json.dumps({"condition_renderer": condition_renderer_id("xyz")}))
    stage(folder, "xyz")
    with pytest.raises(ValueError, match="made for the condition xyz-v1"):
        stage(folder, "depth")
