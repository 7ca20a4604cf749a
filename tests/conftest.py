"""What tests of several folders share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SD 1.5 ControlNet pipeline in a folder."""
    from tiny_models import save_tiny

    return Path(save_tiny(tmp_path_factory.mktemp("tiny") / "sd15", xl=False))
