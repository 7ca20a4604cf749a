"""Build the embedded wardrobe (clothes, shoes, hair) from the embedded open body, which is all that it needs.

Run: `python pipelines/build_wardrobe.py --out posedreamer/assets/open_body`. It takes a minute.
"""

import argparse
import hashlib
from pathlib import Path

from posedreamer.bodies.building.cloth import skin_of
from posedreamer.bodies.building.pack import write_npz
from posedreamer.bodies.building.wardrobe import build_wardrobe
from posedreamer.bodies.building.wardrobe_file import wardrobe_arrays
from posedreamer.bodies.catalog import OPEN_BODY_DIRECTORY
from posedreamer.bodies.layout import read_body_arrays
from posedreamer.bodies.wardrobe import Wardrobe


def main() -> None:
    # config
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="directory for wardrobe.npz")
    path = parser.parse_args().out / "wardrobe.npz"

    # inputs
    body = read_body_arrays(OPEN_BODY_DIRECTORY / "open.npz")
    skin = skin_of(body)

    # stages and run
    write_npz(path, wardrobe_arrays(build_wardrobe(skin), skin))

    # report
    print(", ".join(sorted(Wardrobe.from_file(path, body).garments)))
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
