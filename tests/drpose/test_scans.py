"""Scans: joints lie on the body in every view as it is stored, normals face their viewers, crops keep what lies inside."""

import numpy as np
import pytest
import torch

from posedreamer.bodies.catalog import load_body, load_wardrobe
from posedreamer.drpose import scan_data
from posedreamer.drpose.scans import (
    PHOTO_SIZE,
    crop_subject,
    draw_photo,
    draw_subject,
    draw_views,
    make_scan_maker,
    subject_joints,
)
from posedreamer.drpose.views import VIEWS, project_to_views
from posedreamer.geometry.skeletons import NUM_BODY_JOINTS
from posedreamer.rendering.label import draw_posed_label
from posedreamer.seeds import generator_for
from posedreamer.training import packed

SIZE = 64


@pytest.fixture(scope="module")
def maker():
    return make_scan_maker(load_body(), load_wardrobe(), "train", ["sport"])


@pytest.fixture(scope="module")
def scans(maker):
    poses = [maker.source.draw(generator_for(0, f"scan-{k}", "pose")) for k in range(6)]
    subjects = [draw_subject(maker, pose, 0, f"scan-{k}") for k, pose in enumerate(poses)]
    return [(subject, draw_views(subject, SIZE)) for subject in subjects]


def hits(pictures, keypoints) -> np.ndarray:
    """Whether each keypoint of each view lies on the body, or within a pixel of it."""
    found = []
    for picture, points in zip(pictures, keypoints, strict=True):
        body = np.pad((picture < 255).any(axis=2), 1)
        found.append([body[int(v) : int(v) + 3, int(u) : int(u) + 3].any() for u, v in points[:, :2]])
    return np.array(found)


def test_joints_lie_on_the_body_in_every_view_as_it_is_stored(scans):
    as_stored, as_seen = [], []
    for subject, views in scans:
        joints = torch.from_numpy(subject_joints(subject)[0])[None, :NUM_BODY_JOINTS]
        for pictures in views:
            as_stored.append(hits(pictures, project_to_views(joints, SIZE)[0].numpy()))
            as_seen.append(hits(pictures, project_to_views(joints, SIZE, as_stored=False)[0].numpy()))
    assert np.array(as_stored).all()
    mirrored = [view.is_mirrored for view in VIEWS]
    assert np.array(as_seen)[:, mirrored].mean() < 0.9


def test_the_unit_of_the_frame_is_the_diagonal_in_metres(scans):
    for subject, _ in scans:
        joints, diagonal = subject_joints(subject)
        low, high = subject.posed.vertices.min(axis=0), subject.posed.vertices.max(axis=0)
        assert diagonal == pytest.approx(np.linalg.norm(high - low), rel=1e-5)
        lengths = [np.linalg.norm(points[1] - points[4]) for points in (joints * diagonal, subject.posed.joints)]
        assert lengths[0] == pytest.approx(lengths[1], rel=1e-4)


def test_the_body_fills_its_square_without_leaving_it(scans):
    for _, views in scans:
        body = (views.normals < 255).any(axis=3)
        assert not body[:, [0, -1]].any() and not body[:, :, [0, -1]].any()
        rows, columns = body.any(axis=2).sum(axis=1), body.any(axis=1).sum(axis=1)
        assert (np.hypot(rows, columns) > SIZE / 2).all() and rows.max() > SIZE / 2


def test_normals_are_those_of_the_front_camera_and_face_their_viewer(scans):
    """Towards the front camera is blue; what the camera at azimuth a sees faces (sin a, 0, cos a) of the OpenGL axes."""
    for _, views in scans:
        for view, picture in zip(VIEWS, views.normals, strict=True):
            normals = picture.reshape(-1, 3).astype(np.float64) / 127.5 - 1.0
            unmixed = np.abs(np.linalg.norm(normals, axis=1) - 1.0) < 0.05  # what is mixed with white at a rim is not
            angle = np.deg2rad(view.azimuth)
            facing = normals[unmixed] @ [np.sin(angle), 0.0, np.cos(angle)]
            assert unmixed.sum() > 100 and np.mean(facing > -0.1) > 0.95 and facing.mean() > 0.4


def test_colours_and_shapes_show_one_silhouette(scans):
    for _, (colors, normals) in scans:
        one, other = (colors < 250).any(axis=3), (normals < 250).any(axis=3)
        assert (one == other).mean() > 0.98


def test_a_subject_is_its_pose_seed_and_key(maker, scans):
    pose = maker.source.draw(generator_for(0, "scan-2", "pose"))
    again, other = (draw_subject(maker, pose, 0, key) for key in ("scan-2", "scan-9"))
    np.testing.assert_array_equal(again.mesh.vertices, scans[2][0].mesh.vertices)
    assert other.tags == again.tags and other.attributes != again.attributes


def test_the_photograph_shows_the_subject_where_the_front_view_does(scans):
    """But for perspective, and a scale that the picture alone cannot tell."""
    overlaps, differences = [], []
    for subject, views in scans:
        drawn = draw_posed_label(load_body(), subject.posed, subject.K, PHOTO_SIZE, PHOTO_SIZE)
        mask = (
            crop_subject(np.repeat(255 * drawn.mask[..., None].astype(np.uint8), 3, axis=2), drawn.bbox, SIZE)[..., 0]
            > 127
        )
        shown = (views.colors[0] < 250).any(axis=2)
        overlaps.append((mask & shown).sum() / (mask | shown).sum())
        photo = draw_photo(subject, SIZE, np.random.default_rng(0)).astype(float)
        differences.append([np.abs(photo - picture)[mask & shown].mean() for picture in views.colors[[0, 3]]])
    front, back = np.mean(differences, axis=0)
    assert np.mean(overlaps) > 0.5 and front < 0.95 * back


def test_a_crop_keeps_the_box_in_its_middle_and_repeats_the_border():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    np.testing.assert_array_equal(crop_subject(rgb, np.array([26.0, 18.0, 6.0, 8.0]), 10), rgb[17:27, 24:34])
    outside = crop_subject(rgb, np.array([0.0, 0.0, 6.0, 8.0]), 10)
    np.testing.assert_array_equal(outside[1:, 2:], rgb[0:9, 0:8])
    np.testing.assert_array_equal(outside[0, 2:], rgb[0, 0:8])
    assert crop_subject(rgb, np.array([0.0, 0.0, 48.0, 48.0]), 16).shape == (16, 16, 3)


def test_a_packed_set_gives_back_what_was_drawn(tmp_path, monkeypatch, maker):
    monkeypatch.setattr(packed, "CHUNK_SIZE", 2)
    assert scan_data.create_scans(tmp_path, "train", ["sport"], 5, 32, 3) == [0, 1]
    for chunk in (1, 0, 1):
        scan_data.write_scans(tmp_path, "train", ("sport",), 5, 32, chunk)
    packed.finish_packed(tmp_path)
    scans = scan_data.open_scans(tmp_path, split="train")
    arrays, lists = scan_data.render_scans(maker, 5, 32, range(3))
    for name in scan_data.ARRAYS:
        np.testing.assert_array_equal(getattr(scans, name), arrays[name])
    assert scans.tags == lists["tags"] and scans.attributes == lists["attributes"]
    assert scans.tags[0] == scans.tags[1] and scans.photos.shape == (3, 32, 32, 3)
    with pytest.raises(ValueError, match="families"):
        scan_data.create_scans(tmp_path, "train", None, 5, 32, 3)


def test_what_is_lifted_is_drawn_over_the_skin_and_light_comes_from_the_upper_left(scans):
    subject, _ = scans[0]
    mesh, body_verts = subject.mesh, load_body().num_vertices
    is_worn = np.arange(len(mesh.vertices)) >= body_verts
    painted = np.repeat(is_worn[:, None], 3, axis=1).astype(np.float32)
    plain = mesh.pattern._replace(name="plain")
    worn = [
        (
            draw_views(subject._replace(mesh=mesh._replace(albedo=painted, pattern=plain, lift=lift)), SIZE).colors > 60
        ).sum()
        for lift in (np.float32(0.5) * is_worn, np.float32(-0.5) * is_worn)
    ]
    assert worn[0] > worn[1]
    white = draw_views(subject._replace(mesh=mesh._replace(albedo=np.full_like(mesh.albedo, 0.5), pattern=plain)), SIZE)
    normals = white.normals[0].astype(float) / 127.5 - 1.0
    body = (white.normals[0] < 250).any(axis=2)
    up_left = normals[..., 1] - normals[..., 0]
    bright = white.colors[0].mean(axis=2)
    assert bright[body & (up_left > 0.5)].mean() > bright[body & (up_left < -0.5)].mean() + 10
