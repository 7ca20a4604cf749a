"""The curriculum as a source: poses that the miner chose from, or between, the samples of earlier rounds."""

import fsspec
import numpy as np
import pyarrow.parquet as pq

from posedreamer.geometry.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from posedreamer.sample import PARAMETER_SHAPES
from posedreamer.stages.sampling.sources import PoseDraw

POSE_COLUMNS = tuple(name for name in PARAMETER_SHAPES if name not in ("betas", "transl"))


class CurriculumSource:
    """Draws rows of a parquet file (path or URL), each as likely as any other.

    Columns, as in the index of a run: the parameters in the camera frame and T_cam_from_world, which takes the body back to
    the world (lists, row-major), and tags. The file is read when the source is made.
    """

    def __init__(self, path: str) -> None:
        wanted = [*POSE_COLUMNS, "T_cam_from_world", "tags"]
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
        for name in (*POSE_COLUMNS, "T_cam_from_world"):
            shape = (table.num_rows, *((4, 4) if name == "T_cam_from_world" else PARAMETER_SHAPES[name]))
            values = np.array(table[name].to_pylist(), dtype=np.float64)
            if values.size != np.prod(shape) or not np.isfinite(values).all():
                raise ValueError(f"curriculum {path}: column {name} has shape {values.shape}, expected finite {shape}")
            self.columns[name] = values.reshape(shape)
        self.tags = [tuple(tags or ()) for tags in table["tags"].to_pylist()]

    def draw(self, rng: np.random.Generator) -> PoseDraw:
        """One of the chosen poses, its root turned back to the world."""
        row = int(rng.integers(len(self.tags)))
        pose = {name: self.columns[name][row] for name in POSE_COLUMNS}
        rotmat = self.columns["T_cam_from_world"][row, :3, :3].T @ rotvec_to_rotmat(pose.pop("global_orient"))
        return PoseDraw(**pose, global_orient=rotmat_to_rotvec(rotmat), source="curriculum", tags=self.tags[row])
