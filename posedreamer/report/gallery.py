"""One self-contained HTML page of a run: `posedreamer gallery DIR`.

Pictures with the label drawn over them beside the map they were made from, the line as a funnel, histograms of the scores with
the samples at their ends, rejected samples with reasons, and what the curriculum chose. No script, nothing is fetched.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.catalog import load_body
from posedreamer.rendering.conditions import redraw_condition
from posedreamer.report.charts import histogram_svg
from posedreamer.report.curriculum import curriculum_items
from posedreamer.report.facts import run_facts
from posedreamer.report.learner import hardest_cards, hardest_rows, pose_maps
from posedreamer.report.pictures import Panel, sample_panels, sample_thumb
from posedreamer.report.selection import extremes, read_samples, spread, spread_by_reason
from posedreamer.report.statistics import index_rows, run_statistics
from posedreamer.report.thresholds import Thresholds, missed_checks, score_thresholds
from posedreamer.sample import Sample
from posedreamer.storage.index import read_index
from posedreamer.storage.manifest import read_manifest

log = logging.getLogger(__name__)
JOINT_PREFIX = "oks_joint_"
MAX_FAILED = 100
HERO = 10  # kept samples at the top of the page: picture, and mesh under it
FIRST_SCORES = ("oks", "oks_coco", "difficulty")
Row = Mapping[str, Any]


def write_gallery(
    run_dir: str | Path,
    out_path: Path | None = None,
    body: BodyModel | None = None,
    kept: int = 64,
    rejected: int = 32,
    ends: int = 6,
) -> Path:
    """Writes the page and returns its path (report.html in the run directory unless another is given).

    body: the run's body model; None loads the one that run.json names. kept, rejected: most samples shown; ends: samples
    shown at each end of a score.
    """
    out_path = Path(run_dir) / "report.html" if out_path is None else out_path
    body = load_body(read_manifest(run_dir)["config"]["body"]) if body is None else body
    context = page_context(run_dir, body, kept, rejected, ends)
    template = resources.files("posedreamer.report").joinpath("gallery.html").read_text()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    out_path.parent.mkdir(parents=True, exist_ok=True)
    out_path.write_text(environment.from_string(template).render(context), encoding="utf-8")
    log.info("gallery of %s: %s, %.1f MB", run_dir, out_path, out_path.stat().st_size / 1e6)
    return out_path


def page_context(
    run_dir: str | Path,
    body: BodyModel,
    kept: int,
    rejected: int,
    ends: int,
) -> dict[str, Any]:
    """Everything the template names."""
    statistics, manifest = run_statistics(run_dir), read_manifest(run_dir)
    rows = index_rows(read_index(run_dir))
    by_status = {status: [row for row in rows if row["status"] == status] for status in ("kept", "rejected", "failed")}
    scores = [name for name in statistics["scores"] if statistics["scores"][name]["attempted"]]
    headline_scores = [name for name in scores if not name.startswith(JOINT_PREFIX)]
    headline_scores.sort(
        key=lambda name: (FIRST_SCORES.index(name) if name in FIRST_SCORES else len(FIRST_SCORES), name)
    )

    shown_kept = spread(by_status["kept"], kept)
    shown_rejected = spread_by_reason(by_status["rejected"], list(statistics["reasons"]), rejected)
    shown_ends = {name: extremes(by_status["kept"], name, ends) for name in headline_scores}
    wanted = [*shown_kept, *(row for group in shown_rejected.values() for row in group)]
    wanted += [row for pair in shown_ends.values() for group in pair for row in group]
    hardest = hardest_rows(by_status["kept"])
    wanted += hardest

    samples = read_samples(run_dir, wanted, partial(redraw_condition, body))
    thumbs = {row["key"]: sample_thumb(samples[row["key"]]) for pair in shown_ends.values() for g in pair for row in g}
    thresholds = score_thresholds(manifest)
    cards = {reason: _cards(group, samples, body, thresholds) for reason, group in shown_rejected.items()}
    kept_cards = _cards(shown_kept, samples, body, thresholds)
    counts = statistics["counts"]
    return {
        **run_facts(manifest, statistics),
        "attempted": counts["attempted"],
        "funnel": [_funnel_step(step) for step in statistics["funnel"]],
        "tables": _tables(statistics),
        "scores": [_score(name, by_status, shown_ends[name], thumbs, thresholds) for name in headline_scores],
        "joints": [_histogram(name, by_status, {}) for name in scores if name.startswith(JOINT_PREFIX)],
        "hero": [{**card, "hero": card["panels"][:3:2]} for card in spread(kept_cards, HERO)],
        "kept": kept_cards,
        "kept_note": _shown(len(kept_cards), counts["kept"], "kept samples, evenly spread over the run."),
        "panel_names": [panel.name for panel in kept_cards[0]["panels"]] if kept_cards else [],
        "rejected": [
            {"reason": reason, "count": statistics["reasons"][reason], "cards": cards[reason]} for reason in cards
        ],
        "rejected_note": "By reason, in the order of the checks: pictures that did not show what their label says."
        + ("" if any(cards.values()) else " The run did not store them (storage.keep_rejects is off)."),
        "failed": [{"key": row["key"], "error": row["reason"]} for row in by_status["failed"][:MAX_FAILED]],
        "failed_note": _shown(min(MAX_FAILED, counts["failed"]), counts["failed"], "attempts that ended in an error."),
        "curriculum": curriculum_items(run_dir),
        "pose_maps": pose_maps(run_dir, body),
        "hardest": hardest_cards(hardest, samples, manifest["config"], body),
        "manifest": json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False),
    }


def _cards(
    rows: Sequence[Row], samples: Mapping[str, Sample], body: BodyModel, thresholds: Thresholds
) -> list[dict[str, Any]]:
    stored = [samples[row["key"]] for row in rows if row["key"] in samples]
    return [_card(sample, sample_panels(sample, body), thresholds) for sample in stored]


def _card(sample: Sample, panels: list[Panel], thresholds: Thresholds) -> dict[str, Any]:
    label, prompt = sample.label, sample.prompt
    if label is None or prompt is None:
        raise ValueError(f"sample {sample.key}: a gallery needs label and prompt")
    return {
        "key": sample.key,
        "anchor": f"sample-{sample.key}",
        "panels": panels,
        "ratio": f"{label.width}/{label.height}",
        "oks": sample.scores.get("oks"),
        "status": sample.verdict.status,
        "reason": sample.verdict.reason,
        "missed": missed_checks(sample.scores, thresholds) if sample.verdict.status == "rejected" else [],
        "prompt": prompt.text,
        "source": label.source,
        "tags": label.tags,
    }


def _score(
    name: str,
    by_status: Mapping[str, Sequence[Row]],
    ends: tuple[Sequence[Row], Sequence[Row]],
    thumbs: Mapping[str, str],
    thresholds: Thresholds,
) -> dict[str, Any]:
    side = thresholds[name][0] if name in thresholds else None
    titles = {"min": ("lowest: worst", "highest: best"), "max": ("lowest: best", "highest: worst")}
    lowest, highest = (
        [{"key": row["key"], "uri": thumbs[row["key"]], "value": row["scores"][name]} for row in group]
        for group in ends
    )
    return {
        **_histogram(name, by_status, thresholds),
        "lowest": lowest,
        "highest": highest,
        "lowest_title": titles[side][0] if side else "lowest",
        "highest_title": titles[side][1] if side else "highest",
    }


def _histogram(name: str, by_status: Mapping[str, Sequence[Row]], thresholds: Thresholds) -> dict[str, Any]:
    series = {
        status: [row["scores"][name] for row in by_status[status] if row["scores"][name] is not None]
        for status in ("kept", "rejected")
    }
    means = ", ".join(f"{status} {sum(v) / len(v):.3g}" for status, v in series.items() if v)
    about = f"mean: {means}"
    if name in thresholds:
        side, value = thresholds[name]
        about += f"; at {'least' if side == 'min' else 'most'} {value:g} is asked"
    threshold = thresholds[name][1] if name in thresholds else None
    return {"name": name, "about": about, "svg": histogram_svg(series, threshold)}


def _funnel_step(step: Mapping[str, Any]) -> dict[str, Any]:
    kind = "failed" if step["step"] == "failed" else "rejected"
    return {"label": step["step"], "remaining": step["remaining"], "dropped": step["dropped"], "kind": kind}


def _tables(statistics: Mapping[str, Any]) -> list[dict[str, Any]]:
    tables = [("Rounds", "round", {str(item["round"]): item for item in statistics["rounds"]})]
    tables += [
        ("Sources", "source", statistics["sources"]),
        ("Tags", "tag", dict(list(statistics["tags"].items())[:24])),
    ]
    tables += [(f"Prompt: {name}", "value", values) for name, values in statistics["attributes"].items()]
    made = [
        {
            "title": title,
            "heads": [head, "attempted", "kept", "keep rate"],
            "rows": [[name, c["attempted"], c["kept"], {"rate": c["keep_rate"]}] for name, c in groups.items()],
        }
        for title, head, groups in tables
        if groups
    ]
    seconds, attempted = statistics["seconds"], statistics["counts"]["attempted"]
    total = sum(seconds.values())
    lines = [[name, f"{s:.1f}", f"{s / attempted:.3f}", f"{s / total:.0%}"] for name, s in seconds.items() if total]
    if lines:
        made.insert(1, {"title": "Work", "heads": ["stage", "seconds", "per attempt", "share"], "rows": lines})
    return made


def _shown(shown: int, of: int, what: str) -> str:
    return f"{of} {what}" if shown == of else f"{shown} of {of} {what}"
