"""The command line. Each verb is a few lines over the library; `posedreamer VERB --help` lists its options."""

import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
RunDir = Annotated[str, typer.Argument(help="A run directory.")]


@app.command()
def generate(
    config: Annotated[Path, typer.Option(help="YAML file of the run.")],
    out: Annotated[str, typer.Option(help="Run directory, local or a URL.")],
    samples: Annotated[int | None, typer.Option(help="Kept samples wanted; the same as --set samples=N.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same as --set seed=S.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="a.b=value, any field of the config.")] = None,
) -> None:
    """Generate a dataset, or go on with one that was interrupted."""
    from posedreamer.line import gather_overrides
    from posedreamer.line import generate as generate_dataset

    generate_dataset(config, out, gather_overrides(set_ or [], samples, seed))


@app.command()
def verify(run_dir: RunDir) -> None:
    """Check every sample of a run against its own label; exits 1 and lists the bad keys when any is untrue."""
    from posedreamer.bodies.catalog import load_body
    from posedreamer.storage.manifest import read_manifest
    from posedreamer.storage.verify import verify_run

    report = verify_run(run_dir, load_body(read_manifest(run_dir)["config"]["body"]))
    print(report)
    if not report.is_true:
        raise typer.Exit(1)


@app.command()
def gallery(
    run_dir: RunDir, out: Annotated[Path | None, typer.Option(help="HTML file; default RUN_DIR/report.html.")] = None
) -> None:
    """Write the run's gallery as one self-contained HTML file."""
    from posedreamer.report.gallery import write_gallery

    print(write_gallery(run_dir, out or Path(run_dir) / "report.html"))


@app.command()
def stats(run_dir: RunDir, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print counts, reasons, scores and seconds of a run."""
    from posedreamer.report.statistics import run_statistics

    statistics = run_statistics(run_dir)
    if as_json:
        print(json.dumps(statistics, indent=2))
    else:
        Console().print(statistics)


@app.command()
def refilter(
    run_dir: RunDir,
    set_: Annotated[list[str], typer.Option("--set", help="filters.<check>.<field>=value; may be repeated.")],
) -> None:
    """Decide a finished run anew by other thresholds, without a new picture; kept and rejected samples change places."""
    from posedreamer.line import filtering_stage, report
    from posedreamer.refilter import changed_filters
    from posedreamer.refilter import refilter as decide_anew

    config = changed_filters(run_dir, set_)
    console = Console()
    console.print(decide_anew(run_dir, config, filtering_stage(config)))
    report(config, run_dir, console)


@app.command()
def duplicates(
    run_dir: RunDir,
    reject: Annotated[bool, typer.Option("--reject", help="Reject them, but for the first of each.")] = False,
) -> None:
    """Find pictures that a run kept twice, across all its shards."""
    from posedreamer.config import Config
    from posedreamer.duplicates import find_duplicates, reject_duplicates
    from posedreamer.line import report
    from posedreamer.storage.manifest import read_manifest
    from posedreamer.strict import read_fields

    console, found = Console(), find_duplicates(run_dir)
    for duplicate in found:
        console.print(f"{duplicate.key} repeats {duplicate.original} (cosine {duplicate.cosine:.3f})")
    console.print(f"{len(found)} duplicates")
    if found and reject:
        reject_duplicates(run_dir, found)
        report(read_fields(Config, read_manifest(run_dir)["config"], run_dir, []), run_dir, console)


@app.command()
def funnel(run_dir: RunDir) -> None:
    """Show what each check took, what each took alone, and where its threshold would have to be to keep a twentieth more or less."""
    from posedreamer.report.funnel import funnel_table, read_funnel

    Console().print(funnel_table(read_funnel(run_dir)))


@app.command()
def coco(
    run_dir: RunDir,
    out: Annotated[Path, typer.Option(help="Folder for images and person_keypoints.json.")],
    detect: Annotated[
        bool, typer.Option("--detect", help="Write the judge's keypoints too, and print AP and AR.")
    ] = False,
) -> None:
    """Export the kept samples in COCO's keypoint format."""
    from posedreamer.coco_export import export_coco
    from posedreamer.estimators.keypoints import KeypointDetector

    figures = export_coco(run_dir, out, KeypointDetector(1).setup() if detect else None)
    if figures is not None:
        Console().print({name: round(value, 4) for name, value in figures._asdict().items()})
    Console().print(f"written: {out / 'person_keypoints.json'}", soft_wrap=True)


@app.command()
def curate(
    run_dir: RunDir,
    domain: Annotated[str, typer.Option(help="A domain of posedreamer/assets/domains, such as yoga.")],
    out: Annotated[str, typer.Option(help="Directory of the new dataset.")],
) -> None:
    """Cut the samples of one domain out of a run, as shards of the same contract."""
    from posedreamer.curation.domain import curate as cut_domain

    Console().print(cut_domain(run_dir, domain, out))


@app.command()
def mine(
    run_dir: RunDir,
    learner: Annotated[
        str | None, typer.Option(help="A learner's folder, or package.module:Class; asked about each kept sample.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file; default RUN_DIR/mining.json.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of the learner.")] = 1,
) -> None:
    """Say which regions of pose space a finished dataset is thin in, and which of its samples a learner fails on."""
    from posedreamer.mine import mine_dataset, to_text, write_report

    report = mine_dataset(run_dir, learner, threads)
    write_report(report, out or Path(run_dir) / "mining.json")
    print(to_text(report))


@app.command()
def doctor() -> None:
    """Say what this machine lacks, and how to get it; exits 1 when a run could not work."""
    from posedreamer.doctor import is_healthy, run_checks

    checks = run_checks()
    for check in checks:
        print(f"{check.status:5} {check.name}: {check.detail}" + (f"  [{check.fix}]" if check.fix else ""))
    if not is_healthy(checks):
        raise typer.Exit(1)


def main() -> None:
    """Entry point: a caller's mistake is one clear line on stderr, not a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
