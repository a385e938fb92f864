"""Work grows with the text, not with its square, whatever the text is made of."""

from collections.abc import Callable, Sequence

import pytest

from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting import make
from tests.pipeline.splitting.support import Quarters, cpu_seconds

_SMALL, _TIMES = 6_000, 16

# Each makes a text of about so many characters.
_TEXTS: dict[str, Callable[[int], str]] = {
    "one long line": lambda size: "x" * size,
    "dots": lambda size: "." * size,
    "spaces": lambda size: " " * size,
    "line ends": lambda size: "\r\n" * (size // 2),
    "full stops": lambda size: "。" * size,
    "flags": lambda size: "🇦" * size,
    "one grapheme": lambda size: "a" + "\u0301" * size,
    "headings": lambda size: "# heading\n" * (size // 10),
    "sections under a huge title": lambda size: (
        "# " + "t" * (size // 2) + "\n" + "## s\n\nx\n\n" * (size // 20)
    ),
    "a heading full of spaces": lambda size: "# a" + " " * size + "b",
    "a heading full of braces": lambda size: "# " + "{#" * (size // 2),
    "a heading of paragraphs": lambda size: "line\n" * (size // 5) + "---\n",
    "an unclosed fence": lambda size: "```\n" + "x = 1\n" * (size // 6),
    "fences": lambda size: "```\n" * (size // 4),
    "an unclosed comment": lambda size: "<!--\n" + "x\n\n" * (size // 3),
    "unclosed front matter": lambda size: "---\n" + "a: b\n" * (size // 5),
    "a table": lambda size: "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * (size // 10),
    "one row": lambda size: "a|b\n" + "-|" * (size // 2) + "x",
    "a deep list": lambda size: "".join(" " * (at % 200) + "- a\n" for at in range(size // 100)),
    "ten thousand levels": lambda size: "- " * min(10_000, size // 2) + "x\n" * (size // 4),
    "levels line by line": lambda size: "".join("  " * at + "- a\n" for at in range(int(size**0.5))),
    "fences in items": lambda size: "- a\n  ```\n" * (size // 10),
    "fences in quotes": lambda size: "> ```\n" * (size // 6),
    "underlined headings": lambda size: "a\n---\n" * (size // 6),
    "underlined quotes": lambda size: "> q\n===\n" * (size // 8),
    "rules with bars": lambda size: "a|b\n|-|\n\n" * (size // 9),
    "one line of markers": lambda size: "- " * (size // 2) + "x",
    "quotes": lambda size: '."' * (size // 2),
}

# To the recursive splitter Markdown is text like any other.
_CASES = [("markdown", name) for name in _TEXTS] + [("recursive", name) for name in list(_TEXTS)[:7]]


@pytest.mark.parametrize(("kind", "name"), _CASES)
def test_sixteen_times_the_text_takes_less_than_forty_times_the_time(kind: str, name: str) -> None:
    splitter = make(SplitterSpec(kind, 64, 16), Quarters())
    small, large = (_TEXTS[name](size) for size in (_SMALL, _SMALL * _TIMES))
    # The best of some tries: the clock also shows what else the machine does.
    ratios = (cpu_seconds(splitter.split, large) / cpu_seconds(splitter.split, small) for _ in range(8))
    assert any(ratio < 40 for ratio in ratios)


@pytest.mark.parametrize(("kind", "name"), _CASES)
def test_each_character_is_counted_a_few_times_at_most(kind: str, name: str) -> None:
    class Metered(Quarters):
        characters = 0

        def count(self, texts: Sequence[str]) -> list[int]:
            self.characters += sum(map(len, texts))
            return super().count(texts)

    counter, text = Metered(), _TEXTS[name](_SMALL)
    make(SplitterSpec(kind, 64, 16), counter).split(text)
    assert counter.characters <= 10 * len(text) + 1000
