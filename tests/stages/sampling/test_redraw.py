"""Labels of another run: the same bodies, maps and prompts, place by place; what the other run lacks is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posedreamer.sample import Sample, Verdict, split_key
from posedreamer.stages.sampling.redraw import RedrawingStage, read_labels
from posedreamer.storage.arrays import label_to_arrays
from posedreamer.storage.shard import read_shard

RUN = Path(__file__).parents[3] / "shards" / "sample"
PLACES = 16


def make_stage(**changes) -> RedrawingStage:
    settings = {"run_dir": str(RUN), "body": "open", "width": 256, "height": 256, "places": PLACES, "condition": "xyz", "rasterizer": "numba"}  # fmt: skip
    stage = RedrawingStage(**(settings | changes))
    stage.setup()
    return stage


@pytest.fixture(scope="module")
def others() -> list[Sample]:
    return list(read_shard(RUN / "shards" / "000000.tar"))


def key_like(other: Sample, suffix: str = "") -> str:
    return f"abcdef01-r03-{split_key(other.key)[0][-11:]}{suffix}"


def test_labels_maps_and_prompts_are_those_of_the_same_place(others: list[Sample]) -> None:
    stage = make_stage()
    chosen = [others[4], others[0]]
    for other, sample in zip(chosen, stage([Sample(key_like(other), 7) for other in chosen]), strict=True):
        assert sample.is_pending and sample.key == key_like(other) and sample.run_seed == 7
        expected = label_to_arrays(other.label)
        for name, array in label_to_arrays(sample.label).items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)
        assert sample.prompt == other.prompt and sample.label.tags == other.label.tags
        for name in ("control", "xyz", "mask", "depth_mm"):
            np.testing.assert_array_equal(getattr(sample.condition, name), getattr(other.condition, name), err_msg=name)
        assert sample.image is None and not sample.scores


def test_candidates_share_a_label_and_another_map_is_drawn(others: list[Sample]) -> None:
    first, second = make_stage(condition="depth")([Sample(key_like(others[2], f"-c{n}"), 0) for n in range(2)])
    np.testing.assert_array_equal(first.label.K, second.label.K)
    assert first.condition.kind == "depth"
    np.testing.assert_array_equal(first.condition.xyz, others[2].condition.xyz)
    assert not np.array_equal(first.condition.control, first.condition.xyz)


def test_a_place_without_a_label_fails_alone(others: list[Sample]) -> None:
    taken = {split_key(other.key)[0][-4:] for other in others}
    free = next(f"{place:04d}" for place in range(PLACES, 9999) if f"{place:04d}" not in taken)
    done = replace(Sample(key_like(others[1]), 0), verdict=Verdict("rejected", "truncated"))
    missing, kept, far = make_stage()([Sample(f"abcdef01-r00-000000-{free}", 0), done, Sample("abcdef01-r00-000009-0000", 0)])  # fmt: skip
    assert missing.verdict.status == far.verdict.status == "failed"
    assert f"holds no label at place {int(free)} of shard 0" in str(missing.verdict.reason) and kept is done
    assert read_labels(str(RUN), 9) == {}


def test_another_kind_of_run_is_refused_before_any_work(tmp_path: Path) -> None:
    found = make_stage().check_inputs()
    assert list(found) == ["body:open", f"labels:{RUN}"]
    for changes, message in (
        ({"width": 128}, r"image size \(256, 256\), not \(128, 256\)"),
        ({"places": 8}, "labels in a shard 16, not 8"),
        ({"run_dir": str(tmp_path)}, r"is not a run: it has no run\.json"),
    ):
        with pytest.raises(ValueError, match=message):
            make_stage(**changes).check_inputs()
