"""Pipelines that several tests of alignment read."""

from collections.abc import Iterator

import pytest
import torch
from families import save_families


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Nets of 16 channels: further threads only wait for each other, for ten times as long beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Family -> folder of its pipeline."""
    return save_families(tmp_path_factory.mktemp("families"))
