"""`import posedreamer` is quick and light, and torchvision can be imported after it beside a CPU torch."""

import subprocess
import sys

IMPORT_LIMIT_S = 0.3


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_is_quick_and_imports_no_torch() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import posedreamer; print(time.perf_counter() - start)\n"
        "heavy = {'torch', 'torchvision', 'numpy', 'ray', 'diffusers', 'cv2'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    # The quickest of three: the machine may be busy, the import itself does not get quicker by luck.
    assert min(float(run(code)) for _ in range(3)) < IMPORT_LIMIT_S


def test_torchvision_imports_and_works_after_it() -> None:
    code = (
        "import posedreamer, torch, torchvision\n"
        "from torchvision.transforms.functional import resize\n"
        "print(tuple(resize(torch.zeros(3, 8, 8), [4, 4]).shape))"
    )
    assert run(code) == "(3, 4, 4)"


def test_the_hook_is_armed_once_and_leaves_after_use() -> None:
    code = (
        "import sys; from posedreamer import torchvision_shim as shim\n"
        "count = lambda: sum(isinstance(finder, shim._Hook) for finder in sys.meta_path)\n"
        "shim.install(); assert count() == 1, count()\n"
        "import torchvision; assert count() == 0, count()\n"
        "shim.install(); assert count() == 0, count()"
    )
    run(code)


def test_other_imports_pass_the_hook_untouched() -> None:
    assert (
        run("import posedreamer, sys, colorsys; print('torch' in sys.modules, colorsys.__name__)") == "False colorsys"
    )
