"""Checkpoints in PSHuman's and Era3D's layout: tiny ones of random weights, against diffusers' own pipeline of Stable unCLIP."""

import json

import numpy as np
import pytest
import torch

from posedreamer.drpose.checkpoints import PIPELINE, ClipEmbedder, find_layout, open_multiview
from posedreamer.drpose.drpose_config import LoraConfig, RolloutConfig
from posedreamer.drpose.multiview import draw_views
from posedreamer.drpose.multiview_unet import UNET_FILE, Layout, MultiViewUNet
from posedreamer.drpose.reward import PoseScore
from posedreamer.drpose.skeleton_net import SkeletonNet
from posedreamer.drpose.trainer import Rollouts
from posedreamer.stages.generation.diffusers_backend import EMBEDDED

PSHUMAN, ERA3D = Layout(views=7, has_face=True), Layout(views=6, camera_blocks=2, camera_width=12)
SIZE = 48


def unet(layout: Layout) -> MultiViewUNet:
    config = {
        "sample_size": SIZE // 4,
        "in_channels": 8,
        "out_channels": 4,
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "attention_head_dim": 2,
        "cross_attention_dim": 8,
        "norm_num_groups": 4,
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": 20,
    }
    return MultiViewUNet.from_config(config).lay_out(layout)


@pytest.fixture(scope="module")
def parts():
    """Everything of a pipeline but the UNet."""
    from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
    from transformers import (
        CLIPImageProcessor,
        CLIPTextConfig,
        CLIPTextModel,
        CLIPTokenizer,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(EMBEDDED["nano"] / "tokenizer")
    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = CLIPVisionConfig(**small, image_size=16, patch_size=8, projection_dim=10)
    text = CLIPTextConfig(**small, vocab_size=len(tokenizer), max_position_embeddings=tokenizer.model_max_length)
    normalizer = StableUnCLIPImageNormalizer(10)
    normalizer.mean.data.normal_()
    normalizer.std.data.uniform_(0.5, 2.0)
    return {
        "feature_extractor": CLIPImageProcessor(size=16, crop_size=16),
        "image_encoder": CLIPVisionModelWithProjection(vision).eval(),
        "image_normalizer": normalizer,
        "image_noising_scheduler": DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        "tokenizer": tokenizer,
        "text_encoder": CLIPTextModel(text).eval(),
        "scheduler": DDIMScheduler(prediction_type="v_prediction"),
        "vae": AutoencoderKL(
            block_out_channels=(8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            norm_num_groups=4,
        ),
    }


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory):
    found = tmp_path_factory.mktemp("checkpoint")
    for name, part in parts.items():
        part.save_pretrained(found / name)
    unet(PSHUMAN).save_pretrained(found / "unet")
    (found / PIPELINE).write_text(json.dumps({"_class_name": "StableUnCLIPImg2ImgPipeline"}))
    return found


@pytest.fixture(scope="module")
def photos():
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8))


def test_photographs_are_embedded_as_stable_unclip_embeds_them(folder, parts, photos):
    """At noise level 0, but for the noise itself."""
    from diffusers import StableUnCLIPImg2ImgPipeline

    pipeline = StableUnCLIPImg2ImgPipeline(unet=unet(PSHUMAN), **parts)
    pixels = parts["feature_extractor"](images=photos, return_tensors="pt").pixel_values
    with torch.no_grad():
        plain = parts["image_encoder"](pixels).image_embeds
        expected = pipeline.noise_image_embeddings(plain, noise_level=0, noise=torch.zeros_like(plain))
    torch.testing.assert_close(ClipEmbedder(folder)(photos), expected)


def test_each_picture_has_its_own_sentence(folder, parts):
    words = open_multiview(folder).words
    tokenizer = parts["tokenizer"]
    for domain, view, said in [
        (0, 3, "back view, normal map."),
        (1, 1, "front_right view, color map."),
        (1, 6, "face view, color map."),
    ]:
        tokens = tokenizer(
            f"a rendering image of 3D human, {said}", padding="max_length", max_length=tokenizer.model_max_length,
            truncation=True, return_tensors="pt",
        )  # fmt: skip
        with torch.no_grad():
            expected = parts["text_encoder"](tokens.input_ids).last_hidden_state[0]
        torch.testing.assert_close(words[domain, view], expected)


def test_latents_have_the_checkpoints_scale(folder, photos):
    model = open_multiview(folder)
    assert model.scaling == pytest.approx(0.18215)
    assert model.layout == PSHUMAN


@pytest.mark.parametrize("layout", [PSHUMAN, ERA3D], ids=["pshuman", "era3d"])
def test_the_layout_is_told_by_the_weights(layout, tmp_path):
    unet(layout).save_pretrained(tmp_path)
    assert find_layout(tmp_path / UNET_FILE) == layout


def test_views_are_drawn(folder, photos):
    noise = torch.randn((2 * 2 * 7, 4, SIZE // 4, SIZE // 4), generator=torch.Generator().manual_seed(0))
    drawn = draw_views(open_multiview(folder), photos, noise, steps=2)
    assert drawn.shape == (2, 2, 7, SIZE, SIZE, 3)


def test_the_trainer_learns_from_a_checkpoint_and_leaves_the_face_out(folder, photos):
    """The same rollout, reward and divergence; the reward sees six views of seven."""
    model = open_multiview(folder)
    torch.manual_seed(0)
    score = PoseScore(SkeletonNet(4).eval().requires_grad_(False), perceptual_weight=0.0)
    rollouts = Rollouts(
        model, score, RolloutConfig(steps=3, trained=1, early_stop=1), 0.01, LoraConfig(rank=2, alpha=2)
    )
    noise = torch.randn((2 * 2 * 7, 4, SIZE // 4, SIZE // 4), generator=torch.Generator().manual_seed(0))
    joints = torch.rand(2, 23, 3, generator=torch.Generator().manual_seed(1)) - 0.5
    found = rollouts(photos, joints, noise, 0, 0)
    found["loss"].backward()
    assert found["reward"].shape == (2,)
    trained = [weight for weight in rollouts.unet.parameters() if weight.requires_grad]
    assert trained and any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in trained)


def test_a_folder_of_something_else_is_told(tmp_path):
    with pytest.raises(ValueError, match="found neither"):
        open_multiview(tmp_path)
    (tmp_path / PIPELINE).write_text("{}")
    with pytest.raises(ValueError, match="converted to safetensors first"):
        open_multiview(tmp_path)
