"""A store on object storage: every command, what it is told, what it does not tell, and how it fails."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import pytest
from aiohttp import web

from pipeline.errors import StoreRefused
from pipeline.objects import Objects
from pipeline.store.log import Log
from tests.endpoint import MeteredEndpoint
from tests.flows.inside import vecmill_here
from tests.storage import Meddler, S3Server, refusing
from tests.support import Ran, job_for, metered, rows, run, vecmill, write_pages

Captured = pytest.CaptureFixture[str]

PAGES = {
    "rivers.md": "# Rivers\n\nRivers carry water from the mountains to the sea.",
    "星.md": "# 星\n\n夜空の星は望遠鏡で見る。",
    "bread.md": "# Bread\n\nKnead the dough and let it rise.",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "docs", PAGES)


def _json(capsys: Captured, *words: str) -> Any:
    ran = vecmill_here(capsys, *words, "--json")
    assert (ran.code, ran.err) == (0, "")
    return ran.json


def _ingest(folder: Path, *more: str) -> list[str]:
    return ["ingest", str(folder), "--table", "docs", *more]


@pytest.mark.slow
def test_every_command_works_there_as_on_a_folder(
    folder: Path, remote: str, store: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VECMILL_STORE", remote)
    planned = _json(capsys, "plan", str(folder), "--table", "docs")
    assert planned["to_embed"]["texts"] == 3
    assert Objects(remote).paths("") == []
    report = _json(capsys, *_ingest(folder))
    assert (report["version"], report["documents"]["new"]) == (1, 3)
    assert not _json(capsys, *_ingest(folder))["published"]
    (folder / "bread.md").unlink()
    assert _json(capsys, *_ingest(folder))["version"] == 2
    run(job_for(folder, store))
    assert _json(capsys, "search", "夜空の星", "--table", "docs", "--top-k", "1")[0]["doc_id"] == "星.md"
    assert _json(capsys, "search", "dough", "--at", "1", "--mode", "vector")[0]["doc_id"] == "bread.md"
    assert _json(capsys, "sql", 'select count(*) as n from docs union all select count(*) from "docs@1"') == [
        {"n": 2},
        {"n": 3},
    ]
    [table] = _json(capsys, "tables")
    assert (table["chunks"], table["uri"].startswith(f"{remote}/tables/docs/")) == (2, True)
    assert [version["version"] for version in _json(capsys, "versions", "docs")] == [2, 1]
    assert _json(capsys, "diff", "docs", "1", "2")["documents"]["removed"] == ["bread.md"]
    _json(capsys, "name", "docs", "1", "whole")
    assert len(_json(capsys, "search", "dough", "--at", "whole")) == 3
    assert _json(capsys, "rollback", "docs", "whole")["version"] == 3
    _json(capsys, "maintain")
    _json(capsys, "export", "docs", str(folder.parent / "docs.parquet"))
    assert len(rows(remote)) == 3
    assert {run["state"] for run in _json(capsys, "runs")} == {"finished"}
    assert _json(capsys, "dead-letters", "list") == []
    [checked] = [one for one in _json(capsys, "doctor") if one["check"] == "store"]
    assert checked["found"] == f"{remote}: writable, conditional writes work"


def test_a_table_there_has_the_rows_of_one_on_a_folder(folder: Path, remote: str, store: str) -> None:
    for address in (remote, store):
        run(job_for(folder, address))
    assert rows(remote).equals(rows(store))


def test_the_configuration_names_the_endpoint_and_both_libraries_go_there(
    s3: S3Server, folder: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, s3.env[name])
    settings = {"uri": f'"{s3.store()}"', "endpoint_url": f'"{s3.url}"', "region": '"us-east-1"'}
    lines = [f"{name} = {value}" for name, value in settings.items()]
    file = tmp_path / "vecmill.toml"
    file.write_text("\n".join(["[store]", *lines, "allow_http = true"]), "utf-8")
    config = ("--config", str(file))
    assert _json(capsys, *_ingest(folder), *config)["version"] == 1
    assert len(_json(capsys, "search", "rivers", *config)) == 3
    for words in (("versions", "docs"), ("maintain",), ("export", "docs", str(tmp_path / "docs.parquet"))):
        _json(capsys, *words, *config)
    [checked] = [one for one in _json(capsys, "doctor", *config) if one["check"] == "store"]
    assert f" at {s3.url}: writable" in checked["found"]
    # Another bucket or prefix is of the same server.
    assert _json(capsys, *_ingest(folder), *config, "--store", s3.store())["version"] == 1
    assert _json(capsys, *_ingest(folder), *config, "--store", str(tmp_path / "folder"))["version"] == 1
    file.write_text("\n".join(["[store]", *lines]), "utf-8")
    ran = vecmill_here(capsys, "tables", *config)
    assert (ran.code, "say allow_http = true" in ran.err) == (3, True)


def test_what_is_paid_for_goes_there_and_is_not_paid_for_again(folder: Path, remote: str) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        paid = metered(endpoint.url, batch_inputs=1)
        assert run(job_for(folder, remote, **paid)).embedding["texts"] == 3
        write_pages(folder, {"more.md": f"{PAGES['bread.md']}\n\n# More\n\nNew."})
        again = run(job_for(folder, remote, **paid))
        assert (again.embedding["texts"], again.embedding["cache_hits"]) == (1, 1)
        assert endpoint.ledger.billed_more_than_once() == {}
    assert Objects(remote).paths("spool") == []


@pytest.mark.slow
def test_workers_of_ray_find_their_way_there(folder: Path, remote: str, tmp_path: Path) -> None:
    with MeteredEndpoint(key="sk-test") as endpoint:
        words = [*_ingest(folder), "--embedding", "openai/text-embedding-3-small@64", "--store", remote]
        options = ["--base-url", endpoint.url, "--engine", "ray", "--batch-inputs", "1", "--json"]
        ran = vecmill(*words, *options, cwd=tmp_path, env={"OPENAI_API_KEY": "sk-test"})
        assert (ran.code, ran.err) == (0, "")
        assert ran.json["embedding"]["texts"] == 3
    assert len(rows(remote)) == 3


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name leaves room for the sockets that Ray puts into it."""
    with TemporaryDirectory(prefix="vm", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _contents(*folders: Path) -> Iterator[bytes]:
    for folder in folders:
        yield from (path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["inline", "ray"])
def test_no_credential_is_in_anything_that_is_written_or_printed(
    s3: S3Server, remote: str, meddler: Meddler, folder: Path, tmp_path: Path, short: Path, engine: str
) -> None:
    home, elsewhere = tmp_path / "home", short
    home.mkdir()
    env = {"HOME": str(home), "TMPDIR": str(elsewhere), "RAY_TMPDIR": str(elsewhere), "RUST_LOG": "debug"}
    env |= {"LANCE_LOG": "debug", "AWS_ENDPOINT_URL": meddler.url}

    def ran(*words: str, **more: str) -> Ran:
        return vecmill(*words, "--store", remote, cwd=tmp_path, env={**env, **more})

    printed = [ran(*_ingest(folder, "--engine", engine)), ran("runs", "--json"), ran("doctor", "--json")]
    assert [one.code for one in printed] == [0, 0, 0]
    meddler.rule = lambda request: refusing(
        403,
        "InvalidToken",
        f"{request.headers.get('authorization')} {request.headers.get('x-amz-security-token')}",
    )
    failed = ran("tables", AWS_SESSION_TOKEN="MARKERtoken")
    assert failed.code == 7
    meddler.rule = lambda _: None
    wrong = ran(*_ingest(folder), AWS_SECRET_ACCESS_KEY="MARKERwrong")
    assert wrong.code == 7
    shown = "".join(one.out + one.err for one in (*printed, failed, wrong)).encode()
    objects = Objects(remote)
    kept = [data for data in objects.get_all(objects.paths("")) if data]
    for text in (shown, *kept, *_contents(home, elsewhere)):
        for credential in (s3.secret, "MARKERtoken", "MARKERwrong"):
            assert credential.encode() not in text


@pytest.mark.slow
def test_a_server_that_is_out_of_order_now_and_then_does_not_disturb_a_run(
    folder: Path, remote: str, meddler: Meddler
) -> None:
    requests = iter(range(10**9))
    meddler.rule = lambda _: refusing(503, "SlowDown") if next(requests) % 3 == 0 else None
    address = f"{remote}?endpoint_url={meddler.url}&allow_http=true"
    assert run(job_for(folder, address)).version == 1
    meddler.rule = lambda _: None
    assert len(rows(address)) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "again"), [("/chunks/", 0), ("/spool/", 3), ("/cache/", 0), (".lance/data/", 0), ("/log/", 0)]
)
def test_a_server_that_goes_away_in_a_run_is_refused_and_the_next_run_pays_for_nothing_that_was_kept(
    folder: Path, remote: str, meddler: Meddler, monkeypatch: pytest.MonkeyPatch, place: str, again: int
) -> None:
    for name in ("_RETRIES", "_FIRST_RETRIES"):
        monkeypatch.setattr(f"pipeline.place.{name}", 0)
    monkeypatch.setattr("pipeline.claims._GONE", 1.0)  # the run's process, which is ours, goes on
    address = f"{remote}?endpoint_url={meddler.url}&allow_http=true"
    gone = Event()

    def go_away(request: web.Request) -> web.Response | None:
        """Answer nothing from the first write to a place on."""
        if request.method == "PUT" and place in request.path:
            gone.set()
        return refusing(503, "ServiceUnavailable") if gone.is_set() else None

    with MeteredEndpoint(key="sk-test") as endpoint:
        meddler.rule = go_away
        with pytest.raises(StoreRefused, match="out of order, and stayed so") as refused:
            run(job_for(folder, address, **metered(endpoint.url)))
        assert refused.value.exit_code == 7
        meddler.rule = lambda _: None
        assert Log(Objects(address), "docs").last() is None
        assert run(job_for(folder, address, **metered(endpoint.url))).version == 1
        # What was on its way is lost with the only place that it could be kept at.
        assert sum(endpoint.ledger.billed_more_than_once().values()) == 2 * again
    assert len(rows(address)) == 3


@pytest.mark.slow
def test_a_server_that_does_not_answer_in_time_is_refused(
    remote: str, meddler: Meddler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.place._FIRST_RETRIES", 0)
    meddler.latency = 60
    with pytest.raises(StoreRefused, match="does not answer in time"):
        Objects(f"{remote}?endpoint_url={meddler.url}&allow_http=true").get("a")


def test_doctor_says_what_a_server_that_ignores_conditions_lacks(
    s3: S3Server, remote: str, meddler: Meddler, capsys: Captured
) -> None:
    meddler.unconditional = True
    address = f"{s3.store('open-bucket')}?endpoint_url={meddler.url}&allow_http=true"
    ran = vecmill_here(capsys, "doctor", "--store", address, "--json")
    [checked] = [one for one in ran.json if one["check"] == "store"]
    assert (ran.code, checked["ok"]) == (3, False)
    assert "ignores conditional writes (If-None-Match)" in checked["mend"]


def test_a_store_that_cannot_be_committed_to_pays_for_nothing(
    s3: S3Server, folder: Path, remote: str, meddler: Meddler
) -> None:
    meddler.unconditional = True
    address = f"{s3.store('open-bucket')}?endpoint_url={meddler.url}&allow_http=true"
    with MeteredEndpoint(key="sk-test") as endpoint:
        with pytest.raises(StoreRefused, match="ignores conditional writes"):
            run(job_for(folder, address, **metered(endpoint.url)))
        assert not endpoint.ledger.charges
    assert Log(Objects(address), "docs").last() is None
