"""Reward fine-tuning: gradients by finite differences, what it starts from, that it learns, resumes, keeps memory flat, and is read again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_multiview import CELLS, LATENT_CHANNELS, SIZE, embed, tiny_multiview
from transformers import TrainingArguments

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import pose_body
from posedreamer.drpose import multiview
from posedreamer.drpose.drpose_config import LoraConfig, RolloutConfig
from posedreamer.drpose.multiview import draw_views
from posedreamer.drpose.posed_photos import PosedPhotos, pack_photos
from posedreamer.drpose.reward import PoseScore
from posedreamer.drpose.skeleton import FROM_OUTPUT
from posedreamer.drpose.skeleton_net import SkeletonNet
from posedreamer.drpose.trainer import DrPoseTrainer, PhotoRows, Rollouts, load_trained, save_trained
from posedreamer.drpose.views import SubjectFrame
from posedreamer.storage.shard import read_shard
from posedreamer.training.hmr_config import DataConfig

SAMPLE = Path(__file__).parents[2] / "shards" / "sample"
SHAPE = (LATENT_CHANNELS, CELLS, CELLS)
SHORT = RolloutConfig(steps=4, trained=2, early_stop=1)


def skeleton_net() -> SkeletonNet:
    torch.manual_seed(1)
    return SkeletonNet(LATENT_CHANNELS).requires_grad_(False).eval()


def rollouts(rollout=SHORT, kl_weight=0.01, adapter=None, perceptual_weight=0.0) -> Rollouts:
    model = tiny_multiview()
    torch.manual_seed(2)
    return Rollouts(model, PoseScore(skeleton_net(), "cpu", perceptual_weight), rollout, kl_weight, adapter)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> PosedPhotos:
    return pack_photos([DataConfig(source=str(SAMPLE))], tmp_path_factory.mktemp("photos"), load_body())


def batch(photos, count=2):
    rows = PhotoRows(photos, SIZE)
    taken = [rows[row] for row in range(count)]
    noise = torch.randn(count * 12, *SHAPE, generator=torch.Generator().manual_seed(5))
    return [row["photo"] for row in taken], torch.stack([row["joints"] for row in taken]), noise


def test_joints_are_the_labels_in_the_subjects_frame(photos):
    samples = {sample.key: sample for sample in read_shard(SAMPLE / "shards" / "000000.tar")}
    for row, key in enumerate(photos.people.keys[:4]):
        label = samples[key].label
        vertices = torch.from_numpy(pose_body(load_body(), label.parameters).vertices)[None]
        expected = SubjectFrame.of(vertices).normalise(torch.from_numpy(label.joints_cam[list(FROM_OUTPUT)])[None])[0]
        np.testing.assert_allclose(photos.joints[row], expected.numpy(), atol=1e-5)
        assert photos.photo(row, SIZE).shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize(("steps", "kl_weight"), [(2, 0.0), (1, 0.5)])
@pytest.mark.parametrize("adapter", [None, LoraConfig(rank=2, alpha=2)])
def test_the_gradient_is_that_of_finite_differences(photos, adapter, steps, kl_weight):
    """Of all trained weights, through every step (DRaFT of all steps cuts nothing off), and of the divergence where the frozen net's
    inputs, which it takes as given, do not depend on them: in the first step.
    """
    every = RolloutConfig(method="draft", steps=steps, trained=steps, early_stop=0)
    taught = rollouts(every, kl_weight=kl_weight, adapter=adapter).double()
    taught.frozen = [net.double() for net in taught.frozen]
    taught.model = taught.model._replace(vae=taught.model.vae.double(), words=taught.model.words.double())
    taught.model = taught.model._replace(embedder=lambda given: embed(given).double())
    taught.score.net.double()
    pictures, joints, noise = batch(photos, 1)
    weights = [weight for weight in taught.parameters() if weight.requires_grad]
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in weights:
            weight += 0.05 * torch.randn_like(weight)  # away from the start, where the divergence has no gradient
    monkey = multiview.to_signed

    def loss():
        return taught(pictures, joints.double(), noise.double(), 0, 0)["loss"]

    multiview.to_signed = lambda images: monkey(images).double()
    try:
        loss().backward()
        directions, small = [torch.randn_like(weight) for weight in weights], 1e-5
        values = []
        with torch.no_grad():
            for sign in (1, -2, 1):
                for weight, direction in zip(weights, directions, strict=True):
                    weight += sign * small * direction
                values.append(loss().item())
    finally:
        multiview.to_signed = monkey
    expected = (values[0] - values[1]) / (2 * small)
    found = sum(float((weight.grad * direction).sum()) for weight, direction in zip(weights, directions, strict=True))
    assert found == pytest.approx(expected, rel=1e-3) and abs(expected) > 1e-4


def trainer_of(taught, photos, folder, steps, resume_every=2, kl=None) -> DrPoseTrainer:
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=2, learning_rate=5e-3, lr_scheduler_type="constant",
        save_steps=resume_every, logging_steps=1, report_to="none", use_cpu=True, remove_unused_columns=False, disable_tqdm=True, seed=0,
    )  # fmt: skip
    adapter = LoraConfig(rank=2, alpha=2).model_dump(mode="json") if taught.has_adapter else None
    return DrPoseTrainer(taught, arguments, PhotoRows(photos, SIZE), SHAPE, {"model": "tiny", "adapter": adapter})


@pytest.mark.parametrize("adapter", [None, LoraConfig(rank=2, alpha=2)])
def test_it_starts_as_the_model_was_learns_and_keeps_the_model_as_it_was(tmp_path, photos, adapter):
    taught = rollouts(adapter=adapter)
    given = batch(photos)
    with torch.no_grad():
        before = taught(*given, 0, 0)
        assert before["divergence"] == 0
    trainer = trainer_of(taught, photos, tmp_path, 12)
    trainer.train()
    with torch.no_grad():
        after = taught(*given, 0, 0)
        assert after["reward"].mean() > before["reward"].mean() and after["divergence"] > 0
        with taught.as_it_was() as unet:
            first = tiny_multiview().unet
            x = torch.randn(12, 2 * LATENT_CHANNELS, CELLS, CELLS)
            told = {"encoder_hidden_states": torch.randn(12, 2, 8), "class_labels": torch.randn(12, 1280)}
            torch.testing.assert_close(
                unet(x, torch.tensor(3), **told).sample, first(x, torch.tensor(3), **told).sample
            )
    rewards = [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]
    assert len(rewards) == 12 and np.isfinite(rewards).all()


def test_a_resumed_run_ends_like_an_undisturbed_one(tmp_path, photos):
    adapter = LoraConfig(rank=2, alpha=2)
    whole = trainer_of(rollouts(adapter=adapter), photos, tmp_path / "whole", 4)
    whole.train()
    first = trainer_of(rollouts(adapter=adapter), photos, tmp_path / "parts", 4)
    first.args.max_steps = 2
    first.train()
    second = trainer_of(rollouts(adapter=adapter), photos, tmp_path / "parts", 4)
    second.train(resume_from_checkpoint=str(tmp_path / "parts" / "checkpoint-2"))
    for name, value in whole.rollouts.trained_state().items():
        torch.testing.assert_close(second.rollouts.trained_state()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("adapter", [None, LoraConfig(rank=2, alpha=2)])
def test_saved_weights_draw_what_the_trained_model_draws(tmp_path, photos, adapter):
    taught = rollouts(adapter=adapter)
    trainer_of(taught, photos, tmp_path / "run", 3).train()
    facts = {"model": "tiny", "adapter": None if adapter is None else adapter.model_dump(mode="json")}
    save_trained(taught, tmp_path / "weights", facts)
    again = load_trained(tiny_multiview(), tmp_path / "weights")
    pictures, _, noise = batch(photos)
    found, expected = (draw_views(model, pictures, noise, steps=3) for model in (again, taught.model))
    # Adapters are merged into the weights: the last bit of a float may differ.
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert np.abs(found.astype(int) - draw_views(tiny_multiview(), pictures, noise, steps=3)).max() > 1
    with pytest.raises(ValueError, match="was trained on the model tiny, got other"):
        load_trained(tiny_multiview()._replace(identity="other"), tmp_path / "weights")


def test_kept_activations_do_not_grow_with_the_number_of_steps(photos):
    given = batch(photos, 1)

    def kept(steps: int) -> int:
        count = 0

        def pack(tensor):
            nonlocal count
            count += tensor.numel()
            return tensor

        taught = rollouts(RolloutConfig(steps=steps, trained=2, early_stop=0))
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            taught(*given, 0, 0)
        return count

    assert kept(10) == pytest.approx(kept(40), rel=0.02)
