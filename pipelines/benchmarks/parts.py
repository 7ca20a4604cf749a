"""Parts of the line by themselves: the body model, condition maps, the judge, checks, shards."""

import tempfile
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
import webdataset.compat
import webdataset.writer

from benchmarks.rows import Row, paired_seconds, seconds
from posedreamer import open_shards
from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import rest_parameters, transform_parameters
from posedreamer.config import Config
from posedreamer.estimators.keypoints import KeypointDetector
from posedreamer.filters_config import CheckName
from posedreamer.geometry.cameras import look_at, make_K
from posedreamer.geometry.skeletons import SMPLX_PARENTS
from posedreamer.line import filtering_stage, mining_stage
from posedreamer.rendering.conditions import draw_condition
from posedreamer.rendering.label import draw_label
from posedreamer.sample import PARAMETER_SHAPES, Verdict
from posedreamer.seeds import generator_for
from posedreamer.storage.locate import find_tars
from posedreamer.storage.shard import read_groups_of, read_shard, write_shard

JUDGED = 16  # pictures of each kind


def random_smplx_file(folder: Path) -> Path:
    """A file of the official layout and size (10,475 vertices, 400 shape and 486 pose directions) with random content."""

    rng = generator_for(0, "benchmark", "smplx")
    verts, joints = 10475, 55
    weights = np.zeros((verts, joints))
    bound_to = rng.random((verts, joints)).argsort(axis=1)[:, :4]  # as a skinned mesh has it: four joints a vertex
    np.put_along_axis(weights, bound_to, rng.random((verts, 4)), axis=1)
    arrays = {
        "v_template": rng.normal(size=(verts, 3)), "f": rng.integers(0, verts, (20908, 3)),
        "shapedirs": rng.normal(size=(verts, 3, 400)) * 1e-2, "posedirs": rng.normal(size=(verts, 3, 486)) * 1e-3,
        "J_regressor": rng.dirichlet(np.ones(verts), joints), "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.stack([np.array(SMPLX_PARENTS, dtype=np.int64), np.arange(joints)]),
        "hands_componentsl": np.eye(45), "hands_componentsr": np.eye(45),
        "hands_meanl": np.zeros(45), "hands_meanr": np.zeros(45),
        "lmk_faces_idx": rng.integers(0, 20908, 51), "lmk_bary_coords": np.full((51, 3), 1 / 3),
    }  # fmt: skip
    path = folder / "smplx" / "SMPLX_NEUTRAL.npz"
    path.parent.mkdir()
    np.savez(path, **arrays)
    return path


def bodies() -> list[Row]:
    """Linear blend skinning, forward, 64 bodies at once."""
    import smplx

    with tempfile.TemporaryDirectory() as folder:
        path = random_smplx_file(Path(folder))
        ours = BodyModel.from_file(path)
        theirs = smplx.create(
            folder, "smplx", ext="npz", use_pca=False, flat_hand_mean=False, batch_size=64, num_expression_coeffs=10
        )
        rng = generator_for(0, "benchmark", "poses")
        batch = {
            name: torch.from_numpy(rng.normal(0.0, 0.3, (64, *shape)).astype(np.float32))
            for name, shape in PARAMETER_SHAPES.items()
        }
        flat = {name: value.reshape(64, -1) for name, value in batch.items()}
        with torch.no_grad():
            own, other, ratio = paired_seconds(lambda: ours(**batch), lambda: theirs(**flat))
    detail = f"{1000 * own:.0f} ms, smplx {1000 * other:.0f} ms; 10,475 vertices, {torch.get_num_threads()} threads"
    return [Row("LBS at batch 64, speed over `smplx`", f"{ratio:.2f} x", detail, ">= 2 x")]


def maps() -> list[Row]:
    """All condition maps of one 512 px body on one core."""
    torch.set_num_threads(1)
    body = load_body()
    T_cam_from_world = look_at(np.array([0.4, 0.3, 2.6]), np.array([0.0, -0.35, 0.0]))
    parameters = transform_parameters(body, rest_parameters(), T_cam_from_world)
    K = make_K(600.0, 512, 512)
    drawn = draw_label(body, parameters, K, 512, 512)
    label = seconds(lambda: draw_label(body, parameters, K, 512, 512), 20)
    kinds = {
        kind: seconds(lambda kind=kind: draw_condition(kind, body, drawn), 20)
        for kind in ("xyz", "depth", "normals", "parts")
    }
    openpose = seconds(lambda: draw_condition("openpose", body, drawn), 5)
    total = 1000 * (label + sum(kinds.values()))
    parts = ", ".join(f"{kind} {1000 * value:.1f}" for kind, value in {"raster + label": label, **kinds}.items())
    covered = 100 * float(drawn.mask.mean())
    return [
        Row("Condition maps of one 512 px body, one core", f"{total:.1f} ms", f"{parts} ms; body covers {covered:.0f} %", "< 20 ms"),
        Row("OpenPose drawing (controlnet_aux), 512 px, one core", f"{1000 * openpose:.1f} ms", "their drawing code"),
    ]  # fmt: skip


def judge(run_dir: Path) -> list[Row]:
    """The keypoint judge on one core, over pictures that a run kept and refused: what it doubts it looks at twice more."""
    detector = KeypointDetector(threads=1)
    detector.setup()
    images = [
        sample["image"]
        for kind in ("shards", "rejects")
        for sample in islice(open_shards(run_dir / kind, fields=["image"]), JUDGED)
    ]
    took = seconds(lambda: [detector.detect(image) for image in images]) / len(images)
    height, width = images[0].shape[:2]
    detail = f"mean of {len(images)} pictures of the demo, {width} x {height}, half of them refused ones"
    return [Row("Judge, one core", f"{1000 * took:.0f} ms", detail)]


def checks(run_dir: Path) -> list[Row]:
    """Every measure and check that needs nothing from outside, on one core, over kept and refused samples of a run."""
    torch.set_num_threads(1)
    order = [name for name in get_args(CheckName) if name not in ("text_image", "safety")]
    config = Config.model_validate({"name": "checks", "filters": {"order": order}})
    mining, filtering = mining_stage(config), filtering_stage(config)
    mining.setup()
    filtering.setup()
    tars = find_tars(f"{run_dir}/{{shards,rejects}}")
    samples = [
        replace(one, scores={}, verdict=Verdict()) for tar in tars for one in islice(read_shard(tar), JUDGED // 4)
    ]
    scored = mining(samples)
    pictures = [one.image.rgb for one in samples if one.image is not None]
    took = {
        "observer": seconds(lambda: [mining.observer.observe([rgb]) for rgb in pictures], 3),
        "judge and scores": seconds(lambda: [mining.score(one) for one in samples], 3),
        **{
            check.name: seconds(lambda check=check: [check.score(one) for one in scored], 3)
            for check in filtering.checks
        },
    }
    each = {name: 1000 * time / len(samples) for name, time in took.items()}
    detail = ", ".join(f"{name} {time:.1f}" for name, time in each.items() if time >= 0.05)
    return [Row("All embedded measures and checks of a picture, one core", f"{sum(each.values()):.0f} ms", f"ms: {detail}; the others under .05; mean of {len(samples)} samples of the demo", "<= 150 ms")]  # fmt: skip


def shards(run_dir: Path) -> list[Row]:
    """Writing and reading shards against bare webdataset on the same members."""
    tars = sorted(run_dir.glob("shards/*.tar"))
    groups = [group for tar in tars for group in read_groups_of(tar)]
    with tempfile.TemporaryDirectory() as folder:
        write = paired_seconds(
            lambda: write_bare(Path(folder) / "bare.tar", groups), lambda: write_ours(Path(folder), run_dir), 3
        )
        urls = [str(tar) for tar in tars]
        read = paired_seconds(
            lambda: read_bare(urls),
            lambda: sum(1 for _ in open_shards(run_dir)),
        )
    n = len(groups)
    return [
        Row("Writing shards, rate over bare `webdataset.TarWriter`", f"{1 / write[2]:.2f} x", f"{n / write[1]:.0f} samples/s with JPEG, PNG and index encoding and hashes; bare copies {n / write[0]:.0f} ready ones"),
        Row("Reading shards, rate over bare `webdataset` (rgb8)", f"{1 / read[2]:.2f} x", f"{n / read[1]:.0f} samples/s, bare {n / read[0]:.0f}; all members decoded by both"),
    ]  # fmt: skip


def read_bare(urls: list[str]) -> int:
    dataset: Any = webdataset.compat.WebDataset(urls, shardshuffle=False)
    return sum(1 for _ in dataset.decode("rgb8"))


def write_bare(path: Path, groups: list[tuple[str, dict[str, bytes]]]) -> None:
    with webdataset.writer.TarWriter(str(path), encoder=False) as writer:
        for key, members in groups:
            writer.write({"__key__": key, **members})


def write_ours(folder: Path, run_dir: Path) -> None:
    from posedreamer.storage.manifest import read_manifest
    from posedreamer.storage.shard import read_shard

    body = read_manifest(run_dir)["body"]
    for tar in sorted(run_dir.glob("shards/*.tar")):
        write_shard(folder, int(tar.stem), 0, list(read_shard(tar)), {}, body=body)
