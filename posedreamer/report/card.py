"""The dataset card of a run: README.md for people, with the front matter that dataset hubs read, and croissant.json for machines."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from posedreamer.report.croissant import croissant
from posedreamer.report.statistics import run_statistics
from posedreamer.report.thresholds import CHECKS
from posedreamer.storage.files import join, write_file
from posedreamer.storage.index import read_shard_index
from posedreamer.storage.manifest import read_manifest
from posedreamer.storage.stats import finished_shards, read_stats

OPEN_LICENCE = "apache-2.0"
LICENCE_ADDRESSES = {OPEN_LICENCE: "https://www.apache.org/licenses/LICENSE-2.0", "other": "see README.md, Licences"}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
LOADERS = """```python
# a torch IterableDataset: dictionaries of arrays, aware of workers and ranks
from posedreamer import open_shards

for sample in open_shards("."):
    sample["image"], sample["body_pose"], sample["K"], sample["prompt"]
```

```python
# plain webdataset, no code of posedreamer
import glob
import webdataset as wds

for sample in wds.WebDataset(sorted(glob.glob("shards/*.tar")), shardshuffle=False).decode("rgb8"):
    sample["{image}"], sample["label.npz"]["body_pose"], sample["json"]["prompt"]
```

```python
# the index: one row for each attempt, kept or not
import pyarrow.dataset

table = pyarrow.dataset.dataset(sorted(glob.glob("shards/*.parquet"))).to_table(columns=["key", "status", "score_oks"])
```"""
LIMITS = (
    "The label is exact for the body that was drawn; the picture is generated and agrees with it as far as the checks can see."
    " `oks` of each sample says how well.",
    "The judge sees 17 body keypoints: hands, fingers and face of the picture are not checked against the label.",
    "Mask and depth are those of the body without clothes and hair.",
    "One person is labelled in each picture; the second-person check is a detector's, and misses some.",
)
OPEN_BODY_LIMIT = (
    "The open body has SMPL-X's joints, parameters and output order, but its own mesh: vertex indices are not those of SMPL-X,"
    " and neither are its shape coefficients."
)
NANO_LIMIT = "The nano generator is a small model trained on renders: its people are recognisable, not photographs."


def write_card(run_dir: str | Path) -> list[str]:
    """Writes README.md and croissant.json into the run directory; returns their paths."""
    manifest, statistics = read_manifest(run_dir), run_statistics(run_dir)
    shards = [read_stats(run_dir, shard) for shard in finished_shards(run_dir)]
    licence = OPEN_LICENCE if all(is_open for _, _, _, is_open in licences(manifest)) else "other"
    metadata = croissant(
        manifest["config"]["name"],
        describe(manifest, statistics),
        LICENCE_ADDRESSES[licence],
        manifest["config"]["image"]["format"],
        shards,
        read_shard_index(run_dir, shards[0].shard).schema,
    )
    contents = {
        "README.md": card(manifest, statistics, licence),
        "croissant.json": json.dumps(metadata, indent=1, ensure_ascii=False) + "\n",
    }
    for name, content in contents.items():
        write_file(join(run_dir, name), content.encode())
    return [join(run_dir, name) for name in contents]


def describe(manifest: Mapping[str, Any], statistics: Mapping[str, Any]) -> str:
    """The data set in two sentences."""
    config, counts = manifest["config"], statistics["counts"]
    return (
        f"{counts['kept']} generated pictures of people ({config['image']['width']} x {config['image']['height']} pixels),"
        f" each with the SMPL-X parameters, camera, keypoints, mask and depth it was made from."
        f" They were kept out of {counts['attempted']} attempts by checks that compare picture and label."
    )


# Generators of this project, and what may be done with their pictures.
OWN_GENERATORS = {
    "nano": "Apache-2.0, trained from scratch on renders of the open body",
    "renderer": "Apache-2.0, drawn by this project",
    "second_renderer": "Apache-2.0, drawn by this project",
}


def licences(manifest: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    """(part, what, licence, may be passed on freely) of everything that went into the pictures and labels."""
    config, body = manifest["config"], manifest["body"]
    generator, sources = config["generator"], config["sampling"]["sources"]
    is_open_body, own = config["body"] == "open", OWN_GENERATORS.get(generator["model"])
    rows = [
        ("body", body["name"], "CC0-1.0 (MakeHuman data)" if is_open_body else "that of the model file", is_open_body),
        (
            "generator",
            generator["model"],
            "see the model's own card" if own is None else own,
            own is not None,
        ),
    ]
    rows += [("adapter", adapter, "see its own card", False) for adapter in generator["adapters"]]
    if (labels_of := config["sampling"].get("labels_of")) is not None:
        return [*rows, ("labels", str(labels_of), "those of that run", False)]
    for source in sources:
        match source["kind"], source.get("path"):
            case "library", _:
                rows.append(("poses", "named pose library", "Apache-2.0", True))
            case _, "clips":
                rows.append(("poses", "embedded clips", "zlib, as pybullet states; see NOTICE", True))
            case _, path:
                rows.append(("poses", str(path), "that of the motion files", False))
    return rows


def card(manifest: Mapping[str, Any], statistics: Mapping[str, Any], licence: str) -> str:
    """The text of README.md."""
    config, counts, summary = manifest["config"], statistics["counts"], statistics["summary"]
    front = {
        "license": licence,
        "pretty_name": config["name"],
        "task_categories": ["keypoint-detection", "image-to-3d"],
        "size_categories": [size_category(counts["kept"])],
        "tags": ["synthetic", "human-pose", "smpl-x", "webdataset", "posedreamer"],
        "configs": [{"config_name": "default", "data_files": "shards/*.tar"}],
    }
    unmade = [name for name in CHECKS if name not in config["filters"]["order"]]
    limits = [*LIMITS, *([f"Checks that this run did not make: {', '.join(unmade)}."] if unmade else [])]
    limits += [OPEN_BODY_LIMIT] if config["body"] == "open" else []
    limits += [NANO_LIMIT] if config["generator"]["model"] == "nano" else []
    figures = [(name.replace("_", " "), _figure(value)) for name, value in summary.items() if value is not None]
    rounds = [[c["round"], c["attempted"], c["kept"], c["rejected"], c["failed"]] for c in statistics["rounds"]]
    made = f"Configuration `{config['name']}` (hash `{manifest['config_hash'][:8]}`), seed {config['seed']}; all of it is in `run.json`."
    if derived := manifest.get("derived"):
        made += f" This is a subset (`{derived['operation']}`, domain `{derived['domain']['name']}`); the source is in `sources/`."
    return "\n".join(
        [
            f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n",
            f"# {config['name']}\n",
            describe(manifest, statistics) + "\n",
            made + " `report.html` shows it.\n",
            "## Figures\n",
            _table(["figure", "value"], figures),
            _table(["round", "attempted", "kept", "rejected", "failed"], rounds),
            _table(["reason", "samples"], list(statistics["reasons"].items())) if statistics["reasons"] else "",
            "## Reading it\n",
            LOADERS.replace("{image}", config["image"]["format"]) + "\n",
            "Members of a sample: image, `json`, `label.npz`, `condition.png`, `mask.png`, `depth.png`. The arrays, their shapes and"
            f" units are those of posedreamer's `shards/README.md`, conventions version {manifest['conventions']}: camera frame x right,"
            " y down, z forward, metres; pixels from the corner of the first pixel; rotation vectors in radians. There is no pickle"
            " in the shards.\n",
            "`posedreamer verify .` draws every label again and compares it with what is stored.\n",
            "## Licences\n",
            _table(["part", "what", "licence"], [row[:3] for row in licences(manifest)]),
            "## Known limits\n",
            "\n".join(f"- {limit}" for limit in limits) + "\n",
        ]
    )


def size_category(kept: int) -> str:
    """The hub's word for a number of samples."""
    return next((word for limit, word in SIZES if kept < limit), "n>1M")


def _figure(value: int | float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def _table(heads: list[str], rows: list[Any]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
