"""Pipelines that several tests of alignment read."""

import pytest
from families import save_families


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Family -> folder of its pipeline."""
    return save_families(tmp_path_factory.mktemp("families"))
