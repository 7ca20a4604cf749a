"""What fine-tuning did, in figures: tables before and after, the curve of reward and judge, the worst subjects, reconstructed surfaces.

`report.html` shows all of them, with one reconstructed subject in 3D; nothing in it is fetched.
"""

import base64
import io
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from posedreamer.drpose.drpose_config import DrPoseConfig
from posedreamer.drpose.drpose_run import BENCHMARK, SPLITS, Point, load_step, open_benchmark, trial_folder
from posedreamer.drpose.reconstruct import Surface, reconstruct, to_glb
from posedreamer.drpose.scan_data import embedded_maker, redraw_subject
from posedreamer.drpose.trial import MEASURES, POSE_MEASURES, Measures, decode_trial
from posedreamer.drpose.views import SubjectFrame
from posedreamer.metrics.bootstrap import Estimate, bootstrap, ratio_of_means
from posedreamer.metrics.surface import SurfaceErrors, compare_surfaces
from posedreamer.seeds import generator_for
from posedreamer.storage.files import write_file

logger = logging.getLogger(__name__)

WORST = 24  # subjects of the failure sheet
SHOWN_VIEWS = (0, 2, 3, 4)
RATIOS = ("pa_mpjpe_mm", "mpjpe_mm")  # told as after / before; of the others, the difference
HEADS = {
    "pa_mpjpe_mm": "PA-MPJPE, mm", "mpjpe_mm": "MPJPE, mm", "oks": "OKS", "reward": "reward", "psnr": "PSNR", "ssim": "SSIM",
    "normal_degrees": "normals, degrees", "feature_distance": "features", "cast_red": "cast, red", "cast_green": "green", "cast_blue": "blue",
}  # fmt: skip


def compare_measures(before: Measures, after: Measures, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    """Of each measure: means, and their ratio or difference with a 95 % interval over subjects."""
    found = {}
    for name in MEASURES:
        rows = np.stack([after[name], before[name]], axis=1)
        statistic, told = ratio_of_means if name in RATIOS else _difference, np.isfinite(rows).all(axis=1)
        if told.sum() < 2:  # models that draw no body have no normals to compare
            found[name] = {"before": np.nan, "after": np.nan, "change": Estimate(np.nan, np.nan, np.nan)._asdict()}
            continue
        after_mean, before_mean = rows[told].mean(axis=0)
        change = bootstrap(rows[told], statistic, rng)._asdict()
        found[name] = {"before": float(before_mean), "after": float(after_mean), "change": change}
    return found


def summarise(measured: Mapping[str, Mapping[str, Measures]], step: int) -> dict[str, Any]:
    """Of every set: the comparison, the judge's floor on true views, how many subjects."""
    found: dict[str, Any] = {}
    for name, by_step in measured.items():
        rng = generator_for(0, f"drpose/{name}", "bootstrap")
        true = {key: float(np.mean(by_step["true"][key])) for key in POSE_MEASURES}
        compared = compare_measures(by_step["0"], by_step[str(step)], rng)
        found[name] = {"subjects": len(by_step["true"]["oks"]), "true": true, "measures": compared}
    return found


def to_markdown(
    summary: Mapping[str, Any], surfaces: Mapping[str, Any], diversity: Mapping[str, float], step: int
) -> str:
    """The tables."""
    lines = [
        f"Deviation of joints: {diversity['shards']:.3f} m in the photographs' poses, {diversity['base']:.3f} m in those that the model "
        f"was trained on, {diversity['ratio']:.2f} times as much (DrPose's set: 1.73).",
        "",
    ]
    for name, part in summary.items():
        lines += [f"### {name}, {part['subjects']} subjects, step {step}", ""]
        lines += ["| measure | true views | before | after | change (95 % over subjects) |", "| --- " * 5 + "|"]
        for key, row in part["measures"].items():
            digits, true = (1, part["true"].get(key)) if key in RATIOS else (3, part["true"].get(key))
            floor = "" if true is None else f"{true:.{digits}f}"
            kind = "x" if key in RATIOS else "+"
            lines += [
                f"| {HEADS[key]} | {floor} | {row['before']:.{digits}f} | {row['after']:.{digits}f} "
                f"| {kind} {Estimate(**row['change'])} |"
            ]
        lines += [""]
    if surfaces:
        lines += ["### reconstruction", "", "| views | Chamfer, mm | P2S, mm | normal consistency | F-score | subjects |", "| --- " * 6 + "|"]  # fmt: skip
        for name, rows in surfaces.items():
            if not rows:
                lines += [f"| {name} | none | none | none | none | 0 |"]
                continue
            means = SurfaceErrors(*np.mean([list(row.values()) for row in rows], axis=0))
            lines += [
                f"| {name} | {means.chamfer_mm:.1f} | {means.p2s_mm:.1f} | {means.normal_consistency:.3f} "
                f"| {means.f_score:.3f} | {len(rows)} |"
            ]
    return "\n".join(lines) + "\n"


def ablation_markdown(found: Mapping[str, Any]) -> str:
    """One row a setting: what its chosen checkpoint brought on the benchmark, and how reward and judge went along."""
    lines = [
        "| setting | step | PA-MPJPE acrobatic, x | everyday, x | reward, first to last | judge at the end, x | PSNR | features | minutes |",
        "| --- " * 9 + "|",
    ]
    for name, one in found.items():
        told = {kind: part["measures"] for kind, part in one["benchmark"].items()}
        first, last = one["curve"][0], one["curve"][-1]
        worse = last["pa_mpjpe_mm"]["acrobatic"] / first["pa_mpjpe_mm"]["acrobatic"]
        lines += [
            f"| {name} | {one['chosen']} of {one['last']} | {Estimate(**told['acrobatic']['pa_mpjpe_mm']['change'])} "
            f"| {Estimate(**told['everyday']['pa_mpjpe_mm']['change'])} "
            f"| {first['reward']['acrobatic']:.3f} to {last['reward']['acrobatic']:.3f} | {worse:.3f} "
            f"| {told['acrobatic']['psnr']['change']['value']:+.2f} | {told['acrobatic']['feature_distance']['change']['value']:+.3f} "
            f"| {one['seconds'] / 60:.0f} |"
        ]
    return "\n".join(lines) + "\n"


def draw_curve(curve: Sequence[Point], chosen: int, path: Path) -> None:
    """Reward and the judge's error along training, on the validation subjects; a line at the chosen step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    for place, (name, told) in enumerate((("reward", "reward"), ("pa_mpjpe_mm", "PA-MPJPE by the judge, mm"))):
        axes = figure.add_subplot(1, 2, place + 1)
        for kind in curve[0].reward:
            axes.plot(
                [point.step for point in curve], [getattr(point, name)[kind] for point in curve], marker="o", label=kind
            )
        axes.axvline(chosen, color="0.6", linestyle=":")
        axes.set(xlabel="step", title=told)
        axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def worst_sheet(
    config: DrPoseConfig, out: Path, step: int, measures: Measures, name: str
) -> UInt8[np.ndarray, "h w 3"]:
    """The subjects with the largest PA-MPJPE after training, worst first: photograph; true views, before, after; two subjects a row."""
    scans, order = open_benchmark(out, name, BENCHMARK), np.argsort(-np.array(measures["pa_mpjpe_mm"]))[:WORST]
    shown = {one: load_pictures(config, out, one, name) for one in (0, step)}
    cells = []
    for row in order:
        views = [np.asarray(scans.colors[row]), shown[0][row, 1], shown[step][row, 1]]
        strips = [np.concatenate([one[place] for place in SHOWN_VIEWS], axis=1) for one in views]
        photo = np.full((strips[0].shape[0] * 3, strips[0].shape[0], 3), 255, dtype=np.uint8)
        photo[: strips[0].shape[0]] = scans.photos[row]
        cells.append(np.concatenate([photo, np.concatenate(strips)], axis=1))
    if len(cells) % 2:
        cells.append(np.full_like(cells[0], 255))
    return np.concatenate([np.concatenate(cells[place : place + 2], axis=1) for place in range(0, len(cells), 2)])


def load_pictures(
    config: DrPoseConfig, out: Path, step: int, name: str
) -> UInt8[np.ndarray, "subjects domains views h w 3"]:
    """What a measured checkpoint drew of the benchmark's subjects."""
    latents = np.load(trial_folder(out, step, name, BENCHMARK) / "latents.npy", allow_pickle=False)
    return decode_trial(load_step(config, out, step), latents)


def reconstruct_subjects(
    config: DrPoseConfig, out: Path, step: int
) -> tuple[dict[str, list[dict[str, float]]], Surface | None]:
    """Errors of the surfaces of the first acrobatic subjects by the views they come from; the last one's surface after training.

    Views that no surface can be made of are left out, and told by fewer subjects.
    """
    path, count = out / "surfaces.json", config.benchmark.reconstructed
    if count == 0:
        return {}, None
    scans = open_benchmark(out, "acrobatic", BENCHMARK)
    maker = embedded_maker(SPLITS[BENCHMARK], tuple(config.benchmark.acrobatic))
    views = {"true": np.stack([scans.normals[:count], scans.colors[:count]], axis=1)}
    views |= {
        told: load_pictures(config, out, one, "acrobatic")[:count] for told, one in (("before", 0), ("after", step))
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in views}
    best: Surface | None = None
    for row in range(count):
        subject = redraw_subject(maker, config.benchmark.seed, row)
        frame = SubjectFrame.of(torch.from_numpy(subject.posed.vertices)[None])
        true = frame.normalise(torch.from_numpy(subject.mesh.vertices)[None])[0].numpy().astype(np.float64)
        scale = float(frame.diagonal)
        for name, pictures in views.items():
            try:
                surface = reconstruct(*pictures[row])
            except ValueError as error:
                logger.warning("subject %d, views %s: %s", row, name, error)
                continue
            rng = generator_for(config.benchmark.seed, f"surface-{row}", name)
            errors = compare_surfaces(
                (surface.vertices * scale, surface.faces), (true * scale, subject.mesh.faces), rng
            )
            found[name].append(errors._asdict())
            if name == "after" and row == 0:
                best = surface
                write_file(out / "acrobat.glb", to_glb(surface, scale))
    write_file(path, (json.dumps(found, indent=1) + "\n").encode())
    return found, best


def write_page(out: Path, tables: str, pictures: Mapping[str, Path], surface: Surface | None) -> Path:
    """`report.html`: the tables as they are, pictures, and the surface to turn round."""
    context = {
        "tables": tables,
        "pictures": {told: base64.b64encode(path.read_bytes()).decode() for told, path in pictures.items()},
        "scene": None if surface is None else scene_page(surface),
    }
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(PAGE).render(context)
    path = out / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def scene_page(surface: Surface) -> str:
    """A page that shows a surface and lets it be turned, with everything it needs inside."""
    import trimesh
    from trimesh.viewer.notebook import scene_to_html

    mesh = trimesh.load(io.BytesIO(to_glb(surface, 1.0)), file_type="glb")
    return scene_to_html(mesh if isinstance(mesh, trimesh.Scene) else trimesh.Scene(mesh))


def save_picture(path: Path, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """As PNG."""
    Image.fromarray(picture).save(path)


def _difference(rows: np.ndarray) -> float:
    return float(rows[:, 0].mean() - rows[:, 1].mean())


PAGE = """<!doctype html><meta charset="utf-8"><title>Reward fine-tuning</title>
<style>body{font:15px/1.5 system-ui;margin:2em auto;max-width:70em;color:#222}pre{background:#f6f6f6;padding:1em;overflow:auto}
img{max-width:100%}iframe{width:100%;height:32em;border:1px solid #ddd}</style>
<h1>Reward fine-tuning of a multi-view model</h1>
{% if scene %}<h2>One subject, reconstructed from the views after training</h2><iframe srcdoc="{{ scene }}"></iframe>{% endif %}
<h2>Before and after</h2><pre>{{ tables }}</pre>
{% for told, picture in pictures.items() %}<h2>{{ told }}</h2><img src="data:image/png;base64,{{ picture }}">{% endfor %}
"""
