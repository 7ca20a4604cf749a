"""Laws of the nano generator's training, on a tiny config and random pictures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from posedreamer import torchvision_shim

torchvision_shim.install()
from posedreamer.bodies.catalog import load_body  # noqa: E402
from posedreamer.bodies.posing import rest_parameters  # noqa: E402
from posedreamer.geometry.cameras import make_K  # noqa: E402
from posedreamer.geometry.skeletons import SMPLX_JOINTS  # noqa: E402
from posedreamer.rendering.conditions import condition_renderer_id, draw_condition  # noqa: E402
from posedreamer.rendering.label import draw_label  # noqa: E402
from posedreamer.rendering.visibility import part_map  # noqa: E402
from posedreamer.training import loop as training_loop  # noqa: E402
from posedreamer.training import nano_autoencoder as autoencoding  # noqa: E402
from posedreamer.training.checkpoint import latest_checkpoint  # noqa: E402
from posedreamer.training.loop import batch_at, rate_share  # noqa: E402
from posedreamer.training.nano_config import EmphasisConfig, TrainNanoConfig, load_train_config  # noqa: E402
from posedreamer.training.nano_diffusion import draw_times  # noqa: E402
from posedreamer.training.nano_model import build_autoencoder, build_scheduler  # noqa: E402
from posedreamer.training.nano_run import (  # noqa: E402
    PictureSet,
    record_config,
    train_autoencoder,
    train_denoiser,
    trained_before,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
CONFIG = Path(__file__).parents[2] / "configs" / "train_nano.yaml"
SIZE = 32


def tiny_config(tmp_path, steps=4, threads=1, **loop):
    times = {
        "steps": steps,
        "batch_size": 4,
        "warmup_steps": 2,
        "decay_steps": 100,
        "checkpoint_every": 2,
        "preview_every": 100,
    }
    return TrainNanoConfig.model_validate(
        {
            "seed": 3,
            "data": tmp_path,
            "image_size": SIZE,
            "threads": threads,
            "precision": "float32",
            "autoencoder": {
                "latent_channels": 8, "width": 8, "blocks": [1, 0, 0], "crop": 16, "whole_steps": 1,
                "loop": times | loop,
            },
            "text": {"width": 16, "layers": 1, "heads": 2, "length": 12},
            "denoiser": {
                "channels": [8, 16], "attention": [False, True], "heads": [2, 2], "groups": 4,
                "condition_channels": [4, 4, 8], "loop": times | {"matrix_rate": 1e-2} | loop,
                "emphasis": {"noise_mean": 0.0, "noise_std": 1.0},
                "finish": {"noise_mean": -1.0, "noise_std": 1.0, "person_weight": 3.0}, "finish_steps": 1,
            },
            "distillation": {"steps": 2, "loop": times | {"matrix_rate": 1e-2} | loop},
            "preview": {"columns": 2, "steps": 2},
        }
    )  # fmt: skip


def random_pictures(count=12):
    rng = np.random.default_rng(0)
    images, maps = rng.integers(0, 256, (2, count, SIZE, SIZE, 3)).astype(np.uint8)
    maps[:, :8] = 0
    return PictureSet(
        images, maps, [f"a person in a {color} shirt" for color in ("red", "blue", "green", "red") * (count // 4)]
    )


def losses_of(folder):
    with safe_open(latest_checkpoint(folder) / "state.safetensors", "pt") as tensors:
        return tensors.get_tensor("losses")


def weights_of(folder):
    with safe_open(latest_checkpoint(folder) / "state.safetensors", "pt") as tensors:
        return {key: tensors.get_tensor(key) for key in tensors.keys()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An undisturbed run of four steps a stage."""
    out = tmp_path_factory.mktemp("run")
    config = tiny_config(out)
    train_autoencoder(config, random_pictures(), out, resume=False)
    return out, train_denoiser(config, random_pictures(), out, resume=False)


def test_same_seed_same_losses_and_resume_equals_undisturbed(trained, tmp_path, monkeypatch):
    out, _ = trained
    config = tiny_config(tmp_path)

    def killed_at_step_3(step, loop):
        if step == 3:
            raise KeyboardInterrupt
        return rate_share(step, loop)

    for train in (train_autoencoder, train_denoiser):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(training_loop, "rate_share", killed_at_step_3)
            train(config, random_pictures(), tmp_path, resume=False)
        train(config, random_pictures(), tmp_path, resume=True)
    for stage in ("autoencoder", "denoiser"):
        expected, resumed = weights_of(out / stage), weights_of(tmp_path / stage)
        assert expected.keys() == resumed.keys() and len(expected["losses"]) == config.denoiser.loop.steps
        for key, value in expected.items():
            assert torch.equal(value, resumed[key]), key


def test_threads_share_a_batch_without_changing_the_loss(trained, tmp_path):
    out, _ = trained
    config = tiny_config(tmp_path, threads=2)
    train_autoencoder(config, random_pictures(), tmp_path, resume=False)
    train_denoiser(config, random_pictures(), tmp_path, resume=False)
    for stage in ("autoencoder", "denoiser"):
        # sums over half batches round differently in float32
        torch.testing.assert_close(losses_of(tmp_path / stage), losses_of(out / stage), rtol=1e-4, atol=1e-5)


def test_a_folder_with_a_checkpoint_is_not_overwritten(trained):
    out, _ = trained
    with pytest.raises(ValueError, match="resume it"):
        train_autoencoder(tiny_config(out), random_pictures(), out, resume=False)


def test_fewer_steps_than_are_done_are_refused(trained):
    out, _ = trained
    with pytest.raises(ValueError, match=r"checkpoint-0000004 has more steps than the 3 asked for"):
        train_denoiser(tiny_config(out, steps=3), random_pictures(), out, resume=True)


def test_a_run_goes_on_with_its_own_seed_and_data(tmp_path):
    config = tiny_config(tmp_path)
    record_config(config, tmp_path / "run")
    record_config(tiny_config(tmp_path, steps=9), tmp_path / "run")
    with pytest.raises(ValueError, match=r"begun with seed 3, not 4"):
        record_config(config.model_copy(update={"seed": 4}), tmp_path / "run")


def test_checkpoints_hold_tensors_and_numbers_only(trained):
    out, _ = trained
    files = [path for path in out.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".png"}
    keys = weights_of(out / "denoiser").keys()
    assert any(key.startswith("optimizer.adamw.0.exp_avg") for key in keys) and any(
        key.startswith("ema.unet.") for key in keys
    )


def test_export_loads_with_plain_diffusers_and_follows_the_condition(trained):
    from diffusers import StableDiffusionControlNetPipeline

    _, export = trained
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(export, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.vae_scale_factor == 4
    assert {next(part.parameters()).dtype for part in (pipeline.unet, pipeline.text_encoder)} == {torch.float32}
    picture = pipeline("a person in a red shirt", image=torch.rand(1, 3, SIZE, SIZE), num_inference_steps=2).images[0]
    assert picture.size == (SIZE, SIZE)
    with safe_open(export / "unet" / "diffusion_pytorch_model.safetensors", "pt") as tensors:
        assert {tensors.get_tensor(key).dtype for key in tensors.keys()} == {torch.float16}
    facts = json.loads((export / "posedreamer.json").read_text())
    assert facts["condition_renderer"] == condition_renderer_id("xyz") and facts["trained_steps"] == 4


def test_a_start_goes_on_where_the_pipeline_was(trained, tmp_path):
    from diffusers import StableDiffusionControlNetPipeline

    _, export = trained
    config = tiny_config(tmp_path, steps=1, learning_rate=1e-30, matrix_rate=1e-30).model_copy(update={"start": export})
    # One level more attends than in the start: it has to be silent at first.
    config = config.model_copy(update={"denoiser": config.denoiser.model_copy(update={"attention": (True, True)})})
    train_autoencoder(config, random_pictures(), tmp_path, resume=False)
    again = train_denoiser(config, random_pictures(), tmp_path, resume=False)
    pictures = []
    for folder in (export, again):
        pipeline = StableDiffusionControlNetPipeline.from_pretrained(folder, local_files_only=True)
        pipeline.set_progress_bar_config(disable=True)
        options = {"image": torch.ones(1, 3, SIZE, SIZE), "num_inference_steps": 2, "output_type": "np"}
        pictures.append(pipeline("a person in a red shirt", generator=torch.manual_seed(0), **options).images)
    assert "ema.unet.down_blocks.0.attentions.0.proj_out.weight" in weights_of(tmp_path / "denoiser")
    # AdamW's weight decay is scaled by the rate too; the rest is the order of float32 sums
    np.testing.assert_allclose(pictures[1], pictures[0], atol=1e-5)
    facts = json.loads((again / "posedreamer.json").read_text())
    assert (facts["trained_steps"], facts["trained_pictures"]) == (4 + 1, 4 * 4 + 4)


def test_a_start_without_facts_or_of_other_maps_is_refused(trained, tmp_path):
    _, export = trained
    start = tmp_path / "start"
    config = tiny_config(tmp_path).model_copy(update={"start": start})
    start.mkdir()
    with pytest.raises(ValueError, match=r"posedreamer.json is missing"):
        trained_before(config)
    facts = json.loads((export / "posedreamer.json").read_text())
    (start / "posedreamer.json").write_text(json.dumps(facts | {"condition_renderer": "xyz-v0-00000000"}))
    with pytest.raises(ValueError, match="made for the condition xyz-v0"):
        trained_before(config)


def test_a_start_of_another_shape_or_vocabulary_is_refused(trained, tmp_path):
    _, export = trained
    config = tiny_config(tmp_path).model_copy(update={"start": export})
    train_autoencoder(config, random_pictures(), tmp_path, resume=False)
    strange = random_pictures()._replace(prompts=["a person in a turquoise shirt"] * 12)
    with pytest.raises(ValueError, match="no tokens for turquoise"):
        train_denoiser(config, strange, tmp_path, resume=False)
    wider = config.denoiser.model_copy(update={"channels": (8, 20)})
    with pytest.raises(ValueError, match=r"is no start for this config: .*bias \(16,\), .*; expected .*bias \(20,\)"):
        train_denoiser(config.model_copy(update={"denoiser": wider}), random_pictures(), tmp_path, resume=False)


def patch_encoder(tmp_path, images, maps, **changes):
    config = tiny_config(tmp_path).autoencoder.model_copy(update=changes)
    model = build_autoencoder(config)
    deviations = torch.tensor(autoencoding.patch_transform(model, images, maps, config))
    with torch.no_grad():
        latents = model.encode(autoencoding.to_signed(images)).latents
    return deviations, latents.permute(1, 0, 2, 3).flatten(1).double()


def test_encoder_is_the_orthogonal_projection_of_patches(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (20, SIZE, SIZE, 3)).astype(np.uint8)
    images[..., 1:] = images[..., :1]  # grey, and vertical pairs alike: eight degrees of freedom a patch
    images[:, 1::2] = images[:, ::2]
    deviations, flat = patch_encoder(tmp_path, images, np.zeros_like(images), latent_channels=8)
    # float32 sums of 48 products
    assert flat.mean(dim=1).abs().max() < 1e-4
    torch.testing.assert_close(
        torch.cov(flat, correction=0), torch.diag(deviations.double() ** 2), atol=1e-3, rtol=1e-3
    )
    # Nothing is lost: distances between patches, in natural scales, are those between latents.
    natural = flat / deviations[:, None]
    pixels = torch.tensor(images[:, ::2, :, 0]).double().unfold(1, 2, 2).unfold(2, 4, 4).flatten(3).flatten(0, 2)
    left = natural.T - natural.mean(dim=1)
    covariance = torch.cov(pixels.T)
    centred = pixels - pixels.mean(dim=0)
    mahalanobis = (centred @ torch.linalg.inv(covariance) * centred).sum(dim=1)
    torch.testing.assert_close(left.square().sum(dim=1), mahalanobis, rtol=1e-2, atol=1e-2)


def test_larger_patches_are_projected_alike(tmp_path):
    # Colours of 8 x 8 patches with three degrees of freedom: three latents tell everything, whatever the patch's size.
    cells = np.random.default_rng(2).integers(0, 256, (30, SIZE // 8, SIZE // 8, 3))
    images = cells.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)
    deviations, flat = patch_encoder(tmp_path, images, np.zeros_like(images), latent_channels=3, blocks=(1, 0, 0, 0))
    colours = torch.tensor(cells).double().flatten(0, 2)
    torch.testing.assert_close(
        torch.cov(flat, correction=0), torch.diag(deviations.double() ** 2), atol=1e-3, rtol=1e-3
    )
    solution = torch.linalg.lstsq(torch.cat([flat.T, torch.ones(flat.shape[1], 1)], dim=1), colours).solution
    shown = torch.cat([flat.T, torch.ones(flat.shape[1], 1)], dim=1) @ solution
    torch.testing.assert_close(shown, colours, atol=0.1, rtol=0)


def test_latents_of_a_set_are_those_of_the_encoder(tmp_path):
    pictures = random_pictures()
    config = tiny_config(tmp_path).autoencoder
    model = build_autoencoder(config)
    autoencoding.patch_transform(model, pictures.images, pictures.conditions, config)
    with torch.no_grad():
        expected = model.encode(autoencoding.to_signed(pictures.images)).latents
    # float16 of values up to some tens
    torch.testing.assert_close(autoencoding.encode_all(model, pictures.images).float(), expected, atol=2e-2, rtol=2e-3)


def test_patches_of_the_body_count_more(tmp_path):
    # On the body only red varies, beside it only green: which of them leads follows the weights.
    rng = np.random.default_rng(3)
    images, maps = np.zeros((2, 40, SIZE, SIZE, 3), np.uint8)
    images[...] = (127, 80, 0)  # the means, so that only what varies counts
    images[:, :8, :, 0] = rng.integers(0, 256, (40, 8, SIZE))
    images[:, 8:, :, 1] = rng.integers(0, 160, (40, SIZE - 8, SIZE))
    maps[:, :8] = 100
    config = tiny_config(tmp_path).autoencoder
    for weight, leads in ((0.0, 1), (40.0, 0)):
        changed = config.model_copy(update={"latent_channels": 1, "person_weight": weight, "head_weight": 0.0})
        model = build_autoencoder(changed)
        autoencoding.patch_transform(model, images, maps, changed)
        first = model.encoder.layers[2].weight[0].reshape(3, 4, -1).abs().sum(dim=(1, 2))  # colour, place in 2 x 2
        assert first.argmax() == leads


def test_signed_pixels_round_trip():
    images = random_pictures(4).images
    assert np.array_equal(autoencoding.to_pixels(autoencoding.to_signed(images)), images)


def test_every_picture_is_seen_once_an_epoch():
    seen = np.concatenate([batch_at(5, "denoiser", step, 4, 10) for step in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10)) and not np.array_equal(seen[:10], seen[10:])


def test_learning_rate_rises_stays_and_falls():
    loop = load_train_config(CONFIG, ["denoiser.loop.steps=5000", "denoiser.loop.decay_steps=1000"]).denoiser.loop
    rates = [rate_share(step, loop) for step in range(loop.steps)]
    assert rates[0] < rates[50] < rates[loop.warmup_steps] == rates[3999] == 1.0
    assert rates[4500] == pytest.approx(0.5) and 0 < rates[-1] < 0.01


def test_noise_levels_are_log_normal():
    emphasis = EmphasisConfig(noise_mean=-0.5, noise_std=0.8)
    alphas = build_scheduler().alphas_cumprod
    times = draw_times(20000, alphas, emphasis, torch.Generator().manual_seed(0))
    levels = 0.5 * torch.log((1 - alphas[times]) / alphas[times])
    # four standard errors of 20,000 draws, and the grid of the scheduler's steps
    assert abs(levels.mean() + 0.5) < 0.03 and abs(levels.std() - 0.8) < 0.03


def test_the_last_steps_have_the_emphasis_of_the_finish(tmp_path):
    denoiser = tiny_config(tmp_path, steps=4).denoiser
    means = [denoiser.emphasis_at(step).noise_mean for step in range(4)]
    assert means == [0.0, 0.0, 0.0, -1.0]
    with pytest.raises(ValueError, match=r"finish_steps \(1500\) must not exceed loop.steps \(1000\)"):
        load_train_config(CONFIG, ["denoiser.loop.steps=1000", "denoiser.finish_steps=1500"])


def test_the_head_weighs_most_and_the_mean_is_one():
    body = load_body("open")
    facing = replace(rest_parameters(), global_orient=np.array([np.pi, 0, 0]), transl=np.array([0, 0, 3.0]))
    drawn = draw_label(body, facing, make_K(160.0, 128, 128), 128, 128)
    condition = autoencoding.to_condition(draw_condition("xyz", body, drawn)[None])
    weight = autoencoding.error_weight(condition, person_weight=1.0, head_weight=2.0)[0, 0].numpy()
    assert weight.mean() == pytest.approx(1.0)
    parts = part_map(body, drawn.raster)
    means = [(weight[parts == SMPLX_JOINTS.index(name)] / weight[0, 0]).mean() for name in ("head", "spine3")]
    assert means[0] == pytest.approx(4.0, abs=0.05) and means[1] == pytest.approx(2.0, abs=1e-3)


def test_the_accelerator_s_config_trains_the_same_nets():
    cpu, accelerator = load_train_config(CONFIG), load_train_config(CONFIG.with_name("train_nano_gpu.yaml"))
    assert (cpu.device, accelerator.device) == ("cpu", "cuda")
    loops = {"loop", "pictures", "finish_steps"}
    for stage in ("autoencoder", "denoiser", "distillation"):
        assert getattr(cpu, stage).model_dump(exclude=loops) == getattr(accelerator, stage).model_dump(exclude=loops)
    with pytest.raises(ValueError, match="threads share a batch on the CPU only: got 2 threads on cuda"):
        load_train_config(CONFIG, ["device=cuda"])


def test_config_refuses_unknown_keys(tmp_path):
    with pytest.raises(ValueError, match=r"denoiser\.chanels: Extra inputs are not permitted"):
        load_train_config(CONFIG, ["denoiser.chanels=[1]"])
