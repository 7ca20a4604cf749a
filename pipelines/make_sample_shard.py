"""Makes `shards/sample/`, one small shard to look at: `python pipelines/make_sample_shard.py`.

To be made again whenever the shard contract, the open body or the nano generator changes. No Ray: one shard, in this process.
"""

import argparse
import shutil
from pathlib import Path

from posedreamer.config import load_config
from posedreamer.factory import run_shard
from posedreamer.line import make_line, open_inputs
from posedreamer.storage.provenance import describe_body
from posedreamer.storage.shard import write_shard

ROOT = Path(__file__).parents[1]


def main() -> None:
    # config: the demo's, one shard
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "shards" / "sample")
    parser.add_argument("--shard-size", type=int, default=16)
    arguments = parser.parse_args()
    sets = [f"shard_size={arguments.shard_size}", "rounds.count=1", "rounds.max_shards=1", "storage.keep_rejects=false"]
    config = load_config(ROOT / "configs" / "nano.yaml", sets)

    # inputs
    for name in ("shards", "rejects"):
        shutil.rmtree(arguments.out / name, ignore_errors=True)
    (arguments.out / "run.json").unlink(missing_ok=True)
    body = describe_body(open_inputs(config, str(arguments.out)))

    # stages
    line = make_line(config, str(arguments.out), 0)
    stages = [(name, getattr(line, name)) for name in ("sampling", "generation", "mining", "filtering")]
    for _, stage in stages:
        stage.setup()

    # run
    samples = run_shard(config, stages, 0, 0)

    # report
    stats = write_shard(
        arguments.out, 0, 0, samples, {}, body=body, image_format=config.image.format, keep_rejects=False
    )
    size = sum(path.stat().st_size for path in arguments.out.rglob("*") if path.is_file())
    print(f"{stats.kept} of {stats.attempted} kept, {size / 1e3:.0f} kB in {arguments.out}")


if __name__ == "__main__":
    main()
