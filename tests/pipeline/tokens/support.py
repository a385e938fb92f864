"""Texts to count: hand-picked ones, generated ones, and all that the shared corpora have."""

import base64
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from unicodedata import category, is_normalized

import pytest
from hypothesis import strategies as st

from tests.support import corpus

TEXTS = [
    "",
    " ",
    "   ",
    "Rivers carry water.",
    "  Rivers  carry\n    water. ",
    "川は水を運ぶ。",
    "鬱蒼とした\u3000森",
    "a\0b",
    "👩\u200d👧",
    "<|endoftext|>",
    "</s>",
    "one<s>two</s></s> three<unk>",
    "\u2581under\u2581lined",
    "\r\n\t",
    "| --- | :-: |\r\n",
    "naïve façade, Ŝtono, Привет, ΜΟΛΩΝ λαβέ",
    "x" * 100,
    "2026-11-26T12:34:56",
]

_COLUMNS = {
    "cranfield-en/docs": ("title", "author", "text"),
    "cranfield-en/queries": ("text",),
    "docs-en-prefect/prefect-docs": ("path", "text"),
    "docs-en-rust-rfcs/rfcs": ("path", "text"),
    "docs-fastapi-en-ja/en": ("path", "text"),
    "docs-fastapi-en-ja/ja": ("path", "text"),
    "docs-ja-js-primer/js-primer": ("path", "text"),
    "docs-ja-vue/vue-ja": ("path", "text"),
    "jglue-ja/jsquad-valid-docs": ("title", "text"),
    "jglue-ja/jsquad-valid-queries": ("text",),
    "jglue-ja/jsts-valid": ("sentence1", "sentence2"),
    "openai-vectors/bioc-vignettes-31-large": ("package",),
    "openai-vectors/movies-es-62": ("text",),
    "stsb-en/stsb-en-dev": ("sentence1", "sentence2"),
    "stsb-en/stsb-en-test": ("sentence1", "sentence2"),
}
_LARGE = {name for name in _COLUMNS if name.startswith("docs-") or name == "cranfield-en/docs"}

CORPORA = [pytest.param(name, marks=pytest.mark.slow if name in _LARGE else ()) for name in _COLUMNS]

# What is a letter in Unicode 17 and nothing in this Python's is not agreed between tokenizers either.
_ANY = st.text(st.characters(exclude_categories=("Cn", "Cs")), max_size=12)
_SPELT = st.sampled_from(
    [" ", "  ", "\n", "\r\n", " the", "ing", "。", "川", "鬱", "を", "é", "...", "<s>", "</s>", "7", "—"]
)

documents = st.lists(st.one_of(_SPELT, _ANY), max_size=30).map("".join)
"""Texts of what tokenizers join and of what they do not, in any order."""


def texts_of(name: str) -> list[str]:
    """Every text of a shared corpus once; the test is skipped where it is absent."""
    table = corpus(f"{name}.parquet")
    return sorted({text for column in _COLUMNS[name] for text in table[column].to_pylist() if text})


def pieces_of(texts: Iterable[str]) -> Iterator[str]:
    """Texts whole, by paragraph, by line, and in slices as large as chunks are."""
    for text in texts:
        yield text
        yield from text.split("\n\n")
        yield from text.split("\n")
        for size in (200, 500, 1000):
            yield from (text[at : at + size] for at in range(0, len(text), size))


def generated(size: int) -> dict[str, str]:
    """Texts of so many characters, about, that no prose is like; the same ones each time."""
    chance = random.Random(size)
    drawn = {name: _drawn(signs, size, chance) for name, signs in _alphabets().items()}
    raw = chance.randbytes(size)
    rows = [{"id": chance.randrange(10**9), "at": chance.random(), "ok": None} for _ in range(size // 50 + 1)]
    return drawn | {
        "base64": base64.b64encode(raw).decode(),
        "base32": base64.b32encode(raw).decode(),
        "base85": base64.b85encode(raw).decode(),
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "JSON": json.dumps(rows, separators=(",", ":")),
        "numbers": " ".join(str(chance.randrange(10 ** chance.randrange(1, 8))) for _ in range(size // 4)),
        "table": "\n".join(
            ",".join(f"{chance.uniform(-99, 99):.4f}" for _ in range(8)) for _ in range(size // 60)
        ),
    }


def _alphabets() -> dict[str, Sequence[str]]:
    """The letters of every script outside Japanese, and the signs of ASCII by kind."""
    lower = "abcdefghijklmnopqrstuvwxyz"
    blocks = {
        f"U+{start:04X}": [chr(code) for code in range(start, start + 256)]
        for start in (
            *range(0x100, 0x3000, 256),
            *range(0xA000, 0xD700, 256),
            0xF900,
            0xFE00,
            0x10300,
            0x1F300,
            0x20000,
        )
    }
    found: dict[str, Sequence[str]] = {
        "digits": "0123456789",
        "lower case": lower,
        "upper case": lower.upper(),
        "ASCII": [chr(code) for code in range(32, 127)],
        "white space": " \t\n\r",
        "control characters": [chr(code) for code in range(32)],
        "emoji": ["👩", "\u200d", "👧", "🏽", "🇯", "🇵", "❤️", "🎉"],
        "a space after each": [f"{sign} " for sign in lower + "0123456789#*-"],
    }
    for name, signs in blocks.items():
        # What normalisation takes apart can have more tokens than bytes.
        known = [sign for sign in signs if category(sign) not in ("Cn", "Cs") and is_normalized("NFC", sign)]
        if known:
            found[name] = known
    return found


def _drawn(signs: Sequence[str], size: int, chance: random.Random) -> str:
    return "".join(chance.choices(signs, k=size))
