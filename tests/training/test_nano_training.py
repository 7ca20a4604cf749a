"""Laws of the nano generator's training, on a tiny config and random pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tiny_nano import SIZE, random_pictures, tiny_config

from posedreamer import torchvision_shim

torchvision_shim.install()
from posedreamer.rendering.conditions import condition_renderer_id  # noqa: E402
from posedreamer.training import loop as training_loop  # noqa: E402
from posedreamer.training import nano_denoiser, nano_model, nano_run  # noqa: E402
from posedreamer.training.checkpoint import latest_checkpoint  # noqa: E402
from posedreamer.training.loop import batch_at, rate_share  # noqa: E402
from posedreamer.training.nano_config import load_train_config  # noqa: E402
from posedreamer.training.nano_model import build_denoiser  # noqa: E402
from posedreamer.training.nano_run import (  # noqa: E402
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
    assert picture.size == (SIZE, SIZE) and type(pipeline.scheduler).__name__ == "LCMScheduler"
    with safe_open(export / "unet" / "diffusion_pytorch_model.safetensors", "pt") as tensors:
        assert {tensors.get_tensor(key).dtype for key in tensors.keys()} == {torch.float16}
    facts = json.loads((export / "posedreamer.json").read_text())
    assert facts["condition_renderer"] == condition_renderer_id("xyz") and facts["trained_steps"] == 4


def test_a_start_goes_on_where_the_pipeline_was(trained, tmp_path):
    from diffusers import StableDiffusionControlNetPipeline

    _, export = trained
    config = tiny_config(tmp_path, steps=1, learning_rate=1e-30, matrix_rate=1e-30).model_copy(update={"start": export})
    # The decoder is the start's, too: the run trains none.
    again = train_denoiser(config, random_pictures(), tmp_path, resume=False)
    pictures = []
    for folder in (export, again):
        pipeline = StableDiffusionControlNetPipeline.from_pretrained(folder, local_files_only=True)
        pipeline.set_progress_bar_config(disable=True)
        options = {"image": torch.ones(1, 3, SIZE, SIZE), "num_inference_steps": 2, "output_type": "np"}
        pictures.append(pipeline("a person in a red shirt", generator=torch.manual_seed(0), **options).images)
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


def test_without_decoder_or_start_there_is_nothing_to_draw_with(tmp_path):
    with pytest.raises(ValueError, match=r"autoencoder.safetensors is missing, and there is no `start`"):
        train_denoiser(tiny_config(tmp_path), random_pictures(), tmp_path, resume=False)


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


def test_every_picture_is_seen_once_an_epoch():
    seen = np.concatenate([batch_at(5, "denoiser", step, 4, 10) for step in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10)) and not np.array_equal(seen[:10], seen[10:])


def test_learning_rate_rises_stays_and_falls():
    loop = load_train_config(CONFIG, ["denoiser.loop.steps=5000", "denoiser.loop.decay_steps=1000"]).denoiser.loop
    rates = [rate_share(step, loop) for step in range(loop.steps)]
    assert rates[0] < rates[20] < rates[loop.warmup_steps] == rates[3999] == 1.0
    assert rates[4500] == pytest.approx(0.5) and 0 < rates[-1] < 0.01


def test_the_accelerator_s_config_trains_the_same_nets():
    cpu, accelerator = load_train_config(CONFIG), load_train_config(CONFIG.with_name("train_nano_gpu.yaml"))
    assert (cpu.device, accelerator.device) == ("cpu", "cuda")
    loops = {"loop", "pictures", "whole_steps", "critic_steps"}
    for stage in ("autoencoder", "denoiser"):
        assert getattr(cpu, stage).model_dump(exclude=loops) == getattr(accelerator, stage).model_dump(exclude=loops)
    with pytest.raises(ValueError, match="threads share a batch on the CPU only: got 2 threads on cuda"):
        load_train_config(CONFIG, ["device=cuda"])


def test_config_refuses_unknown_keys(tmp_path):
    with pytest.raises(ValueError, match=r"denoiser\.chanels: Extra inputs are not permitted"):
        load_train_config(CONFIG, ["denoiser.chanels=[1]"])


def test_the_validation_loss_depends_on_weights_and_pictures_only(tmp_path, monkeypatch):
    config, pictures = tiny_config(tmp_path), random_pictures()
    train_autoencoder(config, pictures, tmp_path, resume=False)
    train_denoiser(config, pictures, tmp_path, resume=False, validation=pictures)
    written = json.loads((tmp_path / "validation.json").read_text())
    assert list(written) == ["4"]
    # Other batches and another seed of the training, the same weights: the same loss.
    monkeypatch.setattr(nano_denoiser, "VALIDATION_BATCH", 5)
    record = dict(written)
    monkeypatch.setattr(nano_run, "record_validation", lambda path, step, loss: record.update({str(step): loss}))
    other = config.model_copy(update={"seed": 99})
    train_denoiser(other, pictures, tmp_path, resume=True, validation=pictures)
    assert record["4"] == pytest.approx(written["4"], rel=1e-4)  # sums of float32 in another order
    # Other pictures: another loss.
    shifted = pictures._replace(images=255 - pictures.images)
    train_denoiser(config, pictures, tmp_path, resume=True, validation=shifted)
    assert abs(record["4"] - written["4"]) > 1e-3


def test_the_map_s_embedding_begins_with_every_pixel_in_a_channel_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(nano_model, "PATCH_NOISE", 0.0)
    settings = tiny_config(tmp_path).denoiser.model_copy(update={"condition_channels": (3, 12, 48, 192)})
    _, controlnet = build_denoiser(settings, 16, 8, SIZE // 8)
    embedding = controlnet.controlnet_cond_embedding
    expected = maps = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    for halves in (False, False, True, False, True, False, True):
        expected = torch.nn.functional.silu(nano_model.PATCH_GAIN * expected)
        expected = torch.nn.functional.pixel_unshuffle(expected, 2) if halves else expected
    with torch.no_grad():
        found = torch.nn.functional.silu(embedding.conv_in(maps))
        for layer in embedding.blocks:
            found = torch.nn.functional.silu(layer(found))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
