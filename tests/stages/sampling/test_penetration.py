"""Sinking: closed forms on spheres, and limbs pushed into the trunk."""

import numpy as np
import pytest
import trimesh

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import pose_body
from posedreamer.stages.sampling.library import parse_pose
from posedreamer.stages.sampling.library_source import pose_to_draw
from posedreamer.stages.sampling.penetration import GROWN_TOGETHER, PARTS, PenetrationCheck, close_mesh, winding_numbers
from posedreamer.stages.sampling.placing import draw_to_parameters


@pytest.fixture(scope="module")
def check() -> PenetrationCheck:
    return PenetrationCheck(load_body())


def posed_vertices(check: PenetrationCheck, **joints: list[float]) -> np.ndarray:
    pose = parse_pose("a", "f", {"title": "a", "joints": joints}, "a")
    draw = pose_to_draw(pose, check.body.get_buffer("hand_mean").numpy())
    return pose_body(check.body, draw_to_parameters(draw, np.zeros(10))).vertices


def test_winding_number_tells_inside_from_outside() -> None:
    sphere = trimesh.creation.icosphere(subdivisions=2)
    points = np.random.default_rng(0).uniform(-1.3, 1.3, (200, 3))
    radius = np.linalg.norm(points, axis=1)
    points, radius = points[abs(radius - 1) > 0.05], radius[abs(radius - 1) > 0.05]
    found = winding_numbers(points, sphere.vertices[sphere.faces])
    np.testing.assert_allclose(found, radius < 1, atol=1e-9)


def test_parts_are_closed_and_cover_the_body(check: PenetrationCheck) -> None:
    rest = posed_vertices(check, shoulders=[0, 90]).astype(np.float64)
    far = np.array([[5.0, 5.0, 5.0], [-3.0, 0.0, 4.0]])
    for name, part in check.parts.items():
        corners = close_mesh(rest, part.loops)[part.faces]
        # A closed surface has no flux: the sum of its area vectors is zero, and it winds round nothing outside.
        area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).sum(0)
        np.testing.assert_allclose(area, 0.0, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(winding_numbers(far, corners), 0.0, atol=1e-9, err_msg=name)
    covered = sum(len(part.vertices) for part in check.parts.values())
    assert covered > 0.9 * check.body.num_vertices
    assert {part for pair in GROWN_TOGETHER for part in pair} <= set(PARTS)


def test_a_t_pose_sinks_nowhere(check: PenetrationCheck) -> None:
    assert check.measure(posed_vertices(check, shoulders=[0, 90])) == []


def test_depth_follows_a_hand_that_is_pushed_in(check: PenetrationCheck) -> None:
    """The hand's vertices moved 1 cm further towards the belly sink 1 cm deeper, to the accuracy of the mesh (3 mm)."""
    vertices = posed_vertices(check, shoulders=[0, 90]).astype(np.float64)
    hand = check.parts["left_hand"].vertices
    hips = vertices[check.parts["hips"].vertices]
    front = hips[np.argmax(hips[:, 2] - 5 * abs(hips[:, 0]))]
    moved = vertices.copy()
    tip = vertices[hand][np.argmax(vertices[hand, 0])]
    # The finger tips, pointing backwards into the belly.
    turn = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    depths = []
    for pushed in (0.01, 0.02, 0.03):
        moved[hand] = (vertices[hand] - tip) @ turn.T + front - np.array([0.0, 0.0, pushed])
        found = {frozenset(s.parts): s.depth for s in check.measure(moved.astype(np.float32))}
        depths.append(found[frozenset(("hips", "left_hand"))])
    np.testing.assert_allclose(np.diff(depths), 0.01, atol=0.003)
    np.testing.assert_allclose(depths[0], 0.01, atol=0.003)


def test_an_arm_through_the_belly_is_found_and_a_contact_is_not_endless(check: PenetrationCheck) -> None:
    hand_mean = check.body.get_buffer("hand_mean").numpy()
    pose = parse_pose(
        "a", "f", {"title": "a", "joints": {"shoulders": [0, -10], "elbows": [95, 0], "collars": [0]}}, "a"
    )
    pose = parse_pose("a", "f", {"title": "a", "joints": {"left_shoulder": [-20, -10, -70], "left_elbow": [100]}}, "a")
    draw = pose_to_draw(pose, hand_mean)
    found = check(draw, ())
    assert any("left_forearm" in text or "left_hand" in text for text in found)
    allowed = tuple((part, trunk) for part in ("left_forearm", "left_hand") for trunk in ("hips", "chest"))
    assert check(draw, allowed) != []
