"""What the miner handed from round to round, as facts, charts and tables for the page.

The files are `curriculum/round-NN.json` of the run directory. Their fields are the miner's business: numbers and words are shown
as facts, lists of numbers as histograms, lists of records as tables.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posedreamer.report.charts import histogram_svg
from posedreamer.storage.files import join, list_files, read_file

MAX_ROWS = 12
_NAME = re.compile(r"round-(\d+)\.json")


def curriculum_items(run_dir: str | Path) -> list[dict[str, Any]]:
    """One item a round that was given a curriculum, ascending; none for a run of one round."""
    folder = join(run_dir, "curriculum")
    items = []
    for name in list_files(folder, ".json"):
        if match := _NAME.fullmatch(name):
            items.append(curriculum_item(int(match[1]), json.loads(read_file(join(folder, name)))))
    return items


def curriculum_item(round_index: int, record: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of one round: why, facts, charts, tables."""
    flat = flatten({name: value for name, value in record.items() if name not in ("why", "round")})
    numbers = {name: value for name, value in flat.items() if _is_list_of(value, (int, float)) and len(value) > 4}
    records = {name: value for name, value in flat.items() if _is_list_of(value, (dict,))}
    facts = {name: value for name, value in flat.items() if name not in numbers and name not in records}
    return {
        "round": round_index,
        "why": record.get("why", ""),
        "facts": [(words(name), show(value)) for name, value in facts.items()],
        "charts": [
            {"title": words(name), "svg": histogram_svg({"kept": list(map(float, value))})}
            for name, value in numbers.items()
        ],
        "tables": [_table(words(name), value) for name, value in records.items()],
    }


def flatten(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with the names of the way joined by a dot."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def words(name: str) -> str:
    """A field's name for people."""
    return name.replace("_", " ").replace(".", ": ")


def show(value: Any) -> str:
    """A value for people: three digits of a fraction, no quotes, lists by commas."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(show, value)) or "none"
    return str(value)


def _is_list_of(value: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, kinds) for one in value)


def _table(title: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    heads = list(dict.fromkeys(name for record in records for name in record))
    shown = records[:MAX_ROWS]
    more = f" ({len(shown)} of {len(records)})" if len(records) > len(shown) else ""
    rows = [[show(record.get(name)) for name in heads] for record in shown]
    return {"title": title + more, "heads": [words(head) for head in heads], "rows": rows}
