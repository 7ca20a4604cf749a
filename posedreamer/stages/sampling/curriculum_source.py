"""The curriculum as a source: poses that the miner chose after the rounds before."""

import fsspec
import numpy as np
import pyarrow.parquet as pq

from posedreamer.sample import PARAMETER_SHAPES
from posedreamer.stages.sampling.sources import PoseDraw

POSE_COLUMNS = tuple(name for name in PARAMETER_SHAPES if name not in ("betas", "transl"))


class CurriculumSource:
    """Draws rows of a parquet file (path or URL), each as likely as any other.

    Columns: the pose parameters (lists, row-major), global_orient in the WORLD frame, and tags. The file is read when the
    source is made.
    """

    def __init__(self, path: str) -> None:
        wanted = [*POSE_COLUMNS, "tags"]
        with fsspec.open(path, "rb") as file:
            parquet = pq.ParquetFile(file)
            missing = [name for name in wanted if name not in parquet.schema_arrow.names]
            if missing:
                raise ValueError(
                    f"curriculum {path}: columns {missing} are missing, got {sorted(parquet.schema_arrow.names)}"
                )
            table = parquet.read(columns=wanted)
        if table.num_rows == 0:
            raise ValueError(f"curriculum {path}: no row to draw from")
        self.columns = {}
        for name in POSE_COLUMNS:
            shape = (table.num_rows, *PARAMETER_SHAPES[name])
            values = np.array(table[name].to_pylist(), dtype=np.float64)
            if values.size != np.prod(shape) or not np.isfinite(values).all():
                raise ValueError(f"curriculum {path}: column {name} has shape {values.shape}, expected finite {shape}")
            self.columns[name] = values.reshape(shape)
        self.tags = [tuple(tags or ()) for tags in table["tags"].to_pylist()]

    def draw(self, rng: np.random.Generator) -> PoseDraw:
        """One of the chosen poses."""
        row = int(rng.integers(len(self.tags)))
        pose = {name: self.columns[name][row] for name in POSE_COLUMNS}
        return PoseDraw(**pose, source="curriculum", tags=self.tags[row])
