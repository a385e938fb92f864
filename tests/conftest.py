"""What every test stands on: a quiet environment, and nothing of the developer's own in it."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from infra.settings import be_quiet

for _name in (
    "PREFECT_API_URL",
    "RAY_ADDRESS",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "VECMILL_STORE",
    "VECMILL_CONFIG",
):
    os.environ.pop(_name, None)
be_quiet()
settings.register_profile("vecmill", deadline=None)  # a busy machine is no defect
settings.load_profile("vecmill")


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The URI of a store that does not exist yet."""
    return str(tmp_path / "store")
