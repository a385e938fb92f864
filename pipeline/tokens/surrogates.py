"""Lone surrogates: no characters, but a text can hold them, and has to be counted all the same."""

import re

_SURROGATE = re.compile("[\ud800-\udfff]")

# Where a provider sees one at all, it sees a replacement character or its three bytes. This private
# character has three bytes, too, and no tokenizer here joins them with each other or with neighbours.
_STAND_IN = "\ue000"


def without_surrogates(text: str) -> str:
    """A text as long, with a character in place of each lone surrogate that has no fewer tokens."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub(_STAND_IN, text)
    return text
