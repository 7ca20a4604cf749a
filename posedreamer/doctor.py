"""What a machine has, and what it lacks, to run the factory: `posedreamer doctor`.

Each check is a function that returns a `Check`; `run_checks` lists them in the order of a table. What could crash this process
(a broken torchvision, a missing OpenGL driver) is tried in a child process, several at once.
Nothing heavy is imported here.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

ASSETS = Path(__file__).parent / "assets"
ASSET_SUFFIXES = (".safetensors", ".npz")  # what a diff cannot show
GIB = 2**30

PROBES = {
    "torch": "import posedreamer, torch; print(torch.__version__, f'{torch.get_num_threads()} threads')",
    "torchvision": (
        "import posedreamer, torchvision; from torchvision.transforms import v2; "
        "print(torchvision.__version__, 'through the shim' if posedreamer.torchvision_shim._library else 'as shipped')"
    ),
    "diffusers": "import posedreamer, diffusers; from diffusers import StableDiffusionControlNetPipeline; "
    "print(diffusers.__version__)",
    "ray": "import ray, ray.data; print(ray.__version__)",
    "opengl": (
        "import os; os.environ.setdefault('PYOPENGL_PLATFORM', 'egl'); import numpy as np; np.infty = np.inf; "
        "import pyrender; r = pyrender.OffscreenRenderer(16, 16); from OpenGL import GL; "
        "r.render(pyrender.Scene(nodes=[pyrender.Node(camera=pyrender.PerspectiveCamera(1.0))])); "
        "print(GL.glGetString(GL.GL_RENDERER).decode())"
    ),
    "gpu": "import torch; print(*[torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())], sep=', ')",
}
PROBE_FIXES = {
    "torch": "pip install -e . (the pinned torch)",
    "torchvision": "pip install -e . (torchvision must be the release that belongs to the pinned torch)",
    "diffusers": "pip install -e .",
    "ray": "pip install -e .",
    "opengl": "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri libgles2; only the second rasteriser needs it",
}
OPTIONAL = ("opengl",)


class Check(NamedTuple):
    """One line of the table. fix is empty when nothing needs doing."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    fix: str = ""


def run_checks(run_dir: Path = Path(), assets: Path = ASSETS) -> list[Check]:
    """All checks, about ten seconds. run_dir: where a run would be written, for the disk space."""
    running = {name: _start(code) for name, code in PROBES.items()}
    checks = [check_python(), check_packages(), check_cores(), check_memory(), check_shared_memory()]
    checks += [check_disk(run_dir), check_assets(assets), check_smplx()]
    outcomes = {name: _finish(process) for name, process in running.items()}
    checks += [probe_check(name, *outcomes[name]) for name in PROBES if name != "gpu"]
    return [*checks, check_gpu(*outcomes["gpu"], has_driver=shutil.which("nvidia-smi") is not None)]


def is_healthy(checks: list[Check]) -> bool:
    """True when nothing failed; a warning says what is slower or missing, not what is broken."""
    return all(check.status != "fail" for check in checks)


def check_python() -> Check:
    """The interpreter against `requires-python`."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == (3, 11):
        return Check("python", "ok", found)
    return Check("python", "fail", f"{found}, expected 3.11", "make the environment with python3.11 -m venv .venv")


def check_packages(distribution: str = "posedreamer") -> Check:
    """Installed versions against the pins of pyproject.toml."""
    fix = "pip install -e ."
    try:
        lines = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return Check("packages", "warn", f"{distribution} is not installed, so its pins cannot be read", fix)
    pins = [line for line in lines if ";" not in line and "==" in line]  # the extras carry a marker
    wrong = []
    for name, version in (pin.split("==") for pin in pins):
        try:
            found = metadata.version(name.partition("[")[0]).partition("+")[0]
        except metadata.PackageNotFoundError:
            found = "nothing"
        if found != version:
            wrong.append(f"{name}: {found} is installed, {version} is pinned")
    if wrong:
        return Check("packages", "warn", "; ".join(wrong), fix)
    return Check("packages", "ok", f"all {len(pins)} as pinned")


def check_cores(needed: int = 2) -> Check:
    """Cores this process may use."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    status = "ok" if found >= needed else "warn"
    return Check(
        "cores", status, f"{found}", "" if status == "ok" else f"{needed} or more; the demo takes longer on one"
    )


def check_memory(needed_gib: float = 6.0, cgroup: Path = Path("/sys/fs/cgroup/memory.max")) -> Check:
    """Free memory, or what the container's limit leaves, whichever is less."""
    free = psutil.virtual_memory().available
    if cgroup.is_file() and (limit := cgroup.read_text().strip()) != "max":
        used = (
            int(cgroup.with_name("memory.current").read_text()) if cgroup.with_name("memory.current").is_file() else 0
        )
        free = min(free, int(limit) - used)
    status = "ok" if free >= needed_gib * GIB else "warn"
    fix = "" if status == "ok" else f"{needed_gib:g} GiB or more, or fewer actors per stage"
    return Check("memory", status, f"{free / GIB:.1f} GiB free", fix)


def check_shared_memory(path: Path = Path("/dev/shm"), needed_gib: float = 0.5) -> Check:
    """Room for Ray's object store; without it Ray writes to disk and is slow."""
    if not path.is_dir():
        return Check("shared memory", "warn", f"no {path}", "Ray will keep its objects on disk")
    free = shutil.disk_usage(path).free
    status = "ok" if free >= needed_gib * GIB else "warn"
    fix = "" if status == "ok" else "in a container: --shm-size=2g"
    return Check("shared memory", status, f"{free / GIB:.1f} GiB free in {path}", fix)


def check_disk(run_dir: Path, needed_gib: float = 2.0) -> Check:
    """Space where the run is written and where Ray spills; the less of the two decides."""
    existing = next(parent for parent in [run_dir.absolute(), *run_dir.absolute().parents] if parent.exists())
    places = {path: shutil.disk_usage(path).free / GIB for path in (existing, Path(tempfile.gettempdir()))}
    detail = ", ".join(f"{free:.1f} GiB free in {path}" for path, free in places.items())
    least = min(places.values())
    status = "ok" if least >= needed_gib else "warn" if least >= 0.2 else "fail"
    return Check(
        "disk", status, detail, "" if status == "ok" else f"free {needed_gib:g} GiB, or write elsewhere (--out)"
    )


def check_assets(assets: Path = ASSETS) -> Check:
    """Every embedded weight and table is there and is the one of SHA256SUMS, byte by byte."""
    listing = assets / "SHA256SUMS"
    if not listing.is_file():
        return Check("assets", "fail", f"{listing} is missing", "git checkout -- posedreamer/assets")
    expected = read_sums(listing)
    found = asset_sums(assets)
    wrong = [f"{name} is missing" for name in expected if name not in found]
    wrong += [f"{name} is another file" for name in expected if name in found and found[name] != expected[name]]
    if wrong:
        return Check("assets", "fail", "; ".join(wrong), "git checkout -- posedreamer/assets")
    if unlisted := sorted(set(found) - set(expected)):
        return Check("assets", "warn", f"not in SHA256SUMS: {', '.join(unlisted)}", "write_sums(), then commit")
    size = sum((assets / name).stat().st_size for name in found)
    return Check("assets", "ok", f"{len(found)} files, {size / 1e6:.1f} MB, sha256 right")


def read_sums(listing: Path) -> dict[str, str]:
    """Name -> sha256 of a listing in the format of sha256sum."""
    sums = {}
    for line in listing.read_text().splitlines():
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name:
            raise ValueError(f"{listing}: a line {line!r}, expected a sha256, two spaces and a name")
        sums[name] = digest
    return sums


def asset_sums(assets: Path = ASSETS) -> dict[str, str]:
    """Name (relative, with /) -> sha256 of every binary asset, in the order of names."""
    files = sorted(path for path in assets.rglob("*") if path.suffix in ASSET_SUFFIXES)
    return {path.relative_to(assets).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_sums(assets: Path = ASSETS) -> Path:
    """Writes SHA256SUMS anew; to be done in the commit that changes an asset. `sha256sum -c` reads it too."""
    listing = assets / "SHA256SUMS"
    listing.write_text("".join(f"{digest}  {name}\n" for name, digest in asset_sums(assets).items()))
    return listing


def check_smplx() -> Check:
    """The optional official loader; a default run does not need it, and its licence is non-commercial."""
    try:
        version = metadata.version("smplx")
    except metadata.PackageNotFoundError:
        return Check("smplx extra", "ok", "not installed; only the parity tests use it (pip install -e '.[smplx]')")
    return Check("smplx extra", "ok", f"{version} (non-commercial licence; only the parity tests use it)")


def probe_check(name: str, code: int, output: str) -> Check:
    """The outcome of a child process as a check."""
    if code == 0:
        return Check(name, "ok", output)
    status = "warn" if name in OPTIONAL else "fail"
    return Check(name, status, output or f"the process ended with {code}", PROBE_FIXES[name])


def check_gpu(code: int, output: str, has_driver: bool) -> Check:
    """A GPU that torch can use; none is needed by configs/nano.yaml."""
    if code == 0 and output:
        return Check("gpu", "ok", output)
    if has_driver:
        return Check(
            "gpu", "warn", "there is an NVIDIA driver, but torch sees no GPU", "install the CUDA build of torch"
        )
    return Check("gpu", "ok", "none; the nano configs run on the CPU, production configs want one")


def _start(code: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _finish(process: subprocess.Popen[str], timeout_s: float = 120.0) -> tuple[int, str]:
    """Exit code and the last line that says something: of stdout when it went well, of stderr otherwise."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return 124, f"no answer within {timeout_s:g} s"
    lines = (out if process.returncode == 0 else err).strip().splitlines()
    return process.returncode, lines[-1].strip() if lines else ""
