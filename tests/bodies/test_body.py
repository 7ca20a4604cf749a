"""The body model against the official loader, and the laws of its forward pass."""

from pathlib import Path

import numpy as np
import pytest
import torch

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.catalog import OPEN_BODY_DIRECTORY, load_body
from posedreamer.geometry.skeletons import SMPLX_JOINTS, SMPLX_PARENTS
from posedreamer.sample import PARAMETER_SHAPES

# Metres; float32 sums of 506 terms, as both sides do them.
VERTEX_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-4
HAND_COMPONENTS = {
    "hands_componentsl": np.eye(45), "hands_componentsr": np.eye(45),
    "hands_coeffsl": np.zeros((1, 45)), "hands_coeffsr": np.zeros((1, 45)),
}  # fmt: skip


def random_arrays(num_vertices: int = 10475, columns: int = 400, seed: int = 0) -> dict[str, np.ndarray]:
    """A file's worth of random numbers with the shapes of the official one: nothing in it is zero or symmetric."""
    rng = np.random.default_rng(seed)
    weights = rng.random((num_vertices, 55)) ** 8
    regressor = rng.random((55, num_vertices)) ** 20
    return {
        "v_template": rng.normal(size=(num_vertices, 3), scale=0.5).astype(np.float32),
        "f": rng.integers(0, num_vertices, (20908, 3)),
        "shapedirs": rng.normal(size=(num_vertices, 3, columns), scale=0.01).astype(np.float32),
        "posedirs": rng.normal(size=(num_vertices, 3, 486), scale=0.002).astype(np.float32),
        "J_regressor": (regressor / regressor.sum(axis=1, keepdims=True)).astype(np.float32),
        "kintree_table": np.array([SMPLX_PARENTS, range(55)]),
        "weights": (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32),
        "hands_meanl": rng.normal(size=45, scale=0.2),
        "hands_meanr": rng.normal(size=45, scale=0.2),
        "lmk_faces_idx": rng.integers(0, 20908, 51),
        "lmk_bary_coords": rng.dirichlet([1.0, 1.0, 1.0], 51),
        **HAND_COMPONENTS,
    }


@pytest.fixture(scope="module", params=["open", "random"])
def body_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The open body, or random numbers in the official layout, as a file that the official loader reads."""
    path = tmp_path_factory.mktemp(request.param) / "SMPLX_NEUTRAL.npz"
    if request.param == "open":
        with np.load(OPEN_BODY_DIRECTORY / "open.npz") as archive:
            np.savez(path, **{key: archive[key] for key in archive.files}, **HAND_COMPONENTS)
    else:
        np.savez(path, **random_arrays())
    return path


def draw_parameters(batch: int, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scale = {"betas": 1.0, "expression": 1.0, "transl": 1.0}
    return {
        name: scale.get(name, 0.4) * torch.randn(batch, *shape, generator=generator)
        for name, shape in PARAMETER_SHAPES.items()
    }


@pytest.mark.filterwarnings("ignore")
def test_vertices_joints_and_gradients_equal_the_official_loader(body_file):
    smplx = pytest.importorskip("smplx", reason="the official loader is the extra [smplx]")
    body = BodyModel.from_file(body_file)
    batch = 5
    official = smplx.SMPLX(
        str(body_file), use_pca=False, flat_hand_mean=False, num_betas=10, num_expression_coeffs=10,
        batch_size=batch, ext="npz",
    )  # fmt: skip
    ours = {name: value.requires_grad_() for name, value in draw_parameters(batch, 1).items()}
    theirs = {name: value.detach().clone().requires_grad_() for name, value in ours.items()}
    out, expected = body(**ours), official(**{name: value.reshape(batch, -1) for name, value in theirs.items()})
    assert (out.vertices - expected.vertices).abs().max() < VERTEX_TOLERANCE
    assert (out.joints - expected.joints[:, :127]).abs().max() < VERTEX_TOLERANCE
    # The same random linear function of the output, of order one, gives the same gradient to every parameter.
    probe = torch.randn(out.vertices.shape, generator=torch.Generator().manual_seed(2)) / np.sqrt(
        out.vertices[0].numel()
    )
    ((out.vertices * probe).sum() + out.joints.mean()).backward()
    ((expected.vertices * probe).sum() + expected.joints[:, :127].mean()).backward()
    for name in PARAMETER_SHAPES:
        assert (ours[name].grad - theirs[name].grad).abs().max() < GRADIENT_TOLERANCE, name


def test_a_body_does_not_depend_on_its_batch():
    body, parameters = load_body(), draw_parameters(6, 3)
    with torch.no_grad():
        together = body(**parameters)
        alone = body(**{name: value[4:5] for name, value in parameters.items()})
    # Matrix products of other sizes may round the last bit the other way.
    assert torch.allclose(together.vertices[4], alone.vertices[0], atol=2e-6)
    assert torch.allclose(together.joints[4], alone.joints[0], atol=2e-6)


def test_the_root_stands_at_transl_plus_its_rest_place_whatever_the_turn():
    body, parameters = load_body(), draw_parameters(3, 4)
    with torch.no_grad():
        joints = body(**parameters | {"expression": torch.zeros(3, 10)}).joints
    assert torch.allclose(joints[:, 0], body.rest_root(parameters["betas"]) + parameters["transl"], atol=1e-6)


def test_transl_moves_everything_and_transforms_leave_it_out():
    body, parameters = load_body(), draw_parameters(2, 5)
    shift = torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.0, -4.0]])
    with torch.no_grad():
        here, there = body(**parameters), body(**parameters | {"transl": parameters["transl"] + shift})
    assert torch.allclose(there.vertices - here.vertices, shift[:, None].expand_as(here.vertices), atol=2e-6)
    assert torch.allclose(there.joints - here.joints, shift[:, None].expand_as(here.joints), atol=2e-6)
    assert torch.equal(there.transforms, here.transforms)


def test_hand_poses_count_from_the_mean_hand():
    body = load_body()
    zero = {name: torch.zeros(1, *shape) for name, shape in PARAMETER_SHAPES.items()}
    mean = body.get_buffer("hand_mean")
    with torch.no_grad():
        relaxed, flat = body(**zero), body(**zero | {"left_hand_pose": -mean[:1], "right_hand_pose": -mean[1:]})
    wrist, finger = SMPLX_JOINTS.index("left_wrist"), SMPLX_JOINTS.index("left_index3")
    # Flat fingers keep their rest transform; relaxed ones curl, so the finger tip is nearer to the wrist.
    assert torch.allclose(flat.transforms[0, finger], torch.eye(4), atol=1e-6)
    reach = [torch.linalg.norm(out.joints[0, finger] - out.joints[0, wrist]).item() for out in (relaxed, flat)]
    assert reach[0] < reach[1] - 1e-3


def test_official_files_give_their_first_ten_betas_and_first_ten_expressions(tmp_path):
    arrays = random_arrays(num_vertices=10000)
    np.savez(tmp_path / "SMPLX_FEMALE.npz", **arrays)
    body = BodyModel.from_file(tmp_path / "SMPLX_FEMALE.npz")
    used = body.directions[:20].reshape(20, 3, -1).permute(2, 1, 0).numpy()
    assert np.array_equal(used[..., :10], arrays["shapedirs"][..., :10])
    assert np.array_equal(used[..., 10:], arrays["shapedirs"][..., 300:310])
    assert (body.gender, body.name, body.num_vertices) == ("female", "SMPLX_FEMALE", 10000)


def test_a_thinned_body_has_the_same_joints_and_the_chosen_vertices():
    body, chosen = load_body(), np.array([7, 4000, 12, 13000])
    thin = body.thinned(chosen)
    parameters = draw_parameters(3, seed=5)
    full, few = body(**parameters), thin(**parameters)
    torch.testing.assert_close(few.joints, full.joints, atol=VERTEX_TOLERANCE, rtol=0)
    torch.testing.assert_close(few.vertices[:, :4], full.vertices[:, chosen], atol=VERTEX_TOLERANCE, rtol=0)
    assert few.vertices.shape[1] == thin.num_vertices == 4 + 21 + 3 * 51
    assert body.num_vertices == full.vertices.shape[1]


def test_relaxed_rotations_are_those_of_zero_hands_jaw_and_eyes():
    import roma

    body, parameters = load_body(), draw_parameters(3, seed=6)
    for name in ("left_hand_pose", "right_hand_pose", "jaw_pose", "leye_pose", "reye_pose", "expression"):
        parameters[name] = torch.zeros_like(parameters[name])
    rotvecs = torch.cat([parameters["global_orient"][:, None], parameters["body_pose"]], dim=1)
    rotmats = body.relaxed_rotmats(roma.rotvec_to_rotmat(rotvecs))
    shape = torch.cat([parameters["betas"], parameters["expression"]], dim=1)
    found, expected = body.pose(rotmats, shape, parameters["transl"]), body(**parameters)
    torch.testing.assert_close(found.vertices, expected.vertices, atol=VERTEX_TOLERANCE, rtol=0)
