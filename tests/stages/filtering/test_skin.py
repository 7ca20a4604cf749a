"""The share of skin in closed form; nearest colours find the parts that are drawn; who is undressed is found, and who is not passes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.geometry.skeletons import SMPLX_JOINTS
from posedreamer.rendering.conditions import draw_parts, parts_from_colors
from posedreamer.rendering.label import draw_label
from posedreamer.sample import Sample, Verdict
from posedreamer.stages.filtering.faults import undressed
from posedreamer.stages.filtering.skin import LEAST_BARE, LIKE, PartsOfXyz, SkinCheck, bare_share
from posedreamer.stages.filtering.stage import FilteringStage
from posedreamer.storage.locate import find_tars
from posedreamer.storage.shard import read_shard

SKINLIKE = {"white", "gray", "black", "orange", "pink"}


def test_the_share_in_closed_form():
    """Hands of one colour; a trunk of which three in ten have it, and three more are just unlike it."""
    hand, trunk = SMPLX_JOINTS.index("left_index1"), SMPLX_JOINTS.index("spine2")
    skin = np.array([30.0, 10.0, 20.0])
    colors = np.concatenate(
        [np.tile(skin, (LEAST_BARE, 1)), np.tile(skin, (3, 1)), np.tile(skin + np.array([LIKE + 0.1, 0, 0]), (7, 1))]
    )
    parts = np.array([hand] * LEAST_BARE + [trunk] * 10)
    assert bare_share(colors, parts) == pytest.approx(0.3)
    assert bare_share(colors[1:], parts[1:]) is None  # one pixel of hand too few
    jaw = np.where(parts == hand, SMPLX_JOINTS.index("jaw"), parts)
    assert bare_share(colors, jaw) == pytest.approx(0.3)
    assert bare_share(colors[:LEAST_BARE], parts[:LEAST_BARE]) is None


@pytest.fixture(scope="module")
def people() -> list[Sample]:
    """Of the sample run: with true xyz maps."""
    samples = read_shard(find_tars(str(Path(__file__).parents[3] / "shards" / "sample"))[0])
    return [replace(sample, scores={}, verdict=Verdict()) for sample in samples]


def is_unlike_skin(sample: Sample) -> bool:
    return SKINLIKE.isdisjoint({sample.prompt.attributes[f"{part}_color"] for part in ("top", "bottom")})


def test_parts_of_colours_are_those_of_the_parts_map(people: list[Sample]):
    sample = people[0]
    body, label = load_body(), sample.label
    drawn = draw_label(body, label.parameters, label.K, label.width, label.height)
    expected = parts_from_colors(draw_parts(body, drawn))[sample.condition.mask]
    found = PartsOfXyz(body).find(sample.condition.xyz[sample.condition.mask])
    assert (found == expected).mean() > 0.93  # they differ along seams: by the nearest vertex here, by the face there


def test_who_is_undressed_is_found(people: list[Sample]):
    stage = FilteringStage([SkinCheck(0.75, "open")])
    stage.setup()
    dressed = [sample for sample in people if is_unlike_skin(sample)]
    assert dressed and {sample.verdict for sample in stage(dressed)} == {Verdict("kept")}
    rng = np.random.default_rng(0)
    bare = [found for sample in people if (found := undressed(sample, sample, load_body(), rng)) is not None]
    assert len(bare) >= 3
    assert {sample.verdict for sample in stage(bare)} == {Verdict("rejected", "unclothed")}


def test_without_setup_or_a_picture_it_says_so(sample: Sample):
    with pytest.raises(ValueError, match="setup"):
        SkinCheck(0.5, "open").score(sample)
    stage = FilteringStage([SkinCheck(0.5, "open")])
    stage.setup()
    assert stage([replace(sample, image=None)])[0].verdict.status == "failed"
