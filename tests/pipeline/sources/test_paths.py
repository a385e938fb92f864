"""Which files a folder, a file or a glob means."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.sources.paths import Paths, file_uri
from tests.support import write_pages

ALL = ("**/*.md", "**/*.txt")
ODD = [
    "with spaces.md",
    "日本語 ページ.md",
    "a#b.md",
    "100%.md",
    "%41.md",
    "[x] {y,z} (q)!.md",
    "深い/階層/頁.md",
]


def _found(uri: str, *patterns: str) -> list[str]:
    return [relative for relative, _ in Paths.parse(uri, patterns or ALL).find()]


def _too_deep(folder: Path) -> None:
    """Make folders within folders until their path is longer than the system takes."""
    above = os.open(folder, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("x" * 250, dir_fd=above)
        below = os.open("x" * 250, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(above)


def test_a_folder_means_its_files_of_the_kinds_asked_for_sorted_by_path(tmp_path: Path) -> None:
    write_pages(tmp_path, {"b.md": "", "a/c.txt": "", "a.md": "", "a/b/c/d.md": "", "e.rst": ""})
    assert _found(str(tmp_path)) == ["a.md", "a/b/c/d.md", "a/c.txt", "b.md"]


def test_a_file_means_itself_alone_whatever_its_kind_and_its_neighbours(tmp_path: Path) -> None:
    write_pages(tmp_path, {"a.rst": "", "b.md": "", ".hidden.md": ""})
    _too_deep(tmp_path)
    assert _found(str(tmp_path / "a.rst")) == ["a.rst"]
    assert _found(str(tmp_path / ".hidden.md")) == [".hidden.md"]


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("docs/*.md", ["a.md"]),
        ("docs/**/*.md", ["a.md", "en/b.md", "ja/頁.md", "ja/deep/c.md"]),
        ("docs/{en,ja}/*.{md,txt}", ["en/b.md", "en/b.txt", "ja/頁.md"]),
        ("docs/{en,ja/deep}/*.md", ["en/b.md", "ja/deep/c.md"]),
        ("docs/[ej]?/*.md", ["en/b.md", "ja/頁.md"]),
        ("doc*/a.md", ["docs/a.md"]),
    ],
)
def test_a_glob_means_the_files_that_match_relative_to_its_fixed_part(
    glob: str, expected: list[str], tmp_path: Path
) -> None:
    names = ["a.md", "en/b.md", "en/b.txt", "ja/頁.md", "ja/deep/c.md"]
    write_pages(tmp_path / "docs", dict.fromkeys(names, ""))
    assert _found(str(tmp_path / glob)) == sorted(expected)


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(tmp_path: Path) -> None:
    write_pages(tmp_path / "notes [x] {a,b}", {"a.md": "", "x/b.md": ""})
    assert _found(str(tmp_path / "notes [x] {a,b}")) == ["a.md", "x/b.md"]
    assert _found(str(tmp_path / "notes [x] {a,b}" / "*.md")) == ["a.md"]


def test_hidden_files_and_folders_are_left_out_unless_a_pattern_names_them(tmp_path: Path) -> None:
    write_pages(tmp_path, {"a.md": "", ".b.md": "", ".git/c.md": "", ".git/d/e.md": "", "f/.g/h.md": ""})
    assert _found(str(tmp_path)) == ["a.md"]
    assert _found(str(tmp_path), ".git/**/*.md") == [".git/c.md", ".git/d/e.md"]
    assert not Paths.parse(str(tmp_path), ALL).covers(file_uri(tmp_path / ".git/c.md"))


def test_a_folder_that_cannot_be_listed_is_an_error_and_not_a_folder_without_files(tmp_path: Path) -> None:
    write_pages(tmp_path, {"a.md": ""})
    _too_deep(tmp_path)
    with pytest.raises(InputError, match=r"cannot list .*: File name too long; nothing was changed"):
        _found(str(tmp_path))


def test_a_folder_that_vanishes_before_it_is_listed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    paths = Paths.parse(str(tmp_path / "docs"), ALL)
    (tmp_path / "docs").rmdir()
    with pytest.raises(InputError, match=r"cannot list .*docs: No such file or directory"):
        list(paths.find())


def test_a_glob_below_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot list .*gone: No such file or directory"):
        _found(str(tmp_path / "gone" / "*.md"))


@pytest.mark.parametrize("name", ["gone", "gone.md", "s3://bucket/docs", "~nobody-has-this-name/docs"])
def test_what_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(InputError) as raised:
        _found(name)
    assert str(raised.value).startswith(f"{name} does not exist; name a folder, a file or a glob")


def test_a_name_too_long_for_the_system_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: File name too long"):
        _found(str(tmp_path / ("x" * 300)))


def test_braces_that_mean_too_many_patterns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the braces of \{1\.\.5000\}\.md mean too many patterns"):
        _found(str(tmp_path), "{1..5000}.md")


def test_a_folder_can_be_named_by_its_uri(tmp_path: Path) -> None:
    write_pages(tmp_path / "日本 docs #1", {"a.md": ""})
    assert _found(file_uri(tmp_path / "日本 docs #1")) == ["a.md"]


def test_relative_paths_and_those_with_dots_mean_the_same_root(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    roots = {Paths.parse(str(tmp_path / name), ALL).root for name in ("a", "a/", "./a/.", "b/../a")}
    assert roots == {tmp_path / "a"}


def test_symbolic_links_to_files_are_followed_and_loops_of_folders_are_not(tmp_path: Path) -> None:
    write_pages(tmp_path / "docs", {"a.md": ""})
    (tmp_path / "docs" / "b.md").symlink_to("a.md")
    (tmp_path / "docs" / "loop").symlink_to(tmp_path / "docs")
    assert _found(str(tmp_path / "docs")) == ["a.md", "b.md"]


@pytest.mark.parametrize("name", ODD)
def test_a_file_of_any_name_is_found_alone_in_its_folder_and_covered_by_both(
    name: str, tmp_path: Path
) -> None:
    write_pages(tmp_path, {name: ""})
    assert _found(str(tmp_path)) == [name]
    assert _found(str(tmp_path / name)) == [Path(name).name]
    for source in (tmp_path, tmp_path / name):
        assert Paths.parse(str(source), ALL).covers(file_uri(tmp_path / name))


def test_a_neighbour_is_not_covered(tmp_path: Path) -> None:
    write_pages(tmp_path, {"docs/a.md": "", "docs-old/a.md": "", "docs/b.md": ""})
    folder, file = (Paths.parse(str(tmp_path / name), ALL) for name in ("docs", "docs/a.md"))
    assert not folder.covers(file_uri(tmp_path / "docs-old/a.md"))
    assert not folder.covers(file_uri(tmp_path / "docs/a.rst"))
    assert not file.covers(file_uri(tmp_path / "docs/b.md"))


def test_a_name_that_is_no_utf_8_has_a_uri_of_its_own_that_is_covered(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.md"))
    path.touch()
    paths = Paths.parse(str(tmp_path), ALL)
    assert file_uri(path).endswith("/%FF.md")
    assert [found for _, found in paths.find()] == [path]
    assert paths.covers(file_uri(path))


_name = st.text("ab.*?[]{},!~#%&()|\\ -日本é", min_size=1, max_size=6)
_path = st.builds(
    lambda folders, name, kind: "/".join([*folders, name + kind]),
    st.lists(_name.filter(lambda name: name not in (".", "..")), max_size=2),
    _name,
    st.sampled_from([".md", ".txt", ".rst"]),
)


@settings(max_examples=60, deadline=None)
@given(st.sets(_path, min_size=1, max_size=5))
def test_covers_agrees_with_find_for_whatever_names(names: set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in names:
            try:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).touch()
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                continue  # one example's file is another's folder
        files = {path for path in root.rglob("*") if path.is_file()}
        paths = Paths.parse(folder, ALL)
        found = {path for _, path in paths.find()}
        assert found == {path for path in files if paths.covers(file_uri(path))}
        visible = {path for path in files if "/." not in f"/{path.relative_to(root)}"}
        assert found == {path for path in visible if path.suffix in (".md", ".txt")}
        for path in files:
            assert [alone for _, alone in Paths.parse(str(path), ALL).find()] == [path]
