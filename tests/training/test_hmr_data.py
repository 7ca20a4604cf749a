"""Laws of the learner's data: a pack is its shards, and a varied crop shows what its targets say."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import pose_bodies
from posedreamer.estimators.hmr import Recovered, encode_root
from posedreamer.geometry.cameras import project
from posedreamer.geometry.skeletons import COCO_FROM_OUTPUT, COCO_KEYPOINTS, mirror_permutation
from posedreamer.storage.reader import open_shards
from posedreamer.training.hmr_config import AugmentConfig, DataConfig
from posedreamer.training.hmr_data import (
    draw_view,
    look_worse,
    open_people,
    pack_people,
    plain_batch,
    plain_view,
    targets_of,
    training_batch,
)

SAMPLE = str(Path(__file__).parents[2] / "shards" / "sample")
ALL = [DataConfig(source=SAMPLE)]
SIZE = 64


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return pack_people(ALL, tmp_path_factory.mktemp("pack") / "people", load_body())


def test_a_pack_holds_what_the_shards_hold_in_their_order(people):
    rows = list(open_shards(SAMPLE, fields=("image", "body_pose", "transl", "K", "bbox")))
    assert people.keys == [row["key"] for row in rows] and people.num_rows == len(rows) > 3
    for place, row in enumerate(rows):
        assert np.array_equal(people.picture(place), row["image"])
        for name in ("body_pose", "transl", "K", "bbox"):
            assert np.array_equal(people.labels[name][place], row[name]), name


def some(count):
    return [DataConfig(source=SAMPLE, samples=count)]


def test_packing_twice_reads_the_pack_and_refuses_other_parts(tmp_path, monkeypatch):
    first = pack_people(some(3), tmp_path / "people", load_body())
    assert first.num_rows == 3
    monkeypatch.setattr("posedreamer.training.hmr_data.read_groups", None)
    again = pack_people(some(3), tmp_path / "people", load_body())
    assert again.keys == first.keys
    with pytest.raises(ValueError, match=r"made of parts .*samples.*3.*not .*samples.*4"):
        pack_people(some(4), tmp_path / "people", load_body())


def test_fewer_people_are_a_part_of_more_and_too_many_are_refused(people, tmp_path):
    few, more = (set(pack_people(some(count), tmp_path / str(count), load_body()).keys) for count in (3, 6))
    assert few < more < set(people.keys)
    assert more != set(
        people.keys[:6]
    )  # not the first of the shard, which are of one round and one seed's neighbourhood
    both = pack_people([*some(3), *ALL], tmp_path / "both", load_body())
    assert set(both.keys[:3]) == few and both.keys[3:] == people.keys
    with pytest.raises(ValueError, match=rf"{people.num_rows} samples, expected at least 1000"):
        pack_people(some(1000), tmp_path / "many", load_body())


def test_half_a_pack_is_made_anew(tmp_path):
    pack_people(some(2), tmp_path / "people", load_body())
    (tmp_path / "people" / "pack.json").unlink()
    (tmp_path / "people" / "pictures.bin").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"no pack\.json"):
        open_people(tmp_path / "people")
    assert pack_people(some(2), tmp_path / "people", load_body()).picture(1).ndim == 3


def test_people_of_another_body_are_refused_by_key(tmp_path):
    other = load_body().thinned(np.arange(3))
    other.sha256, other.name = "f" * 64, "another"
    with pytest.raises(ValueError, match=r"000000.tar: key .*body open, expected another ffffffffffff"):
        pack_people(ALL, tmp_path / "people", other)
    shutil.copytree(Path(SAMPLE) / "shards", tmp_path / "shards")
    assert json.loads((tmp_path / "shards" / "000000.json").read_text())


@pytest.mark.parametrize("mirror", [False, True])
def test_targets_lie_where_the_crop_shows_the_label(people, mirror):
    """Keypoints of the label, moved by the homography (and mirrored), are the projections of the targets' body."""
    augment = AugmentConfig(roll_share=1.0, mirror=mirror)
    body, rows = load_body(), np.arange(people.num_rows)
    views = [draw_view(people, int(row), SIZE, augment, np.random.default_rng(row)) for row in rows]
    assert {view.is_mirrored for view in views} == ({False, True} if mirror else {False})
    targets = targets_of(people, rows, views, body)
    root = encode_root(targets.root_cam, targets.focal, SIZE)
    posed = Recovered(targets.rotmats, targets.betas, root).pose(body, targets.focal, SIZE)
    labels = [open_label(people, row) for row in rows]
    for place, (view, label) in enumerate(zip(views, labels, strict=True)):
        points = label.joints[COCO_FROM_OUTPUT].astype(np.float64)
        expected = project(points @ view.camera.R_crop_from_cam.T, view.camera.K)
        found = project(posed.joints[place, COCO_FROM_OUTPUT].double().numpy(), view.camera.K)
        if view.is_mirrored:
            expected[:, 0] = SIZE - expected[:, 0]
            expected = expected[mirror_permutation(COCO_KEYPOINTS)]
        # The open body's two halves differ by millimetres.
        np.testing.assert_allclose(found, expected, atol=0.25 if view.is_mirrored else 0.01)


def open_label(people, row):
    """The label's posed body, its face and hands at rest as the targets have them."""
    from posedreamer.bodies.posing import parameters_from_arrays, rest_parameters
    from posedreamer.sample import PARAMETER_SHAPES

    rest = rest_parameters()
    known = ("betas", "global_orient", "body_pose", "transl")
    arrays = {name: people.labels[name][row] if name in known else getattr(rest, name) for name in PARAMETER_SHAPES}
    return pose_bodies(load_body(), [parameters_from_arrays(arrays)])[0]


def test_the_same_generators_give_the_same_batch_whoever_draws_it(people):
    body, augment, rows = load_body(), AugmentConfig(), np.arange(4)
    rngs = [[np.random.default_rng(row) for row in rows] for _ in range(2)]
    crops, targets = training_batch(people, rows, SIZE, augment, body, rngs[0])
    halves = [training_batch(people, rows[part], SIZE, augment, body, rngs[1][part]) for part in (slice(0, 1), slice(1, 4))]  # fmt: skip
    assert torch.equal(crops, torch.cat([half[0] for half in halves]))
    assert torch.equal(targets.rotmats, torch.cat([half[1].rotmats for half in halves]))


def test_without_variation_a_training_crop_is_the_plain_one(people):
    still = AugmentConfig(zoom=0, shift=0, roll_share=0, colour=0, hidden_share=0, mirror=False)
    body, rows = load_body(), np.arange(3)
    crops, targets = training_batch(people, rows, SIZE, still, body, [np.random.default_rng(0)] * 3)
    plain, expected, views = plain_batch(people, rows, SIZE, body)
    assert torch.equal(crops, plain) and torch.equal(targets.root_cam, expected.root_cam)
    assert [view.camera.K[0, 0] for view in views] == [plain_view(people, row, SIZE).camera.K[0, 0] for row in range(3)]


def test_rectangles_hide_the_share_asked_for(people):
    crops = np.full((400, 32, 32, 3), 90, dtype=np.uint8)
    changed = look_worse(crops, AugmentConfig(colour=0.0, hidden_share=0.25, hidden=0.5), np.random.default_rng(0))
    hidden = (changed != 90).any(axis=3)
    assert 0.18 < hidden.any(axis=(1, 2)).mean() < 0.32
    assert hidden.any(axis=1).sum(axis=1).max() <= 16 and hidden.any(axis=2).sum(axis=1).max() <= 16
    tinted = look_worse(crops, AugmentConfig(colour=0.2, hidden_share=0.0), np.random.default_rng(0))
    assert tinted.std(axis=0).min() > 3 and not (tinted[0] != tinted[0, :1, :1]).any()
