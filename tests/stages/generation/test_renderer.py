"""Stage 2 by the renderer: the picture of the very label, from the sample's own seed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posedreamer.config import load_config
from posedreamer.line import RenderingStage, generation_stage
from posedreamer.rendering.attributes import complete
from posedreamer.sample import Prompt, Sample, Verdict
from posedreamer.stages.sampling.stage import SamplingStage

CONFIG = Path(__file__).parents[3] / "configs" / "rendered.yaml"
SETS = ["image.width=96", "image.height=96"]


@pytest.fixture(scope="module")
def stage():
    made = generation_stage(load_config(CONFIG, SETS))
    assert isinstance(made, RenderingStage)
    made.setup()
    return made


@pytest.fixture(scope="module")
def sampled():
    sampling = SamplingStage.from_config(load_config(CONFIG, SETS))
    sampling.setup()
    return sampling([Sample(f"aaaaaaaa-r00-000000-{place:04d}", 3) for place in range(3)])


def test_a_picture_depends_on_its_own_key_alone(stage, sampled):
    together, alone = stage(sampled), stage(sampled[2:])
    assert np.array_equal(together[2].image.rgb, alone[0].image.rgb)
    assert not np.array_equal(together[0].image.rgb, together[1].image.rgb)
    assert together[0].image.rgb.shape == (96, 96, 3) and together[0].image.generator.startswith("renderer-v")


def test_the_prompt_names_every_attribute_of_the_picture(sampled):
    for sample in sampled:
        assert complete(sample.prompt.attributes).items() >= sample.prompt.attributes.items()


def test_what_cannot_be_rendered_fails_alone_and_says_why(stage, sampled):
    strange = replace(sampled[0], prompt=Prompt("a cat", {"species": "cat"}))
    unlabelled = replace(sampled[1], label=None)
    done = stage([strange, unlabelled, sampled[2]])
    assert [sample.verdict.status for sample in done] == ["failed", "failed", "pending"]
    assert "skin is missing" in done[0].verdict.reason and "incomplete" in done[1].verdict.reason


def test_a_verdict_is_left_alone(stage, sampled):
    refused = replace(sampled[0], verdict=Verdict("failed", "pose_undrawable: why"))
    assert stage([refused]) == [refused]


def test_another_body_has_no_clothes():
    with pytest.raises(ValueError, match=r"generator.model `renderer` needs `body: open`"):
        load_config(CONFIG, ["body=some/SMPLX_NEUTRAL.npz", "reference.renders=0"])
