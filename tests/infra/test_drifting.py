"""Drift as a schedule asks for it: which version is compared, what is recorded, and what is an alarm."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.config import Config
from infra.drifting import drifted
from infra.evaluate_form import DriftConfig, EvaluateConfig
from infra.evaluating import evaluated
from pipeline.errors import GateFailed
from pipeline.ledger import Ledger
from pipeline.objects import Objects
from pipeline.store.log import Log
from tests.support import job_for, run, write_pages

_RIVERS = ["The river floods the meadow.", "After rain the river is high.", "A bridge crosses the river."]
_STARS = ["流星群は夜空に見えます。", "望遠鏡で夜空の星座を見ます。", "夜空の星座は季節で変わります。"]


def _pages(kind: str, texts: list[str], copies: range) -> dict[str, str]:
    return {f"{kind}-{n}-{copy}.md": f"{text} {copy}" for n, text in enumerate(texts) for copy in copies}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Version 2 has more of what 1 has; version 3 has pages in another language beside them."""
    base = tmp_path_factory.mktemp("drifting")
    folder = base / "docs"
    for pages in (
        _pages("en", _RIVERS, range(8)),
        _pages("en", _RIVERS, range(8, 14)),
        _pages("ja", _STARS, range(7)),
    ):
        run(job_for(write_pages(folder, pages), str(base / "store")))
    return str(base / "store")


def _config(store: str) -> Config:
    return Config.model_validate({"store": {"uri": store}})


def test_another_language_fails_the_evaluation_after_all_is_recorded_and_told(store: str) -> None:
    told: list[dict[str, object]] = []
    form = EvaluateConfig(table="docs", drift=DriftConfig(before="2"))
    with pytest.raises(GateFailed, match=r"table 'docs' has drifted: .*what is new in version 3 differs by"):
        evaluated(form, _config(store), told.append)
    record = Ledger(Objects(store)).runs()[0]
    assert (record["kind"], record["state"]) == ("evaluate", "failed")
    assert record["report"]["drift"]["alarm"] is True
    assert record["report"]["drift"]["new"]["documents_after"] == 21
    assert [one["run_id"] for one in told] == [record["run_id"]]


def test_more_of_the_same_is_no_alarm(store: str) -> None:
    found = evaluated(EvaluateConfig(table="docs@2", drift=DriftConfig(before="1")), _config(store))
    assert (found["drift"]["alarm"], found["drift"]["reasons"]) == (False, ())
    assert (found["drift"]["before"], found["drift"]["after"]) == ("version 1", "version 2")


def test_the_version_that_was_live_so_many_days_ago_is_the_one_to_compare_with(store: str) -> None:
    objects = Objects(store)
    log = Log(objects, "docs")
    live = log.live()
    long = drifted(objects, "docs", live, DriftConfig(days=30))
    assert long["before"] == "version 1"  # the table is younger
    since_second = (datetime.now(UTC) - log.at(2).time) / timedelta(days=1)
    since_third = (datetime.now(UTC) - live.time) / timedelta(days=1)
    between = drifted(objects, "docs", live, DriftConfig(days=(since_second + since_third) / 2))
    assert between["before"] == "version 2"


def test_where_nothing_was_published_since_there_is_nothing_to_tell(store: str) -> None:
    found = evaluated(EvaluateConfig(table="docs@1", drift=DriftConfig()), _config(store))
    assert found["drift"] == {
        "before": "version 1",
        "after": "version 1",
        "alarm": False,
        "reasons": [],
        "published_since": False,
    }


def test_an_evaluation_that_asks_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="or `pairs` of sentences, or `drift`"):
        EvaluateConfig(table="docs")
    assert EvaluateConfig(table="docs", drift=DriftConfig()).drift == DriftConfig()


def test_a_time_at_which_a_version_was_live_names_it(store: str, tmp_path: Path) -> None:
    objects = Objects(store)
    moment = Log(objects, "docs").at(2).time.isoformat()
    found = drifted(objects, "docs", Log(objects, "docs").live(), DriftConfig(before=moment))
    assert found["before"] == "version 2"
