"""The embedded model's tokens, counted from the units that no token reaches out of."""

import re
from collections.abc import Iterable, Sequence
from functools import cache

from tokenizers import Token, Tokenizer

from pipeline import wordllama
from pipeline.tokens.surrogates import without_surrogates

_BYTE = re.compile("<0x..>")  # the tokens that spell a character the vocabulary lacks
_SPECIAL = re.compile("<(?:unk|/?s)>")
_LETTERS = "A-Za-z\u00c0-\u06ff"  # Latin to Arabic: the scripts whose letters tokens join


class LocalTokens:
    """Counts with the embedded model's own tokenizer; exact. A lone surrogate is three tokens."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text."""
        units = _units()
        return [units.count(text) for text in texts]


class Units(dict[str, int]):
    """How many tokens a unit has more than characters: learned as units come, and at most so many kept.

    A unit is a word, a run of punctuation, or a run of spaces, with the spaces before it; or a single
    character that the vocabulary lacks. Between units, tokens end: none holds a space behind anything
    else, none joins letters and punctuation. Characters outside of units (digits, line ends, kana, most
    kanji) are a token each, since no token joins them with others. The tokenizer puts a space before
    each text; that is what makes a text's sum start at one.
    """

    def __init__(self, tokenizer: Tokenizer, kept: int = 1 << 16, longest: int = 64) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._model = tokenizer.model
        self._kept = kept
        self._longest = longest
        self.found = _pattern(tokenizer).findall  # the units of a text

    def __missing__(self, unit: str) -> int:
        extra = len(self._tokens(unit)) - len(unit)
        if len(unit) <= self._longest:
            if len(self) >= self._kept:
                self.clear()
            self[unit] = extra
        return extra

    def count(self, text: str) -> int:
        """The tokens of a text."""
        if not text:
            return 0
        if _SPECIAL.search(text):
            return len(self._tokenizer.encode(without_surrogates(text), add_special_tokens=False))
        spaced = _spaced(text)
        return len(spaced) + sum(map(self.__getitem__, self.found(spaced)))

    def _tokens(self, unit: str) -> list[Token]:
        found: list[Token] = self._model.tokenize(_underlined(unit))
        return found


@cache
def _units() -> Units:
    return Units(wordllama.tokenizer())


def _spaced(text: str) -> str:
    return " " + text.replace("\u2581", " ")


def _underlined(unit: str) -> str:
    return without_surrogates(unit).replace(" ", "\u2581")


def _pattern(tokenizer: Tokenizer) -> re.Pattern[str]:
    """What matches the units of a text, and passes over the characters between them.

    It begins with one set of characters, since the engine looks for such a beginning much faster.
    """
    vocabulary = [
        token.replace("\u2581", " ") for token in tokenizer.get_vocab() if not _BYTE.fullmatch(token)
    ]
    joined = set("".join(token for token in vocabulary if len(token) > 1))
    single = {token for token in vocabulary if len(token) == 1} | set(map(chr, range(128)))
    letter = re.compile(f"[{_LETTERS}]").match
    marks = _class(sign for sign in joined if sign != " " and not letter(sign))
    alone = _class(sign for sign in single - joined if not letter(sign))
    return re.compile(
        f"[^{alone}](?:"
        f"(?<= ) *(?:[{_LETTERS}]+|[{marks}]+)?"
        f"|(?<=[{_LETTERS}])[{_LETTERS}]*"
        f"|(?<=[{marks}])[{marks}]+"  # one alone is a token
        f"|(?<![{marks}]))"
    )


def _class(signs: Iterable[str]) -> str:
    return "".join(map(re.escape, sorted(signs)))
