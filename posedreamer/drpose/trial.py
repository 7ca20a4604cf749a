"""A trial of a multi-view model: its views of benchmark subjects, and what the judge and the reward make of them.

Folder of a trial: `latents.npy` (drawn, clean), `measures.json` (a row a subject). Noise follows from (seed, subject), so that two
models draw the same subjects from the same noise; what is there is not made again.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from posedreamer.drpose.benchmark import measure_looks, measure_poses, silhouette_area
from posedreamer.drpose.multiview import MultiViewModel, decode, draw_latents, without_face
from posedreamer.drpose.multiview_unet import DOMAINS
from posedreamer.drpose.reward_forms import Reward
from posedreamer.drpose.scan_data import Scans
from posedreamer.drpose.skeleton import FROM_OUTPUT
from posedreamer.estimators.features import FeatureExtractor
from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.seeds import seed_for
from posedreamer.storage.files import write_file

AT_ONCE = 4  # subjects
POSE_MEASURES = ("pa_mpjpe_mm", "mpjpe_mm", "oks")
MEASURES = (*POSE_MEASURES, "reward", "psnr", "ssim", "normal_degrees", "feature_distance", "cast_red", "cast_green", "cast_blue")  # fmt: skip

Measures = dict[str, list[float]]


def draw_trial(
    model: MultiViewModel, scans: Scans, steps: int, seed: int, folder: Path
) -> Float32[np.ndarray, "subjects images c h w"]:
    """Clean latents of all views of every subject, in the order of the UNet's batch for one subject."""
    path = folder / "latents.npy"
    if path.is_file():
        return np.load(path, allow_pickle=False)
    channels, cells = model.unet.config["out_channels"], model.unet.config["sample_size"]
    images, found = len(DOMAINS) * model.layout.views, []
    for first in range(0, len(scans.photos), AT_ONCE):
        rows = range(first, min(first + AT_ONCE, len(scans.photos)))
        noise = torch.stack([_noise(seed, row, (images, channels, cells, cells)) for row in rows])
        order = noise.unflatten(1, (len(DOMAINS), -1)).transpose(0, 1).flatten(0, 2)
        drawn = draw_latents(model, [scans.photos[row] for row in rows], order, steps)
        found.append(drawn.unflatten(0, (len(DOMAINS), len(rows), -1)).transpose(0, 1).flatten(1, 2).float().numpy())
    folder.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    with draft.open("wb") as file:
        np.save(file, np.concatenate(found))
    draft.rename(path)
    return np.concatenate(found)


def decode_trial(
    model: MultiViewModel, latents: Float32[np.ndarray, "subjects images c h w"]
) -> UInt8[np.ndarray, "subjects domains views h2 w2 3"]:
    """Pictures of a trial, of the views that see the whole body."""
    pictures = [decode(model, torch.from_numpy(one))[0] for one in latents]
    return np.stack(pictures)[:, :, : model.layout.level_views]


def measure_trial(
    model: MultiViewModel, scans: Scans, score: Reward, judge: KeypointDetector, steps: int, seed: int, folder: Path
) -> Measures:
    """Everything about a model's views of the subjects, a number a subject; oks is the mean over views."""
    path = folder / "measures.json"
    if path.is_file():
        return json.loads(path.read_text())
    latents = draw_trial(model, scans, steps, seed, folder)
    found = measure_pictures(decode_trial(model, latents), scans, judge)
    joints = torch.from_numpy(np.asarray(scans.joints)[:, FROM_OUTPUT])
    with torch.no_grad():
        rewards = [
            score(without_face(torch.from_numpy(one), model.layout), joints[row : row + 1])
            for row, one in enumerate(latents)
        ]
    found["reward"] = torch.cat(rewards).tolist()
    write_file(path, (json.dumps(found) + "\n").encode())
    return found


def measure_truth(scans: Scans, judge: KeypointDetector, path: Path) -> Measures:
    """The floor: what the judge makes of the true views."""
    if path.is_file():
        return json.loads(path.read_text())
    found = _pose_rows(np.asarray(scans.colors), scans, judge)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, (json.dumps(found) + "\n").encode())
    return found


def measure_pictures(
    drawn: UInt8[np.ndarray, "subjects domains views h w 3"], scans: Scans, judge: KeypointDetector
) -> Measures:
    """All measures but the reward. feature_distance: of EfficientNet's features of the colours, 1 - cosine, mean over views."""
    looks = measure_looks(drawn, np.asarray(scans.normals), np.asarray(scans.colors))
    extractor = FeatureExtractor().setup()
    shown, true = (
        extractor.extract(list(views.reshape(-1, *views.shape[-3:])))
        for views in (drawn[:, 1], np.asarray(scans.colors))
    )
    cosine = (shown * true).sum(axis=1) / np.maximum(np.linalg.norm(shown, axis=1) * np.linalg.norm(true, axis=1), 1e-9)
    found = _pose_rows(drawn[:, 1], scans, judge)
    found |= {name: getattr(looks, name).tolist() for name in ("psnr", "ssim", "normal_degrees")}
    found["feature_distance"] = (1.0 - cosine).reshape(len(drawn), -1).mean(axis=1).tolist()
    for place, name in enumerate(("cast_red", "cast_green", "cast_blue")):
        found[name] = looks.color_cast[:, place].tolist()
    return found


def _pose_rows(colors: UInt8[np.ndarray, "subjects views h w 3"], scans: Scans, judge: KeypointDetector) -> Measures:
    area = silhouette_area(np.asarray(scans.normals))
    poses = measure_poses(colors, np.asarray(scans.joints), np.asarray(scans.diagonal), area, judge)
    return {
        "pa_mpjpe_mm": poses.pa_mpjpe_mm.tolist(),
        "mpjpe_mm": poses.mpjpe_mm.tolist(),
        "oks": poses.oks.mean(axis=1).tolist(),
    }


def _noise(seed: int, row: int, shape: tuple[int, ...]) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed_for(seed, f"subject-{row:05d}", "noise")))
