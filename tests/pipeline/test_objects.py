"""Small objects by path, and storage errors in our own words."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from obstore.exceptions import GenericError

from pipeline.errors import InputError, StoreRefused
from pipeline.objects import Objects, store_errors


@pytest.fixture
def objects(store: str) -> Objects:
    return Objects(store, create=True)


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
    assert (objects.paths("nowhere"), objects.folders("nowhere")) == ([], [])


def test_deleting_what_another_deleted_already_is_no_error(objects: Objects) -> None:
    objects.put("a", b"")
    objects.delete("a")
    objects.delete("a")
    assert objects.get("a") is None


def test_a_place_is_given_as_other_libraries_take_it(store: str, objects: Objects) -> None:
    assert objects.at("cache/x.lance") == f"{store}/cache/x.lance"
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
    uses = (objects.get, lambda path: objects.put(path, b""), lambda path: objects.create(path, b""))
    for use in uses:
        with pytest.raises(InputError, match="cannot be a path in a store"):
            use(path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left for here; make room"),
        (OSError("LanceError(IO): No space left on device (os error 28)"), "no space left for here"),
        (GenericError("Generic error: No space left on device"), "no space left for here"),
        (PermissionError(13, "Permission denied"), "cannot be used at here: .*Permission denied"),
        (ValueError("LanceError(IO): Not a directory (os error 20)"), "cannot be used at here: LanceError"),
        (ValueError("Not found: /a/b.lance"), "cannot be used at here: Not found"),
        (OSError(), "cannot be used at here: OSError"),
        (GenericError("one line\nanother"), "at here: one line; vecmill doctor"),
    ],
)
def test_what_storage_raises_says_where_and_what_to_do(error: Exception, said: str) -> None:
    with pytest.raises(StoreRefused, match=said) as refused, store_errors("here"):
        raise error
    assert refused.value.exit_code == 7
    assert refused.value.__cause__ is error


def test_other_errors_are_let_through() -> None:
    for error in (ValueError("a defect"), KeyError("x"), InputError("bad"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, store_errors("here"):
            raise error
        assert raised.value is error
