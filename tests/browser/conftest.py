"""A browser, and a machine with everything up to look at."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.dashboard import BUSY, Up, pages
from tests.endpoint import MeteredEndpoint
from tests.support import write_pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
_TOML = """
[store]
uri = "store"

[pipelines.notes]
table = "notes"
source = {{ uri = "notes" }}
budget = {{ failures = 0.5 }}
schedule = {{ cron = "30 4 * * *", timezone = "Asia/Tokyo" }}

[pipelines.pages]
table = "pages"
source = {{ uri = "pages" }}
embedding = {{ {space}, batch_inputs = 1, max_in_flight = 2 }}
schedule = {{ interval = "12h" }}

[pipelines.dear]
table = "dear"
source = {{ uri = "dear" }}
approval = {{ tokens = 5 }}
embedding = {{ {space} }}
"""


@dataclass
class Watched:
    """What the tests look at: the machine, its provider, and the page that a browser shows."""

    up: Up
    endpoint: MeteredEndpoint
    page: "Page"
    hosts: set[str] = field(default_factory=set)  # that the page has asked

    def open(self, path: str) -> None:
        """Go to a page of the dashboard."""
        self.page.goto(f"{self.up.address}{path}")


@pytest.fixture(scope="module")  # a worker that Playwright holds on to could run no other event loop
def browser() -> "Iterator[Browser]":
    """Debian's chromium; the tests skip, and say so, where there is none."""
    found = shutil.which("chromium")
    if not found:
        pytest.skip("there is no chromium here; apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, headless=True, args=list(_FLAGS))


@pytest.fixture(scope="module")  # a worker that Playwright holds on to could run no other event loop
def machine(
    browser: "Browser", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Up, MeteredEndpoint]]:
    """vecmill up over three pipelines, two of which send to a metered endpoint."""
    folder: Path = tmp_path_factory.mktemp("machine")
    write_pages(folder / "notes", {"a.md": "# One\n\nText of one.", "ja.md": "# 二\n\n二の本文です。"})
    (folder / "notes" / "broken.md").write_bytes(b"\x00\x01\xff\xfe")
    write_pages(folder / "pages", pages(60))
    write_pages(folder / "dear", {"a.md": "# Dear\n\nA text that is dear. 高い文です。"})
    with MeteredEndpoint(key="sk-test", latency=0.3) as endpoint:
        space = (
            'provider = "openai", model = "text-embedding-3-small", dimensions = 64, '
            f'base_url = "{endpoint.url}"'
        )
        (folder / "vecmill.toml").write_text(_TOML.format(space=space))
        with Up(folder, {"OPENAI_API_KEY": "sk-test"}) as up:
            yield up, endpoint


@pytest.fixture
def watched(machine: tuple[Up, MeteredEndpoint], browser: "Browser") -> Iterator[Watched]:
    """A new page of the dashboard."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(60_000 * BUSY)
    page = context.new_page()
    seen = Watched(*machine, page)
    page.on("request", lambda request: seen.hosts.add(request.url.split("/")[2]))
    yield seen
    context.close()
