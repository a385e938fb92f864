"""What of a text to show for a query: where its words stand, and the part of the text around most of them."""

from collections.abc import Sequence
from itertools import groupby

import regex

Spans = list[tuple[int, int]]
"""Parts of a text, from one character up to another, in order."""

# Japanese is written without spaces: a change of script ends a word, and hiragana are mostly endings.
_WORD = regex.compile(r"\p{Han}+|[\p{Katakana}ー]+|\p{Hangul}+|[\p{L}\p{M}\p{N}--\p{Hiragana}]+", regex.V1)
_SHORTEST = 2  # letters of a word that is looked for inside others
_EVERYDAY = frozenset(
    {
        *("a", "an", "and", "are", "as", "at", "be", "but", "by", "can", "do", "does", "for", "from", "has"),
        *(
            "have",
            "how",
            "i",
            "if",
            "in",
            "into",
            "is",
            "it",
            "its",
            "me",
            "my",
            "no",
            "not",
            "of",
            "on",
            "or",
        ),
        *(
            "our",
            "so",
            "than",
            "that",
            "the",
            "their",
            "them",
            "then",
            "there",
            "these",
            "they",
            "this",
            "to",
        ),
        *("was", "we", "were", "what", "when", "where", "which", "who", "why", "will", "with", "you", "your"),
    }
)


def words_of(query: str) -> list[str]:
    """The words of a query that say something, the longest first."""
    found = {word.casefold() for word in _WORD.findall(query)}
    return sorted(found - _EVERYDAY or found, key=lambda word: (-len(word), word))


def marked(text: str, words: Sequence[str]) -> Spans:
    """Where words stand in a text, or for a longer Japanese one that is nowhere, where its parts do."""
    parts = [part for word in words for part in _looked_for(word, text)]
    if not parts:
        return []
    pattern = regex.compile("|".join(map(_expression, parts)), regex.IGNORECASE)
    return [found.span() for found in pattern.finditer(text)]


def around(text: str, spans: Spans, width: int) -> tuple[int, int]:
    """The part of a text, of `width` characters at most, that holds most of the spans; the first such."""
    if len(text) <= width:
        return 0, len(text)
    starts = [max(0, min(start - width // 4, len(text) - width)) for start, _ in spans] or [0]
    best = max(starts, key=lambda at: (sum(at <= start and end <= at + width for start, end in spans), -at))
    return best, best + width


def _looked_for(word: str, text: str) -> list[str]:
    if word in text.casefold() or not regex.fullmatch(r"\p{Han}{3,}", word):
        return [word]
    # A compound that the text does not have: the pairs of its characters that it has.
    pairs = (word[at : at + 2] for at in range(len(word) - 1))
    return [pair for pair, _ in groupby(pairs) if pair in text]


def _expression(part: str) -> str:
    escaped = regex.escape(part)
    if not regex.fullmatch(r"[\p{Latin}\p{N}]+", part):
        return escaped
    ending = r"\w{0,3}\b" if len(part) > _SHORTEST else r"\b"  # "star" in "stars", not in "startle"
    return rf"\b{escaped}{ending}"
