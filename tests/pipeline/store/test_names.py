"""Names of versions: given once, moved only when asked to."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from pipeline.errors import InputError, StoreRefused
from pipeline.objects import Objects
from pipeline.store.names import Names, check_name


@pytest.fixture
def names(store: str) -> Names:
    return Names(Objects(store, create=True), "docs")


def test_a_version_can_have_several_names_and_a_name_one_version(names: Names) -> None:
    assert names.all() == {}
    for name in ("v-2026-11", "reviewed_1", "v1.0"):
        names.give(1, name)
    names.give(2, "V2")
    assert names.all() == {"v-2026-11": 1, "reviewed_1": 1, "v1.0": 1, "V2": 2}
    assert (names.find("V2"), names.find("v2"), names.find("../log/1")) == (2, None, None)


def test_a_name_that_is_taken_is_moved_only_when_asked_to(names: Names) -> None:
    names.give(1, "good")
    names.give(1, "good")
    with pytest.raises(InputError, match="version 1 of table 'docs' is called good already; say --move"):
        names.give(2, "good")
    assert names.find("good") == 1
    names.give(2, "good", move=True)
    assert names.all() == {"good": 2}


def test_of_many_who_give_one_name_to_two_versions_one_version_gets_it(names: Names) -> None:
    start = Barrier(8)

    def race(racer: int) -> bool:
        start.wait()
        try:
            names.give(1 + racer % 2, "good")
        except InputError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(race, range(8)))
    assert won == [1 + racer % 2 == names.find("good") for racer in range(8)]


def test_a_name_is_taken_away_and_free_again(names: Names) -> None:
    names.give(1, "good")
    assert names.remove("good") == 1
    assert names.all() == {}
    with pytest.raises(InputError, match="no version of table 'docs' is called 'good'; it has no named vers"):
        names.remove("good")
    names.give(2, "good")
    with pytest.raises(InputError, match="no version of table 'docs' is called 'bad'; its names are good"):
        names.remove("bad")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "cannot name a version"),
        ("-x", "cannot name a version"),
        (".", "cannot name a version"),
        ("a/b", "cannot name a version"),
        ("a b", "cannot name a version"),
        ("a\n", "cannot name a version"),
        ("良い", "cannot name a version"),
        ("x" * 101, "cannot name a version"),
        ("12", "is a version's number, not a name; put a letter before it: v12"),
        ("2026-11-26", "is read as a time, not as a name; put a letter before it: v-2026-11-26"),
        ("2026-W48", "is read as a time"),
        ("live", "is always the live version"),
    ],
)
def test_what_would_be_read_as_something_else_is_no_name(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_name(name)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"version": "x"}', b'{"version": 1'])
def test_a_damaged_name_is_said_and_can_be_given_again(names: Names, store: str, content: bytes) -> None:
    Objects(store).put("tables/docs/names/good.json", content)
    with pytest.raises(StoreRefused, match=r"names/good\.json is damaged"):
        names.find("good")
    names.give(2, "good", move=True)
    assert names.all() == {"good": 2}
