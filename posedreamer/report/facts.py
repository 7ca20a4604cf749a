"""A run in a few words and numbers, for the head of the gallery and the dataset card."""

from collections.abc import Mapping
from typing import Any

Thresholds = Mapping[str, tuple[str, float]]  # score -> ("min" or "max", value)


def run_facts(manifest: Mapping[str, Any], statistics: Mapping[str, Any]) -> dict[str, Any]:
    """title, lead, headline (big numbers), facts (name, value), made_note and footer of the page."""
    config, counts = manifest["config"], statistics["counts"]
    generator, image, body = config["generator"], config["image"], manifest["body"]
    derived = manifest.get("derived")
    what = f"{derived['operation']} of" if derived else "Run"
    facts = [
        ("config", f"{config['name']} ({manifest['config_hash'][:8]})"),
        ("seed", config["seed"]),
        ("generator", generator["model"] + (f" + {generator['controlnet']}" if generator["controlnet"] else "")),
        ("condition", generator["condition"]),
        ("sampler", f"{generator['steps']} steps, guidance {generator['guidance']:g}"),
        ("body", f"{body['name']} ({body['sha256'][:8]}, {body['gender']})"),
        ("image", f"{image['width']} x {image['height']} {image['format']}"),
        ("shards", f"{statistics['shards']}, of {config['shard_size']} attempts each"),
        (
            "tars",
            f"{statistics['bytes']['shards'] / 1e6:.1f} MB kept, {statistics['bytes']['rejects'] / 1e6:.1f} MB rejected",
        ),
        (
            "code",
            f"{manifest['code']['version']}"
            + (f" ({manifest['code']['commit'][:8]})" if manifest["code"]["commit"] else ""),
        ),
        ("conventions", f"version {manifest['conventions']}"),
    ]
    return {
        "title": f"{what} {config['name']}",
        "lead": f"{counts['kept']} images of people with exact 3D labels, kept out of {counts['attempted']} attempts"
        f" in {len(statistics['rounds'])} round{'s' if len(statistics['rounds']) > 1 else ''}.",
        "headline": headline(manifest, statistics),
        "facts": facts,
        "made_note": f"Every sample follows from the configuration and seed {config['seed']}; run.json holds both, with the"
        " hashes of body, weights and code.",
        "footer": f"posedreamer {manifest['code']['version']}",
    }


def headline(manifest: Mapping[str, Any], statistics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The numbers that say how the run went: counts, keep rate, the OKS asked for and reached."""
    counts, scores = statistics["counts"], statistics["scores"]
    numbers = [
        ("kept", str(counts["kept"])),
        ("attempted", str(counts["attempted"])),
        ("keep rate", f"{counts['keep_rate']:.0%}"),
    ]
    thresholds = score_thresholds(manifest)
    if "oks" in thresholds:
        numbers.append(("OKS asked for", f"{thresholds['oks'][1]:.2f}"))
    for name, words in (("kept", "mean OKS, kept"), ("attempted", "mean OKS, attempted")):
        if "oks" in scores and scores["oks"][name]:
            numbers.append((words, f"{scores['oks'][name]['mean']:.3f}"))
    return numbers


def score_thresholds(manifest: Mapping[str, Any]) -> Thresholds:
    """Score -> ("min" or "max", value), for the checks of the run's configuration.

    A check's `min` belongs to the score of its name, its `min_contrast` to the score `contrast`.
    """
    filters = manifest["config"]["filters"]
    thresholds = {}
    for check in filters["order"]:
        for field, value in filters[check].items():
            side, _, score = field.partition("_")
            if side in ("min", "max"):
                thresholds[score or check] = (side, float(value))
    return thresholds


def missed_checks(scores: Mapping[str, float | None], thresholds: Thresholds) -> list[str]:
    """What a sample missed, one line a score, such as `oks 0.412, at least 0.6`; not only the first, which is the reason."""
    lines = []
    for name, (side, limit) in thresholds.items():
        value = scores.get(name)
        if value is not None and (value < limit if side == "min" else value > limit):
            lines.append(f"{name} {value:.3g}, at {'least' if side == 'min' else 'most'} {limit:g}")
    return lines
