"""The multi-view UNet against plain diffusers and loops over rows; what may influence what; checkpoints by their names."""

import copy
import json
import math

import pytest
import torch
from safetensors.torch import load_file

from posedreamer.drpose.multiview_unet import (
    Layout,
    MultiViewBlock,
    MultiViewUNet,
    UNet2DConditionModel,
    load_multiview,
)

PSHUMAN = Layout(views=7, has_face=True)
ERA3D = Layout(views=6, camera_blocks=2, camera_width=12)
CONFIG = {
    "sample_size": 12,
    "in_channels": 8,
    "out_channels": 4,
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 6,
    "norm_num_groups": 4,
    "class_embed_type": "projection",
    "projection_class_embeddings_input_dim": 10,
}


def build(layout: Layout, seed: int = 0) -> MultiViewUNet:
    """Random weights everywhere, also where training begins at zero."""
    torch.manual_seed(seed)
    unet = MultiViewUNet.from_config(CONFIG).lay_out(layout).eval()
    for weight in unet.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return unet


def inputs(layout: Layout, subjects: int = 1) -> dict:
    torch.manual_seed(1)
    images = 2 * subjects * layout.views
    return {
        "sample": torch.randn(images, 8, 12, 12),
        "timestep": torch.tensor(500),
        "encoder_hidden_states": torch.randn(images, 3, 6),
        "class_labels": torch.randn(images, 10),
    }


@torch.no_grad()
def run(unet, given) -> torch.Tensor:
    return unet(**given).sample


def test_at_the_start_with_equal_domains_it_is_the_plain_unet():
    """attn_mv adds nothing, and attention to every key twice is attention to every key."""
    torch.manual_seed(0)
    plain = UNet2DConditionModel.from_config(CONFIG).eval()
    unet = MultiViewUNet.from_config(CONFIG)
    unet.load_state_dict(plain.state_dict())
    unet.lay_out(Layout()).eval()
    given = inputs(Layout())
    for name, tensor in given.items():
        if tensor.ndim:
            given[name] = tensor[:6].repeat(2, *[1] * (tensor.ndim - 1))
    torch.testing.assert_close(run(unet, given), run(plain, given), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layout", [Layout(), PSHUMAN, ERA3D])
def test_subjects_of_a_batch_do_not_see_each_other(layout):
    unet, given = build(layout), inputs(layout, subjects=3)

    def of_subject(tensor, k):
        if not tensor.ndim:
            return tensor
        return tensor.unflatten(0, (2, 3, layout.views))[:, k].flatten(0, 1)

    together = run(unet, given)
    for k in range(3):
        alone = run(unet, {name: of_subject(tensor, k) for name, tensor in given.items()})
        torch.testing.assert_close(of_subject(together, k), alone, atol=1e-4, rtol=1e-4)


def block_of(layout: Layout) -> MultiViewBlock:
    return next(module for module in build(layout).modules() if isinstance(module, MultiViewBlock))


def test_attention_along_rows_is_that_of_a_loop():
    block = block_of(Layout())
    x = torch.randn(2 * 6, 16, 8)  # one subject, pictures of 4 x 4
    found = block._attend_along_rows(x)
    attention, heads = block.attn_mv, block.attn_mv.heads
    for domain in range(2):
        for row in range(4):
            tokens = torch.stack([x[6 * domain + view, 4 * row + column] for view in range(6) for column in range(4)])
            q, k, v = (
                layer(tokens).unflatten(1, (heads, -1)) for layer in (attention.to_q, attention.to_k, attention.to_v)
            )
            scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[-1])
            mixed = torch.einsum("hqk,khd->qhd", scores.softmax(dim=-1), v).flatten(1)
            expected = attention.to_out[0](mixed).unflatten(0, (6, 4))
            for view in range(6):
                torch.testing.assert_close(
                    found[6 * domain + view, 4 * row : 4 * row + 4], expected[view], atol=1e-5, rtol=1e-4
                )


def influence(layout: Layout, image: int) -> torch.Tensor:
    """How much each token of each image after a block changes with one image's token in row 1."""
    block = block_of(layout)
    x = torch.randn(2 * layout.views, 36, 8)
    words = torch.randn(2 * layout.views, 3, 6)
    changed = x.clone()
    changed[image, 6 + 2, 0] += 1.0
    with torch.no_grad():
        difference = block(changed, encoder_hidden_states=words) - block(x, encoder_hidden_states=words)
    return difference.abs().amax(dim=2).unflatten(1, (6, 6))


def test_a_view_tells_its_own_other_domain_everything_and_other_views_its_rows():
    seen = influence(Layout(), image=2)
    assert (seen[[2, 8]] > 0).all()
    others = [view for view in range(12) if view not in (2, 8)]
    assert (seen[others] > 0).all()  # self-attention has told all rows of this view first
    block = block_of(Layout())
    x = torch.randn(12, 36, 8)
    changed = x.clone()
    changed[2, 6 + 2] += 1.0
    with torch.no_grad():
        seen = (block._attend_along_rows(changed) - block._attend_along_rows(x)).abs().amax(dim=2).unflatten(1, (6, 6))
    assert (seen[:6, 1] > 0).all() and (seen[6:] == 0).all()
    assert (seen[:, [0, 2, 3, 4, 5]] == 0).all()


def test_the_face_speaks_to_the_first_views_head_alone_and_is_not_taught_from_there():
    block = block_of(PSHUMAN)
    x = torch.randn(14, 36, 8, requires_grad=True)
    changed = x.detach().clone()
    changed[6] += 1.0
    with torch.no_grad():
        seen = (block._with_face(changed[:7]) - block._with_face(x[:7])).abs().amax(dim=2).unflatten(1, (6, 6))
    assert (seen[0, :2, 2:4] > 0).all() and (seen[6] > 0).all()
    seen[0, :2, 2:4] = 0
    assert (seen[:6] == 0).all()
    block._with_face(x[:7])[0].sum().backward()
    assert (x.grad[6] == 0).all() and (x.grad[0] > 0).all()
    rows = block._attend_along_rows(x.detach())
    assert (rows[[6, 13]] == 0).all() and (rows[:6].abs().amax(dim=2) > 0).all()


def test_the_camera_changes_the_upper_half_and_belongs_to_its_own_copy():
    unet, given = build(ERA3D), inputs(ERA3D)
    twin = copy.deepcopy(unet)
    before = run(unet, given)
    with torch.no_grad():
        twin.camera_embedding.linear_2.bias += 1.0
    assert not torch.allclose(run(twin, given), before)
    torch.testing.assert_close(run(unet, given), before)
    assert unet.camera.shape == (12, 32)
    # One camera a subject: all its images are told the same.
    assert (unet.camera == unet.camera[0]).all()


@pytest.mark.parametrize("layout", [Layout(), PSHUMAN, ERA3D])
def test_a_checkpoint_with_the_repositories_names_is_read(tmp_path, layout):
    unet = build(layout)
    unet.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {
        "_class_name": "UNetMV2DConditionModel",
        "down_block_types": ["CrossAttnDownBlockMV2D", "DownBlock2D"],
        "mid_block_type": "UNetMidBlockMV2DCrossAttn",
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlockMV2D"],
        "num_views": layout.views,
        "mvcd_attention": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    names = load_file(tmp_path / "diffusion_pytorch_model.safetensors").keys()
    block = "down_blocks.0.attentions.0.transformer_blocks.0"
    assert {f"{block}.attn_mv.to_q.weight", f"{block}.norm_mv.bias", f"{block}.attn1.to_out.0.bias"} <= names
    if layout.camera_blocks:
        assert {"elevation_regressor.blocks.1.linear2.weight", "focal_regressor.linear_in.0.bias"} <= names
    given = inputs(layout)
    torch.testing.assert_close(run(load_multiview(tmp_path, layout).eval(), given), run(unet, given))


def test_what_does_not_fit_is_refused(tmp_path):
    build(Layout()).save_pretrained(tmp_path / "plain")
    with pytest.raises(ValueError, match="lacks camera_embedding"):
        load_multiview(tmp_path / "plain", ERA3D)
    build(ERA3D).save_pretrained(tmp_path / "era3d")
    with pytest.raises(ValueError, match="has camera_embedding"):
        load_multiview(tmp_path / "era3d", Layout())
    (tmp_path / "plain" / "diffusion_pytorch_model.safetensors").rename(
        tmp_path / "plain" / "diffusion_pytorch_model.bin"
    )
    with pytest.raises(ValueError, match=r"got config\.json, diffusion_pytorch_model\.bin"):
        load_multiview(tmp_path / "plain", Layout())
