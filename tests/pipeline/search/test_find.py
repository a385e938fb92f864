"""search: one question to one version of one table, in the table's own space."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError, ProviderRefused, StoreRefused
from pipeline.job import Endpoint
from pipeline.objects import Objects
from pipeline.search.ask import MODES
from pipeline.search.find import search
from pipeline.space import Space
from tests.endpoint import Faults, MeteredEndpoint
from tests.support import LOCAL, job_for, metered, run, write_pages

_PAGES = {
    "rivers.md": "# Rivers\n\nRivers carry water from the mountains to the sea.",
    "bread.md": '# Bread\n\nKnead the dough, then bake it: "golden" crusts AND soft crumbs.',
    "stars.md": "# Stars\n\nTelescopes gather the light of distant stars.",
    "山.md": "# 山\n\n山の頂上には雪が残っている。",
    "都.md": "# 都\n\n東京都の人口は多い。",
    "料理.md": "# 料理\n\n味噌汁に豆腐とわかめを入れる。",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Version 1 has every page, version 2 lacks the rivers."""
    base = tmp_path_factory.mktemp("search")
    folder, at = write_pages(base / "docs", _PAGES), str(base / "store")
    run(job_for(folder, at))
    (folder / "rivers.md").unlink()
    run(job_for(folder, at))
    return at


def _found(store: str, query: str, **options: Any) -> list[str]:
    options = {"endpoint": Endpoint(), **options}
    return [hit["doc_id"] for hit in search(Objects(store), "docs", query, **options)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("query", "best"),
    [("telescopes and stars", "stars.md"), ("山に残る雪", "山.md"), ("豆腐の味噌汁", "料理.md")],
)
def test_every_mode_finds_the_page_that_is_meant(store: str, mode: str, query: str, best: str) -> None:
    assert _found(store, query, mode=mode)[0] == best


@pytest.mark.parametrize(
    ("mode", "own"),
    [
        ("vector", {"vector_score"}),
        ("text", {"text_score"}),
        ("hybrid", {"vector_score", "text_score"}),
        ("funnel", {"vector_score"}),
    ],
)
def test_a_hit_says_where_it_is_and_why_it_was_found(store: str, mode: str, own: set[str]) -> None:
    [hit] = search(Objects(store), "docs", "the light of stars", endpoint=Endpoint(), mode=mode, top_k=1)
    assert set(hit) == {"chunk_id", "doc_id", "uri", "start", "end", "heading_path", "text", "score", *own}
    assert hit["text"] == _PAGES["stars.md"][hit["start"] : hit["end"]]
    assert (hit["heading_path"], hit["uri"].startswith("file://")) == (["Stars"], True)


@pytest.mark.parametrize("mode", MODES)
def test_hits_come_best_first_as_many_as_asked_for_and_never_more_than_there_are(
    store: str, mode: str
) -> None:
    query = "the water of the mountains, the stars and the bread 山 都"
    everything = search(Objects(store), "docs", query, endpoint=Endpoint(), mode=mode, top_k=10**18)
    scores = [hit["score"] for hit in everything]
    assert scores == sorted(scores, reverse=True)
    assert 2 < len(everything) <= 5
    assert len({hit["chunk_id"] for hit in everything}) == len(everything)
    for top_k in (1, 2):
        assert (
            search(Objects(store), "docs", query, endpoint=Endpoint(), mode=mode, top_k=top_k)
            == (everything[:top_k])
        )


@pytest.mark.parametrize("mode", MODES)
def test_an_older_version_can_be_searched(store: str, mode: str) -> None:
    assert _found(store, "rivers and water", mode=mode, at=1)[0] == "rivers.md"
    assert "rivers.md" not in _found(store, "rivers and water", mode=mode)
    with pytest.raises(InputError, match="no version 3; it has 1 to 2"):
        _found(store, "rivers", mode=mode, at=3)


@pytest.mark.parametrize("mode", MODES)
def test_a_condition_narrows_before_the_ranking(store: str, mode: str) -> None:
    query = "telescopes, stars, bread, 山"
    assert _found(store, query, mode=mode, where="doc_id = 'bread.md'", top_k=1) == ["bread.md"]
    assert _found(store, query, mode=mode, where="array_has(heading_path, '山') and tokens < 99") == ["山.md"]
    assert _found(store, query, mode=mode, where="doc_id = 'nowhere'") == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "where",
    ["nope = 1", "doc_id", "", " ", "'", "ordinal = 'x'", "sum(tokens) > 1", "(select 1) = 1", "\udcff"],
)
def test_a_condition_that_cannot_be_used_is_bad_input(store: str, mode: str, where: str) -> None:
    with pytest.raises(InputError, match="--where"):
        _found(store, "stars", mode=mode, where=where)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "query",
    [
        *('"golden" crusts', "bake AND crusts", '"', "'", "+bread -stars", "dough~2", "bre*", "text:bread"),
        *("(", "bread^2", "NOT", "？", "😀", "\\", "\x00", "a" * 50_000),
    ],
)
def test_any_text_can_be_asked(store: str, mode: str, query: str) -> None:
    hits = _found(store, query, mode=mode)
    if "bread" in query or "crusts" in query:
        assert "bread.md" in hits


@pytest.mark.parametrize(
    ("query", "options", "said"),
    [
        ("", {}, "the query is empty"),
        (" \n　", {}, "the query is empty"),
        ("caf\udce9", {}, "not UTF-8"),
        ("stars", {"top_k": 0}, "--top-k is 0"),
        ("stars", {"mode": "magic"}, "no search mode 'magic'; choose one of vector, text, hybrid, funnel"),
        (
            "stars",
            {"space": Space("openai", "text-embedding-3-small", 64)},
            "local/wordllama@64.*openai/text-",
        ),
        ("stars", {"space": Space("local", "wordllama", 128)}, "local/wordllama@64.*local/wordllama@128"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    store: str, query: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        _found(store, query, **options)
    assert _found(store, "stars", space=LOCAL)


def test_a_table_that_is_not_there_is_refused_with_those_that_are(store: str) -> None:
    with pytest.raises(InputError, match=r"no table 'other' in .*; the store has docs"):
        search(Objects(store), "other", "stars", endpoint=Endpoint())


def test_an_empty_table_has_no_hits(tmp_path: Path) -> None:
    at = str(tmp_path / "store")
    folder = write_pages(tmp_path / "docs", {"a.md": "a"})
    run(job_for(folder, at))
    write_pages(folder, {"a.md": ""})
    run(job_for(folder, at))
    for mode in MODES:
        assert _found(at, "a", mode=mode) == []


def test_what_is_sent_for_a_query_is_its_prefix_and_the_query(tmp_path: Path) -> None:
    at = str(tmp_path / "store")
    folder = write_pages(tmp_path / "docs", {"a.md": "Rivers.", "b.md": "山。"})
    space = Space("openai", "text-embedding-3-small", 64, "passage: ", "query: ")
    with MeteredEndpoint(faults=Faults(poison_marker="poison")) as endpoint:
        reached = metered(endpoint.url)["endpoint"]
        run(job_for(folder, at, space=space, endpoint=reached))
        endpoint.ledger.reset()
        assert len(_found(at, "どこ?", endpoint=reached, mode="vector")) == 2
        assert [charge.text for charge in endpoint.ledger.charges] == ["query: どこ?"]
        _found(at, "Rivers", endpoint=reached, mode="text")
        assert endpoint.ledger.texts_billed == 1
        with pytest.raises(InputError, match=r"the query cannot be embedded: .*400"):
            _found(at, "poison", endpoint=reached)
        endpoint.faults = Faults(insufficient_quota=True)
        with pytest.raises(ProviderRefused):
            _found(at, "rivers", endpoint=reached)
    with pytest.raises(InputError, match="needs an API key"):
        _found(at, "rivers", endpoint=Endpoint(api_key=None))


def test_a_version_whose_files_are_gone_is_a_fault_of_the_store(tmp_path: Path) -> None:
    at = str(tmp_path / "store")
    run(job_for(write_pages(tmp_path / "docs", {"a.md": "Rivers."}), at))
    for path in Path(at).glob("tables/docs/*.lance/data/*"):
        path.unlink()
    for mode in MODES:
        with pytest.raises(StoreRefused):
            _found(at, "rivers", mode=mode)
