"""A run in a few words and numbers, for the head of the gallery and the dataset card."""

from collections.abc import Mapping
from typing import Any


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
        "headline": headline(statistics),
        "facts": facts,
        "made_note": f"Every sample follows from the configuration and seed {config['seed']}; run.json holds both, with the"
        " hashes of body, weights and code.",
        "footer": f"posedreamer {manifest['code']['version']}",
    }


def headline(statistics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The numbers that say how the run went: counts, keep rate, the OKS asked for and reached, distances of the whole set."""
    summary = statistics["summary"]
    shown = [
        ("kept", "kept", "d"),
        ("attempted", "attempted", "d"),
        ("keep_rate", "keep rate", ".0%"),
        ("oks_threshold", "OKS asked for", ".2f"),
        ("mean_oks_kept", "mean OKS, kept", ".3f"),
        ("mean_oks_attempted", "mean OKS, attempted", ".3f"),
        ("kid_effnet", "KID (EfficientNet-Lite0)", ".4f"),
        ("fd_effnet", "FD (EfficientNet-Lite0)", ".1f"),
    ]
    return [(words, format(summary[name], form)) for name, words, form in shown if summary[name] is not None]
