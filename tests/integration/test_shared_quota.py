"""Two commands at once with one key keep the endpoint's limit together."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.endpoint import MeteredEndpoint
from tests.support import command, write_pages

_REQUESTS = 40  # of each command
_RPM = 600


def _pages(who: str) -> dict[str, str]:
    return {f"{n:02}.md": f"Page {n} of {who}. {who}の第{n}頁。" for n in range(_REQUESTS)}


@pytest.mark.slow
def test_two_commands_at_once_are_never_refused_and_take_no_longer_than_the_limit_asks(
    tmp_path: Path,
) -> None:
    with MeteredEndpoint(rpm=_RPM, burst_seconds=3, key="sk-test") as endpoint:
        options = {
            "--embedding": "openai/text-embedding-3-small@64",
            "--base-url": endpoint.url,
            "--rpm": str(_RPM),
            "--batch-inputs": "1",
            "--store": str(tmp_path / "store"),
        }
        env = {**os.environ, "OPENAI_API_KEY": "sk-test", "VECMILL_QUOTA_DIR": str(tmp_path / "quotas")}
        processes = []
        for who in ("one", "two"):
            folder = write_pages(tmp_path / who, _pages(who))
            words = [
                "ingest",
                str(folder),
                "--table",
                who,
                "--json",
                *(x for pair in options.items() for x in pair),
            ]
            processes.append(
                subprocess.Popen(command(*words), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            )
        for process in processes:
            _, said = process.communicate(timeout=120)
            assert process.returncode == 0, said
        assert endpoint.ledger.requests == 2 * _REQUESTS
        assert endpoint.ledger.rejected_429 == 0
