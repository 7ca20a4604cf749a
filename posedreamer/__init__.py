"""posedreamer: a factory for images of people with exact 3D labels.

`open_shards(path_or_url)` reads what the factory wrote; `pipelines/generate.py` is where the line starts.
"""

from typing import TYPE_CHECKING, Any

from posedreamer import torchvision_shim

if TYPE_CHECKING:
    from posedreamer.storage.reader import open_shards as open_shards

__version__ = "0.1.0"
__all__ = ["__version__", "open_shards"]

torchvision_shim.install()


def __getattr__(name: str) -> Any:
    # Imported when first used: `import posedreamer` stays under 0.3 s.
    if name == "open_shards":
        from posedreamer.storage.reader import open_shards

        return open_shards
    raise AttributeError(f"module 'posedreamer' has no attribute {name!r}")
