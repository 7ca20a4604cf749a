"""The nano generator's training at a size that a test can afford."""

import numpy as np
import torch

from posedreamer.rendering.attributes import VALUES
from posedreamer.training.nano_config import TrainNanoConfig
from posedreamer.training.nano_run import PictureSet

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
                "latent_channels": 8, "width": 8, "blocks": [1, 0, 0], "crop": 16, "whole_steps": 1, "critic_steps": 2,
                "loop": times | loop,
            },
            "text": {"width": 16, "layers": 1, "heads": 2, "length": 12},
            "denoiser": {
                "channels": [8, 16], "attention": [False, True], "heads": [2, 2], "groups": 4,
                "condition_channels": [4, 4, 8], "steps": 2, "crop": 16, "whole_steps": 1,
                "loop": times | {"matrix_rate": 1e-2} | loop,
            },
            "preview_columns": 2,
        }
    )  # fmt: skip


def random_pictures(count=12):
    rng = np.random.default_rng(0)
    images, maps = rng.integers(0, 256, (2, count, SIZE, SIZE, 3)).astype(np.uint8)
    maps[:, :8] = 0
    prompts = [f"a person in a {color} shirt" for color in ("red", "blue", "green", "red") * (count // 4)]
    answers = torch.stack([torch.arange(count) % len(values) for values in VALUES.values()], dim=1)
    return PictureSet(images, maps, prompts, answers)
