"""Panels show the label where the picture shows the body, at any size."""

import base64

import cv2
import numpy as np
import pytest
from report_runs import SIZE, make_sample

from posedreamer.bodies.catalog import load_body
from posedreamer.geometry.cameras import project
from posedreamer.rendering.label import draw_label
from posedreamer.report.pictures import resize, sample_panels, sample_thumb, scale_label, scale_to, to_data_uri


def decode(uri):
    kind, _, text = uri.partition(";base64,")
    assert kind == "data:image/webp"
    return cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR_RGB)


@pytest.fixture(scope="module")
def sample():
    return make_sample("k", "kept", None, 0.9, 1, "xyz")


@pytest.mark.parametrize("factor", [0.5, 2.0, 6.0])
def test_a_scaled_label_projects_to_the_scaled_keypoints(sample, factor):
    scaled = scale_label(sample.label, factor, round(SIZE * factor), round(SIZE * factor))
    assert np.allclose(project(scaled.joints_cam, scaled.K), scaled.keypoints, atol=1e-3 * factor)
    drawn = draw_label(load_body(), scaled.parameters, scaled.K, scaled.width, scaled.height)
    assert np.allclose(drawn.keypoints, scaled.keypoints, atol=1e-3 * factor)
    assert np.allclose(drawn.bbox / factor, sample.label.bbox, atol=1.0 + 1.0 / factor)


def test_panels_have_the_size_of_the_page_and_the_shape_of_the_image(sample):
    panels = sample_panels(sample, load_body(), size=96)
    assert [panel.name for panel in panels] == ["picture", "skeleton", "mesh", "xyz"]
    pictures = {panel.name: decode(panel.uri).astype(int) for panel in panels}
    assert {picture.shape for picture in pictures.values()} == {(96, 96, 3)}
    mask = cv2.resize(sample.condition.mask.astype(np.uint8), (96, 96), interpolation=cv2.INTER_NEAREST) > 0
    inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    outer = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    change = np.abs(pictures["mesh"] - pictures["picture"]).mean(-1)
    assert (
        change[inner].mean() > 3 * change[outer].mean()
    )  # the mesh lies on the silhouette; WebP blurs the rest a little
    assert pictures["xyz"][inner].mean() > 10 * pictures["xyz"][outer].mean()


def test_another_condition_is_shown_beside_the_xyz_map():
    sample = make_sample("k", "kept", None, 0.9, 1, "depth")
    assert [panel.name for panel in sample_panels(sample, load_body(), 64)][-2:] == ["xyz", "depth"]


def test_a_thumbnail_is_small(sample):
    assert decode(sample_thumb(sample, 40)).shape == (40, 40, 3)


def test_sizes_follow_the_longer_side():
    image = np.zeros((30, 60, 3), np.uint8)
    assert resize(image, scale_to(120, 60, 30)).shape == (60, 120, 3)
    assert resize(image, scale_to(20, 60, 30)).shape == (10, 20, 3)


def test_a_flat_image_comes_back_from_its_uri():
    image = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    assert np.abs(decode(to_data_uri(image)).astype(int) - image).max() <= 6


def test_a_sample_without_a_picture_is_refused():
    with pytest.raises(ValueError, match="needs label, condition and image"):
        sample_panels(make_sample("k", "failed", "x", None, 0, "xyz"), load_body())
