"""Laws of the mesh-recovery network: where it begins, what its numbers mean, and that its backbone is the packaged one."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from posedreamer import torchvision_shim
from posedreamer.bodies.catalog import load_body
from posedreamer.estimators.features import load_lite0, prepare
from posedreamer.estimators.hmr import HMRNet, Recovered, encode_root, to_input


@pytest.fixture(scope="module")
def network() -> HMRNet:
    torch.manual_seed(0)
    return HMRNet(size=64, width=32, heads=2, layers=1).load_backbone("packaged").eval()


def pictures(count=2, size=64):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def test_training_begins_near_a_resting_body_that_faces_the_camera(network):
    with torch.no_grad():
        found = network(to_input(pictures()))
        posed = found.pose(load_body(), torch.full((2,), 300.0), 64)
    angles = torch.acos(((found.rotmats[:, 1:].diagonal(dim1=2, dim2=3).sum(dim=2) - 1) / 2).clamp(-1, 1))
    assert angles.max() < 0.3
    head, pelvis, nose = posed.joints[:, 15], posed.joints[:, 0], posed.joints[:, 55]
    assert (head[:, 1] < pelvis[:, 1] - 0.3).all(), "y points down"
    assert (nose[:, 2] < head[:, 2]).all(), "the nose is nearer than the head's joint"
    assert (pelvis[:, 2] > 3).all()


def test_roots_are_encoded_and_decoded():
    root_cam = torch.tensor([[0.3, -0.2, 4.0], [0.0, 0.5, 9.0]])
    focal = torch.tensor([300.0, 450.0])
    found = Recovered(torch.eye(3).expand(2, 22, 3, 3), torch.zeros(2, 10), encode_root(root_cam, focal, 128))
    torch.testing.assert_close(found.root_cam(focal, 128), root_cam)
    # A root a quarter of the crop right of its middle is at half of the way to the edge.
    edge = torch.tensor([[4.0 * 32 / 300.0, 0.0, 4.0]])
    assert encode_root(edge, focal[:1], 128)[0, 0].item() == pytest.approx(0.5)


def test_the_posed_root_is_where_the_network_says(network):
    body, focal = load_body(), torch.tensor([300.0, 400.0])
    with torch.no_grad():
        found = network(to_input(pictures()))
        posed = found.pose(body, focal, 64)
    torch.testing.assert_close(posed.joints[:, 0], found.root_cam(focal, 64), atol=1e-5, rtol=1e-5)


def test_the_backbone_computes_what_the_packaged_network_does(network):
    from efficientnet_lite_pytorch import EfficientNet

    packaged = EfficientNet.from_name("efficientnet-lite0")
    packaged.load_state_dict(load_lite0())
    packaged.eval()
    crops = torch.from_numpy(np.stack([prepare(picture) for picture in pictures(1, 96)]))
    with torch.no_grad():
        x = packaged._swish(packaged._bn0(packaged._conv_stem(crops)))
        for block in packaged._blocks[:11]:  # pyright: ignore
            x = block(x)
        found = network.backbone(crops)[0]
    assert found.shape == (1, 112, 14, 14)
    torch.testing.assert_close(found, x, atol=1e-5, rtol=1e-4)


def test_batch_norms_keep_their_statistics_in_training(network):
    before = {name: value.clone() for name, value in network.named_buffers()}
    network.train()
    network(to_input(pictures()))
    network.eval()
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    assert network.train().decoder.training
    network.eval()


def test_a_vision_transformer_is_a_backbone_too():
    network = HMRNet(backbone="vit_tiny_patch16_224", level=-1, size=64, width=32, heads=2, layers=1).eval()
    with torch.no_grad():
        found = network(to_input(pictures()))
    assert found.rotmats.shape == (2, 22, 3, 3)


def test_a_backbone_begins_with_a_file_s_weights(tmp_path):
    """The file holds a whole classifier for 96 px; the crops are 64 px, so its position embeddings are resized."""
    torchvision_shim.install()
    import timm

    torch.manual_seed(1)
    whole = timm.create_model("vit_tiny_patch16_224", img_size=96)
    path = str(tmp_path / "vit.safetensors")
    save_file(whole.state_dict(), path)
    network = HMRNet(backbone="vit_tiny_patch16_224", level=-1, size=64, width=32, heads=2, layers=1)
    network.load_backbone(path)
    state, loaded = whole.state_dict(), network.backbone.state_dict()
    for name in ("patch_embed.proj.weight", "blocks.3.attn.qkv.weight", "blocks.11.mlp.fc2.bias"):
        assert torch.equal(loaded[f"model.{name}"], state[name]), name
    assert loaded["model.pos_embed"].shape == (1, 17, 192)


@pytest.mark.parametrize(
    ("weights", "message"), [("absent.safetensors", "no weights absent"), ("packaged", "no packaged")]
)
def test_weights_that_are_not_there_are_refused(weights, message):
    network = HMRNet(backbone="vit_tiny_patch16_224", level=-1, size=64, width=32, heads=2, layers=1)
    with pytest.raises(ValueError, match=message):
        network.load_backbone(weights)
