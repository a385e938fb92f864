"""What every test stands on: a quiet environment, and nothing of the developer's own in it."""

import os
import tempfile
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
# Ports are used again: what one test's endpoint has spent is no other's.
_quotas = tempfile.TemporaryDirectory(prefix="vecmill-quotas-")
os.environ["VECMILL_QUOTA_DIR"] = _quotas.name
settings.register_profile("vecmill", deadline=None)  # a busy machine is no defect
settings.load_profile("vecmill")


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The URI of a store that does not exist yet."""
    return str(tmp_path / "store")
