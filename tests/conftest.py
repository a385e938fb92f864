"""What every test stands on: a quiet environment, and nothing of the developer's own in it."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from infra.settings import be_quiet
from tests.storage import Meddler, S3Server

for _name in (
    "PREFECT_API_URL",
    "RAY_ADDRESS",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "VECMILL_STORE",
    "VECMILL_CONFIG",
):
    os.environ.pop(_name, None)
for _name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
    del os.environ[_name]
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


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server for all tests that ask for one."""
    with S3Server() as server:
        yield server


@pytest.fixture
def remote(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a store on object storage that is empty; this process and its children can reach it."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    return s3.store()


@pytest.fixture
def meddler(s3: S3Server) -> Iterator[Meddler]:
    """A proxy before the S3 server."""
    with Meddler(target=s3.url) as proxy:
        yield proxy


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests wait for servers and for processes that they start."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what is given more time than others, lest one process be left with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)
