"""vecmill split in a process of its own: pipes, and real pages in two languages."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.flows.inside import vecmill_here
from tests.support import DATA, command, corpus

Captured = pytest.CaptureFixture[str]


def _page(name: str, path: str, folder: Path) -> tuple[Path, str]:
    """A page of a shared corpus as a file."""
    rows = corpus(name).select(["path", "text"]).to_pylist()
    text = str(next(row["text"] for row in rows if row["path"] == path))
    file = folder / Path(path).name
    file.write_text(text, "utf-8", newline="")
    return file, text


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("docs-fastapi-en-ja/en.parquet", "docs/en/docs/tutorial/body.md"),
        ("docs-fastapi-en-ja/ja.parquet", "docs/ja/docs/tutorial/body.md"),
    ],
)
def test_a_real_page_is_cut_exactly_by_each_splitter(
    name: str, path: str, tmp_path: Path, capsys: Captured
) -> None:
    file, text = _page(name, path, tmp_path)
    for splitter in ("markdown", "recursive", "sentence", "fixed", "semantic"):
        words = ("--splitter", splitter, "--max-tokens", "128", "--json")
        ran = vecmill_here(capsys, "split", str(file), *words)
        assert (ran.code, ran.err) == (0, "")
        assert all(chunk["text"] == text[chunk["start"] : chunk["end"]] for chunk in ran.json)
        assert max(chunk["tokens"] for chunk in ran.json) <= 128
        covered = "".join("".join(chunk["text"].split()) for chunk in ran.json)
        assert covered == "".join(text.split())


def test_structure_is_kept_better_by_markdown_than_by_windows_on_real_pages(
    tmp_path: Path, capsys: Captured
) -> None:
    _page("docs-fastapi-en-ja/en.parquet", "docs/en/docs/tutorial/body.md", tmp_path)
    _page("docs-ja-vue/vue-ja.parquet", "src/guide/essentials/class-and-style.md", tmp_path)
    ran = vecmill_here(capsys, "split", str(tmp_path), "--compare", "markdown,fixed", "--json")
    markdown, fixed = ran.json["splitters"]
    assert ran.json["documents"] == 2
    assert markdown["headings"]["broken"] == 0
    assert markdown["fences"]["broken"] == 0 < fixed["fences"]["broken"]
    assert markdown["ends"]["inside_word"] == 0 < fixed["ends"]["word"]


@pytest.mark.slow
def test_whoever_reads_the_beginning_only_has_read_enough(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("Water flows to the sea. " * 10_000)
    for words in (["--full"], ["--json"]):
        with subprocess.Popen(
            command("split", "long.txt", *words), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.read(100)
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(60) == 0


def test_standard_input_is_read_to_its_end(tmp_path: Path) -> None:
    text = "# 川\r\n\r\n川は流れる。\r\n" * 2
    ran = subprocess.run(
        command("split", "-", "--json"), cwd=tmp_path, input=text.encode(), capture_output=True, check=True
    )
    assert [line for line in ran.stdout.decode().splitlines() if '"text"' in line] == [
        '    "text": "# 川\\r\\n\\r\\n川は流れる。",',
        '    "text": "# 川\\r\\n\\r\\n川は流れる。",',
    ]


def test_a_terminals_width_is_kept_to(tmp_path: Path) -> None:
    (tmp_path / "wide.md").write_text(f"# 見出し\n\n{'川は山から海へ流れる。' * 30}\n", "utf-8")
    env = {**os.environ, "TERM": "xterm"}
    env.pop("COLUMNS", None)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    with subprocess.Popen(
        command("split", "wide.md"), cwd=tmp_path, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # which is how a terminal's end is told
            while part := os.read(ours, 65536):
                shown += part
        assert process.wait(60) == 0, shown.decode()
    os.close(ours)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).splitlines()
    assert b"\x1b[2m" in shown
    assert {cell_len(line) for line in lines if line.startswith("    │ 川")} == {60}
    assert max(map(cell_len, lines)) == 60


@pytest.mark.slow
def test_a_labelled_set_gives_the_known_score(capsys: Captured) -> None:
    folder = DATA / "cranfield-en"
    corpus("cranfield-en/docs.parquet")
    ran = vecmill_here(
        capsys,
        *("split", str(folder / "docs.parquet"), "--text", "text", "--id", "doc_id"),
        *("--queries", str(folder / "queries.parquet"), "--qrels", str(folder / "qrels.parquet")),
        *("--compare", "recursive,fixed", "--max-tokens", "192", "--json"),
    )
    recursive, fixed = ran.json["splitters"]
    assert 0.29 < recursive["ndcg@10"] < 0.35
    assert fixed["ndcg@10"] < recursive["high"]
