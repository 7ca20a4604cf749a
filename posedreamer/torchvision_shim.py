"""Makes `import torchvision` work on a CPU build of torch.

torchvision's wheels are linked against CUDA. Beside a CPU torch its C++ extension is silently skipped, and the import then
fails because the operators `nms` and `qnms` have no schema; peft, timm, controlnet_aux and torchmetrics fail with it.
Declaring the two schemas before the first import is enough (the operators themselves stay unavailable and are not used
here). With a CUDA torch nothing is done.
"""

import importlib.abc
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from typing import Any

_library: Any = None  # torch drops the schemas when the handle is collected


def _declare_operators() -> None:
    global _library
    import torch

    if _library is not None or torch.version.cuda:
        return
    _library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        _library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


class _Hook(importlib.abc.MetaPathFinder):
    """Waits for the first import of torchvision, so that torch is not imported before somebody needs it."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != "torchvision":
            return None
        sys.meta_path.remove(self)
        _declare_operators()
        return importlib.util.find_spec(fullname)


def install() -> None:
    """Arms the hook, once; a no-op when torchvision is already imported."""
    if "torchvision" not in sys.modules and not any(isinstance(finder, _Hook) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Hook())
