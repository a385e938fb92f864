"""Estimates of tokens, for models whose tokenizer is not to be had."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

_PARTS = 16  # the weights below are sixteenths of a token
_START = 4 * _PARTS  # a text's first tokens, and what short texts stray from their characters' mean
_LEAST = 4  # of all weights
_SLICE = 1 << 16  # characters weighed at once: a large text is never held several times
_ASTRAL = 0x10000  # stands for every character beyond the basic plane

# Whole tokens by bytes, with half a token more for the space that often goes before them.
_TWO_BYTES, _THREE_BYTES, _FOUR_BYTES = 40, 56, 72
_CYRILLIC = 20
_KANA, _KANJI = 18, 38
_ASCII = (
    (18, range(0x20, 0x7F)),  # punctuation, where nothing else is said
    (16, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    (20, b"0123456789"),  # many tokenizers give each a token, and end a word's token before it
    (10, b" "),
    # The rarer a letter, the more of its words are cut, or are no words.
    (_LEAST, b"etaoinsrhl"),
    (10, b"dcumfpgwy"),
    (20, b"bvkxjqz"),
)


class EstimatedTokens:
    """Estimates, for models whose tokenizer is not to be had: from above.

    min(bytes + 1, 4 + a weight a character). The first is the bound of every tokenizer that falls back
    on bytes, with one for the space that some put before a text. The second was fitted as small as it
    can be and never below the most that cl100k, o200k, Qwen's, Llama's and XLM-R's tokenizers gave on
    465,000 pieces: the documents, paragraphs, lines and slices of 200 to 1,000 characters of English and
    Japanese corpora; digits, hex, base64, random letters, JSON, white space; and every script. On slices
    of 1,000 characters it is 1.8 to 2.2 times over each of them in English, 1.4 to 2.4 in Japanese
    (`python -m tests.benchmarks.token_counters`). What can have more: kana or kanji in no order, as no
    text has them, and the few signs (ﷺ) that a tokenizer's normalisation spells out.
    """

    def count(self, texts: Sequence[str]) -> list[int]:
        """Estimate the tokens of each text."""
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        # The last, empty text may begin where the weights end.
        weights = np.append(_weights("".join(texts)), np.uint8(0))
        sums = np.add.reduceat(weights, np.cumsum(lengths) - lengths, dtype=np.int64) if texts else lengths
        sizes = np.array([len(text.encode("utf-8", "surrogatepass")) for text in texts], dtype=np.int64)
        counts: list[int] = np.where(lengths, _estimates(sums, sizes), 0).tolist()
        return counts


def _estimates(sums: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.minimum((sums + (_START + _PARTS - 1)) // _PARTS, sizes + 1)


def _weights(text: str) -> npt.NDArray[np.uint8]:
    """The weight of each character."""
    table = _table()
    weights = np.empty(len(text), np.uint8)
    for at in range(0, len(text), _SLICE):
        codes = _codes(text[at : at + _SLICE])
        weights[at : at + len(codes)] = table[np.minimum(codes, _ASTRAL)]
    return weights


def _codes(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


@cache
def _table() -> npt.NDArray[np.uint8]:
    """The weight of each character of the basic plane, and of those beyond."""
    table = np.full(_ASTRAL + 1, _THREE_BYTES, np.uint8)
    table[_ASTRAL] = _FOUR_BYTES
    table[:0x800] = _TWO_BYTES
    table[:0x80] = _PARTS  # control characters
    table[ord("А") : ord("я") + 1] = _CYRILLIC
    table[ord("ぁ") : ord("ん") + 1] = _KANA
    table[ord("ァ") : ord("ヶ") + 1] = _KANA
    table[[ord(sign) for sign in "ー・　、。「」"]] = _KANA
    table[[ord(sign) for sign in _common_kanji()]] = _KANJI
    for weight, signs in _ASCII:
        table[list(signs)] = weight
    return table


def _common_kanji() -> str:
    """The 2,965 kanji of JIS X 0208's first level, which is rows 16 to 47."""
    cells = [bytes((0xA0 + row, 0xA0 + cell)) for row in range(16, 48) for cell in range(1, 95)]
    return "".join(cell.decode("euc_jp", "ignore") for cell in cells)  # the last row is not full
