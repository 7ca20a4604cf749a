"""What a training run shows of itself: grids of pictures, the curve of its loss, and the loss on the validation set."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from posedreamer.storage.files import write_file

logger = logging.getLogger(__name__)


def save_grid(path: Path, rows: Sequence[np.ndarray], enlarge: int = 1) -> None:
    """Writes one PNG; each row is uint8 (count, h, w, 3), all rows alike in shape."""
    grid = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grid.repeat(enlarge, axis=0).repeat(enlarge, axis=1)).save(path)


def save_loss_curve(path: Path, losses: Sequence[float], window: int = 200) -> None:
    """Writes the running mean of the losses over steps, on logarithmic axes."""
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    width = max(1, min(window, len(losses) // 4))
    means = np.convolve(np.asarray(losses), np.full(width, 1.0 / width), mode="valid")
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.loglog(np.arange(len(means)) + width, means, linewidth=1.2)
    axes.set_xlabel("step")
    axes.set_ylabel(f"loss, mean of {width} steps")
    axes.grid(True, which="both", alpha=0.3)
    figure.savefig(path, dpi=110)


def record_validation(path: Path, step: int, loss: float) -> None:
    """Adds one step's loss to the file."""
    logger.info("validation at step %d: loss %.5f", step, loss)
    add_entry(path, str(step), loss)


def add_entry(path: Path, name: str, value: Any) -> None:
    """Adds one entry to a JSON file of them, which need not be there yet."""
    known = json.loads(path.read_text()) if path.is_file() else {}
    write_file(path, (json.dumps(known | {name: value}, indent=1) + "\n").encode())
