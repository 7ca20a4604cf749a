"""Tiny random pipelines of the real SD 1.5 and SDXL classes, saved to disk and loaded like real ones."""

import torch

from posedreamer import torchvision_shim
from posedreamer.training.nano_text import build_tokenizer, words_of

torchvision_shim.install()
SIZE = 32
PROMPTS = ("a person in a park", "a dancer in a red t-shirt", "someone on a beach", "a photo of a person")


def clip(tokenizer, width, projected=False):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=width, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=24, projection_dim=width, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def save_tiny(folder, *, xl, plain=False):
    """A random pipeline: f8 autoencoder, two levels, ControlNet. plain: without the ControlNet, which goes beside it."""
    import diffusers

    torch.manual_seed(0)
    tokenizer = build_tokenizer(words_of(PROMPTS), 24)
    width = 16
    extra = (
        {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": 6 * 4 + width,
        }
        if xl
        else {}
    )
    unet = diffusers.UNet2DConditionModel(
        sample_size=SIZE // 8, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4, attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=2 * width if xl else width, **extra,
    )  # fmt: skip
    controlnet = diffusers.ControlNetModel.from_unet(unet, conditioning_channels=3)
    with torch.no_grad():  # zero convolutions would hide the condition
        for parameter in controlnet.parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)
    parts = {
        "vae": diffusers.AutoencoderKL(
            block_out_channels=(4, 4, 4, 8), latent_channels=4, norm_num_groups=2,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        ),
        "text_encoder": clip(tokenizer, width),
        "tokenizer": tokenizer,
        "unet": unet,
        "scheduler": diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
    }  # fmt: skip
    if xl:
        parts |= {"text_encoder_2": clip(tokenizer, width, projected=True), "tokenizer_2": tokenizer}
        kind = diffusers.StableDiffusionXLPipeline if plain else diffusers.StableDiffusionXLControlNetPipeline
    else:
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        kind = diffusers.StableDiffusionPipeline if plain else diffusers.StableDiffusionControlNetPipeline
    if plain:
        controlnet.save_pretrained(f"{folder}-controlnet")
    else:
        parts["controlnet"] = controlnet
    kind(**parts).save_pretrained(folder)
    return str(folder)


def save_tiny_flux(folder):
    """A random FLUX.1 pipeline with its ControlNet: one block of each kind, T5 and CLIP text encoders, f8 autoencoder."""
    import diffusers
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    torch.manual_seed(0)
    tokenizer = build_tokenizer(words_of(PROMPTS), 24)
    pieces = ["<pad>", "</s>", "<unk>", "▁", *(f"▁{word}" for word in words_of(PROMPTS))]
    tokenizer_2 = T5Tokenizer(vocab=[(piece, 0.0) for piece in pieces], extra_ids=0, model_max_length=512)
    width, nets = 16, {}
    for name, kind in (
        ("transformer", diffusers.FluxTransformer2DModel),
        ("controlnet", diffusers.FluxControlNetModel),
    ):
        nets[name] = kind(
            in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=8, num_attention_heads=2,
            joint_attention_dim=width, pooled_projection_dim=width, guidance_embeds=True, axes_dims_rope=(4, 2, 2),
        )  # fmt: skip
    with torch.no_grad():  # zero layers would hide the condition
        for parameter in nets["controlnet"].parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)
    t5 = T5Config(vocab_size=len(pieces), d_model=width, d_kv=8, d_ff=width, num_layers=1, num_heads=2)
    diffusers.FluxControlNetPipeline(
        vae=diffusers.AutoencoderKL(
            block_out_channels=(4, 4, 4, 8), latent_channels=4, norm_num_groups=2, shift_factor=0.1,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        ),
        text_encoder=clip(tokenizer, width),
        tokenizer=tokenizer,
        text_encoder_2=T5EncoderModel(t5),
        tokenizer_2=tokenizer_2,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        **nets,
    ).save_pretrained(folder)  # fmt: skip
    return str(folder)
