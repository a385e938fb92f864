"""Small objects by path, on a folder and on object storage alike."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import InputError, StoreRefused
from pipeline.objects import Objects
from tests.storage import Meddler, S3Server


@pytest.fixture(params=["folder", "object storage"])
def objects(request: pytest.FixtureRequest) -> Objects:
    return Objects(request.getfixturevalue("store" if request.param == "folder" else "remote"), create=True)


def test_what_is_put_is_read_back_and_the_last_one_counts(objects: Objects) -> None:
    objects.put("a/日本 語.json", b"first")
    objects.put("a/日本 語.json", b"second")
    assert objects.get("a/日本 語.json") == b"second"
    assert objects.get("a/other") is None
    assert objects.get("a") is None


def test_an_object_is_created_once_by_whoever_comes_first(objects: Objects) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: objects.create("log/1.json", str(n).encode()), range(32)))
    assert made.count(True) == 1
    assert objects.get("log/1.json") == str(made.index(True)).encode()


def test_paths_are_those_below_a_folder_in_order(objects: Objects) -> None:
    for path in ("a/b/2", "a/b/1", "a/bc/3", "a/b"):
        if path != "a/b":
            objects.put(path, b"")
    assert objects.paths("a/b") == ["a/b/1", "a/b/2"]
    assert objects.paths("a") == ["a/b/1", "a/b/2", "a/bc/3"]
    assert objects.folders("a") == ["b", "bc"]
    assert sorted(objects.names("a/b")) == ["1", "2"]
    assert (objects.paths("nowhere"), objects.folders("nowhere"), objects.names("nowhere")) == ([], [], [])


def test_deleting_what_another_deleted_already_is_no_error(objects: Objects) -> None:
    objects.put("a", b"")
    objects.delete("a")
    objects.delete("a")
    assert objects.get("a") is None


def test_a_place_is_given_as_other_libraries_take_it(store: str) -> None:
    assert Objects(store, create=True).at("cache/x.lance") == f"{store}/cache/x.lance"
    assert Objects(f"file://{store}").at("x") == f"{store}/x"
    assert Objects(os.path.relpath(store)).uri == store
    assert Objects("s3://bucket/prefix/").at("x") == "s3://bucket/prefix/x"


def test_a_store_that_is_not_there_is_made_only_on_request(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no store at .*/new; ingest something first"):
        Objects(str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    Objects(str(tmp_path / "new" / "deep"), create=True)
    assert (tmp_path / "new" / "deep").is_dir()


def test_a_store_where_a_file_stands_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    for uri in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreRefused, match="cannot be used at"):
            Objects(str(uri), create=True)


@pytest.mark.parametrize("path", ["../outside", "a/../../b", "a//b", "a/./b", "a\nb", "a\0b", "\udcff"])
def test_a_path_that_leaves_the_store_or_is_none_is_bad_input(objects: Objects, path: str) -> None:
    uses = (
        objects.get,
        objects.names,
        lambda path: objects.put(path, b""),
        lambda path: objects.create(path, b""),
    )
    for use in uses:
        with pytest.raises(InputError, match="cannot be a path in a store"):
            use(path)


def test_many_objects_are_written_read_and_removed_in_their_order(objects: Objects) -> None:
    paths = [f"a/{n:02d}" for n in range(40)]
    objects.put_all((path, path.encode()) for path in paths)
    asked = [*reversed(paths), "a/none"]
    assert list(objects.get_all(asked)) == [*(path.encode() for path in reversed(paths)), None]
    objects.delete_all([*paths[1:], "a/none"])
    objects.delete_all([])
    assert objects.paths("a") == ["a/00"]


def test_what_fails_among_many_is_raised_and_the_rest_is_left(objects: Objects) -> None:
    objects.put("a", b"1")
    with pytest.raises(InputError, match="cannot be a path"):
        list(objects.get_all(["a", "../b", "a"]))


def test_many_requests_are_under_way_at_once_but_no_more_than_that(remote: str, meddler: Meddler) -> None:
    objects = Objects(f"{remote}?endpoint_url={meddler.url}&allow_http=true")
    objects.put_all((f"a/{n:03d}", b"") for n in range(100))
    assert 8 <= meddler.most <= 16
    meddler.forget()
    meddler.latency = 0.02
    assert len(list(objects.get_all(objects.paths("a"), ahead=4))) == 100
    assert meddler.most == 4
    meddler.forget()
    objects.delete_all(objects.paths("a"))
    assert [method for method, _ in meddler.seen] == ["GET", "POST"]


def test_that_a_server_keeps_conditions_is_proven_once_a_store(remote: str, meddler: Meddler) -> None:
    address = f"{remote}?endpoint_url={meddler.url}&allow_http=true"
    Objects(address, create=True)
    assert [method for method, _ in meddler.seen] == ["GET", "PUT", "PUT", "PUT"]
    meddler.forget()
    first = Objects(address)
    assert first.create("log/1.json", b"1")
    assert not first.create("log/1.json", b"2")
    assert [method for method, _ in meddler.seen] == ["GET", "PUT", "PUT"]
    meddler.forget()
    Objects(address).get("log/1.json")
    assert len(meddler.seen) == 1


def test_a_server_that_ignores_conditions_is_refused_before_anything_is_lost(
    s3: S3Server, remote: str, meddler: Meddler
) -> None:
    meddler.unconditional = True
    address = f"{s3.store('open-bucket')}?endpoint_url={meddler.url}&allow_http=true"
    for _ in range(2):
        with pytest.raises(StoreRefused, match=r"ignores conditional writes .*use a server that has them"):
            Objects(address, create=True)
    with pytest.raises(StoreRefused, match="ignores conditional writes"):
        Objects(address).create("tables/t/log/1.json", b"")
    assert Objects(address).paths("") == []


def test_a_proof_does_not_hold_at_another_server(s3: S3Server, remote: str, meddler: Meddler) -> None:
    store = s3.store("open-bucket")
    Objects(store, create=True)
    meddler.unconditional = True
    with pytest.raises(StoreRefused, match="ignores conditional writes"):
        Objects(f"{store}?endpoint_url={meddler.url}&allow_http=true", create=True)
