"""Mesh estimators: the frames of what they say, files round trip, and other packages' classes by name."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import parameters_from_arrays, pose_body
from posedreamer.estimators.hmr import HMRNet, Recovered, encode_root
from posedreamer.estimators.mesh import (
    ForeignEstimator,
    Learner,
    MeshEstimator,
    chosen_estimator,
    cut_crop,
    find_estimator,
    load_estimator,
    load_network,
    recovered_bodies,
    save_network,
)
from posedreamer.geometry.cameras import make_K, project
from posedreamer.geometry.person_crop import look_at_person
from posedreamer.geometry.rotations import rotvec_to_rotmat
from posedreamer.geometry.skeletons import COCO_FROM_OUTPUT
from posedreamer.storage.reader import open_shards

SAMPLE = Path(__file__).parents[2] / "shards" / "sample"
K = make_K(350.0, 256, 256)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("learner")
    save_network(HMRNet(size=64, width=32, heads=2, layers=1), place, {"body_sha256": load_body().sha256})
    return place


def samples(count=3):
    rows = iter(open_shards(SAMPLE, fields=("image", "K", "bbox", "json")))
    return [next(rows) for _ in range(count)]


def test_what_is_true_in_the_crop_is_true_in_the_picture():
    """A label taken into a turned camera and back is itself."""
    body, size = load_body(), 128
    for row in list(open_shards(SAMPLE, fields=("betas", "global_orient", "body_pose", "transl", "K", "bbox")))[:3]:
        arrays = {name: np.zeros(shape, np.float32) for name, shape in (("expression", 10), ("left_hand_pose", (15, 3)), ("right_hand_pose", (15, 3)), ("jaw_pose", 3), ("leye_pose", 3), ("reye_pose", 3))}  # fmt: skip
        label = parameters_from_arrays(arrays | {name: row[name] for name in ("betas", "global_orient", "body_pose", "transl")})  # fmt: skip
        expected = pose_body(body, label)
        camera = look_at_person(row["bbox"].astype(np.float64), row["K"], size, roll=0.4, zoom=1.1)
        rotmats = rotvec_to_rotmat(np.concatenate([row["global_orient"][None], row["body_pose"]]))
        rotmats[0] = camera.R_crop_from_cam @ rotmats[0]
        root = camera.R_crop_from_cam @ expected.joints[0].astype(np.float64)
        focal = torch.tensor([camera.K[0, 0]], dtype=torch.float32)
        encoded = encode_root(torch.from_numpy(root.astype(np.float32))[None], focal, size)
        recovered = Recovered(
            torch.from_numpy(rotmats.astype(np.float32))[None], torch.from_numpy(row["betas"])[None], encoded
        )
        found = pose_body(body, recovered_bodies(recovered, [camera], size, body)[0])
        np.testing.assert_allclose(found.vertices, expected.vertices, atol=2e-5)


def test_a_crop_shows_what_its_camera_sees():
    rows, columns = np.mgrid[0:256, 0:256] + 0.5
    camera = look_at_person(np.array([90.0, 80.0, 90.0, 110.0]), K, 256, roll=0.3)
    for point in np.array([[0.1, 0.2, 4.0], [0.1, -0.1, 5.0], [-0.2, 0.3, 4.5]]):
        (u, v), (seen_u, seen_v) = (
            project(point[None], K)[0],
            project((camera.R_crop_from_cam @ point)[None], camera.K)[0],
        )
        spot = np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * 3.0**2))
        crop = cut_crop((255 * spot[..., None]).round().repeat(3, axis=2).astype(np.uint8), camera, 256)[..., 0]
        weight = crop.astype(float) / crop.sum(dtype=float)
        # The spot's rounded tails and interpolation, far under the half pixel that a wrong origin costs.
        assert (weight * columns).sum() == pytest.approx(seen_u, abs=0.06)
        assert (weight * rows).sum() == pytest.approx(seen_v, abs=0.06)


def test_the_learner_answers_in_the_picture_s_frame_whatever_the_batches(folder):
    rows = samples()
    given = ([row["image"] for row in rows], np.stack([row["bbox"] for row in rows]).astype(np.float64), np.stack([row["K"] for row in rows]))  # fmt: skip
    learner = Learner(folder, batch_size=2).setup()
    assert isinstance(learner, MeshEstimator)
    found, single = learner.estimate(*given), Learner(folder, batch_size=1).setup().estimate(*given)
    for one, other, row in zip(found, single, rows, strict=True):
        np.testing.assert_allclose(one.joints_cam, other.joints_cam, atol=1e-4)
        posed = pose_body(load_body(), one.parameters)
        np.testing.assert_allclose(one.coco_keypoints, project(posed.joints[COCO_FROM_OUTPUT].astype(np.float64), row["K"]), atol=1e-3)  # fmt: skip
        x, y, width, height = row["bbox"]
        u, v = project(one.joints_cam[:1].astype(np.float64), row["K"])[0]
        assert x - width < u < x + 2 * width and y - height < v < y + 2 * height
    assert learner.identity.startswith(f"{folder.name}:") and len(learner.identity.split(":")[1]) == 16


def test_files_keep_the_network(folder):
    network = load_network(folder)
    save_network(network, folder.parent / "again", {"body_sha256": "x"})
    again = load_network(folder.parent / "again")
    for (name, one), other in zip(network.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_errors_say_what_is_missing_or_wrong(folder, tmp_path):
    with pytest.raises(ValueError, match=r"no model.safetensors; expected a folder that train_hmr wrote"):
        load_network(tmp_path)
    other = tmp_path / "other"
    save_network(load_network(folder), other, {"body_sha256": "0123456789abcdef"})
    with pytest.raises(ValueError, match="trained on body 0123456789ab, asked for"):
        Learner(other).setup()
    assert json.loads((other / "config.json").read_text())["network"]["size"] == 64
    with pytest.raises(ValueError, match="call setup"):
        Learner(folder).estimate([], np.zeros((0, 4)), np.zeros((0, 3, 3)))


class Foreign:
    """An estimator of another package."""

    identity = "foreign:1"

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def setup(self):
        return self

    def estimate(self, pictures, bboxes, Ks):
        return []


class NoEstimator:
    pass


def test_estimators_of_other_packages_are_found_by_name(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    made = load_estimator("test_mesh_estimators:Foreign", {"scale": 2.0})
    assert made.identity == "foreign:1"
    for name, settings, message in (
        ("test_mesh_estimators", {}, "expected a folder or package.module:Class"),
        ("no_such_package:Thing", {}, "no_such_package"),
        ("test_mesh_estimators:Nothing", {}, "Nothing"),
        ("test_mesh_estimators:Foreign", {"size": 3}, "size"),
        ("test_mesh_estimators:NoEstimator", {}, "lacks identity, setup or estimate"),
    ):
        with pytest.raises(ValueError, match=message):
            load_estimator(name, settings)


def test_a_config_s_estimator_is_loaded_where_it_is_set_up(monkeypatch, folder, tmp_path):
    """Asking for it needs neither package nor weights, so that only stage 3's actors need them."""
    foreign = chosen_estimator("elsewhere_installed:Foreign", {"scale": 2.0}, "open", 1)
    assert isinstance(foreign, ForeignEstimator) and isinstance(foreign, MeshEstimator)
    assert find_estimator("elsewhere_installed:Foreign", load_body()) == {}
    with pytest.raises(ValueError, match="elsewhere_installed"):
        foreign.setup()
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "elsewhere_installed.py").write_text("from test_mesh_estimators import Foreign\n")
    assert foreign.setup().identity == "foreign:1" and foreign.estimate([], np.zeros((0, 4)), np.zeros((0, 3, 3))) == []
    learner = chosen_estimator(str(folder), {}, "open", 1)
    assert isinstance(learner, Learner)
    (found,) = find_estimator(str(folder), load_body()).items()
    assert found[0] == f"learner:{folder}" and learner.setup().identity.endswith(found[1][:16])
    with pytest.raises(ValueError, match=r"learner nowhere: no model.safetensors"):
        find_estimator("nowhere", load_body())
