"""What an operator does on the dashboard, done in a real browser."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.ledger import Ledger
from pipeline.objects import Objects
from tests.browser.conftest import Watched
from tests.dashboard import until
from tests.endpoint import Faults
from tests.support import rows

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def _picture(watched: Watched, name: str) -> None:
    """Keep what the browser shows, for people who want to see it."""
    folder = watched.up.folder / "pictures"
    folder.mkdir(exist_ok=True)
    watched.page.screenshot(path=folder / f"{name}.png")


def _choices(page: "Page") -> list[str]:
    """Open the first choice of a form; gives what can be chosen."""
    (page.locator(".p-modal").or_(page.locator("form"))).last.locator(
        ".p-select-button__control"
    ).first.focus()
    page.keyboard.press("Space")
    options = page.get_by_role("option")
    options.first.wait_for()
    return [option.inner_text().strip() for option in options.all()]


def _store(watched: Watched) -> str:
    return str(Path(watched.up.folder) / "store")


def test_deployments_appear_with_their_schedules_and_no_page_asks_an_outside_host(watched: Watched) -> None:
    page = watched.page
    watched.open("/deployments")
    for name in ("notes", "pages", "dear"):
        page.get_by_text(name, exact=True).first.wait_for()
    _picture(watched, "deployments")
    deployment = watched.up.deployment("ingest/notes")
    watched.open(f"/deployments/deployment/{deployment['id']}")
    page.get_by_text("At 04:30 AM every day").first.wait_for()
    watched.open(f"/deployments/deployment/{watched.up.deployment('ingest/pages')['id']}")
    page.get_by_text("Every 12 hours").first.wait_for()
    for path in ("/dashboard", "/runs", "/flows", "/work-pools", "/automations", "/events", "/settings"):
        watched.open(path)
        page.wait_for_load_state("networkidle")
    assert watched.hosts == {f"127.0.0.1:{watched.up.port}"}


def test_the_form_of_a_rerun_shows_titles_choices_and_defaults(watched: Watched) -> None:
    page = watched.page
    watched.open(f"/deployments/deployment/{watched.up.deployment('rerun/store')['id']}/run")
    page.get_by_text("Which run, and what is to be other than it was.").wait_for()
    for title in ("Run", "Scope (Optional)", "Another splitter (Optional)", "Another budget (Optional)"):
        page.get_by_text(title, exact=True).first.wait_for()
    page.get_by_text("failed: what is missing").wait_for()
    assert _choices(page) == ["failed", "all"]
    _picture(watched, "rerun-form")
    assert page.locator("textarea").last.input_value() == str(Path(_store(watched)))


def test_a_run_started_from_the_form_completes_and_its_artifacts_can_be_read(watched: Watched) -> None:
    page, up = watched.page, watched.up
    watched.open(f"/deployments/deployment/{up.deployment('ingest/notes')['id']}/run")
    page.get_by_text("From a source to a table").wait_for()
    before = {run["id"] for run in up.post("/flow_runs/filter")}
    page.get_by_role("button", name="Submit").click()
    named = {
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED", "RUNNING", "PENDING"]}}}
    }
    [run] = until(
        lambda: [one["id"] for one in up.post("/flow_runs/filter", named) if one["id"] not in before],
        120,
        "the run of the form is there",
    )
    found = up.wait(run, "COMPLETED")
    assert found["name"] == "ingest notes, by hand"
    assert {"vecmill", "table:notes"} <= set(found["tags"])
    watched.open(f"/runs/flow-run/{run}")
    page.get_by_text("Artifacts", exact=True).click()
    page.get_by_text("report", exact=True).first.click()
    page.get_by_text("Version 1 of notes is live").first.wait_for()
    _picture(watched, "report")
    shown = up.shown(run)
    assert {"plan", "report", "dead-letters"} <= shown.keys()
    assert "is a binary file, not text" in shown["dead-letters"]
    assert len(rows(_store(watched), "notes")) == 2


def test_a_run_cancelled_in_the_browser_stops_sending_and_keeps_what_is_paid(watched: Watched) -> None:
    page, up, endpoint = watched.page, watched.up, watched.endpoint
    run = up.run("ingest/pages")
    watched.open(f"/runs/flow-run/{run}")
    until(lambda: endpoint.ledger.texts_billed >= 4, 120, "the run sends")
    quick, endpoint.latency = endpoint.latency, 5.0  # else it is over before a busy browser has clicked
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Confirm").click()
    found = up.wait(run, "CANCELLED", seconds=30)
    endpoint.latency = quick
    paid = endpoint.ledger.texts_billed
    assert paid < 60
    assert found["end_time"] is not None
    [record] = [one for one in Ledger(Objects(_store(watched))).runs() if one["table"] == "pages"]
    assert (record["state"], record["error"], record["spent"]["texts"]) == ("cancelled", "interrupted", paid)
    assert "It was told to stop; what is paid is kept." in until(
        lambda: up.shown(run).get("failure"), 30, "the run says why it ended"
    )


def test_a_failed_run_says_why_and_is_rerun_from_the_form_and_retried_by_its_button(watched: Watched) -> None:
    page, up, endpoint = watched.page, watched.up, watched.endpoint
    endpoint.faults = Faults([None] * 5, rates={"insufficient_quota": 1.0})
    failed = up.wait(up.run("ingest/pages"), "FAILED")
    endpoint.faults = Faults()
    watched.open(f"/runs/flow-run/{failed['id']}")
    page.get_by_text("Artifacts", exact=True).click()
    page.get_by_text("failure", exact=True).first.click()
    page.get_by_text("ingest of pages ended early").first.wait_for()
    _picture(watched, "failure")
    text = up.shown(failed["id"])["failure"]
    assert "| what | ProviderRefused |" in text
    assert "| stage | embed |" in text

    watched.open(f"/deployments/deployment/{up.deployment('rerun/store')['id']}/run")
    page.locator("textarea").first.fill(failed["id"])  # as its page is named; the run's own id does, too
    page.get_by_role("button", name="Submit").click()
    named = {"flow_runs": {"tags": {"all_": ["table:pages"]}, "name": {"like_": "rerun"}}}
    [rerun] = until(lambda: up.post("/flow_runs/filter", named), 120, "the rerun of the form is there")
    up.wait(rerun["id"], "COMPLETED")
    assert endpoint.ledger.billed_more_than_once() == {}
    assert len(rows(_store(watched), "pages")) == 60

    billed = endpoint.ledger.texts_billed
    watched.open(f"/runs/flow-run/{failed['id']}")
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("button", name="Retry").last.click()
    up.wait(failed["id"], "SCHEDULED", "PENDING", "RUNNING", "COMPLETED")
    until(lambda: up.state(failed["id"]) == "COMPLETED", 150, "the retried run completes")
    assert endpoint.ledger.texts_billed == billed


def test_a_dear_run_waits_for_a_person_who_says_no_or_yes(watched: Watched) -> None:
    page, up, endpoint = watched.page, watched.up, watched.endpoint
    billed = endpoint.ledger.texts_billed
    for decision, ending in (("end the run", "FAILED"), ("approve", "COMPLETED")):
        run = up.run("ingest/dear")
        up.wait_for_a_person(run)
        assert endpoint.ledger.texts_billed == billed
        watched.open(f"/runs/flow-run/{run}")
        page.get_by_role("button", name="Resume").click()
        page.get_by_text("Plan of ingest of dear").wait_for()
        page.get_by_text("This is above 5 tokens.").wait_for()
        if decision != "approve":
            assert _choices(page) == ["approve", decision]
            page.get_by_role("option", name=decision).click()
        _picture(watched, f"approval-{ending.lower()}")
        page.get_by_role("button", name="Submit").click()
        until(lambda: up.state(run) not in ("PAUSED", "RUNNING"), 90, "the run has heard of it")  # noqa: B023
        assert up.state(run) == ending
    assert endpoint.ledger.texts_billed == billed + 1
