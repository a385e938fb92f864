"""Gives peers OpenAI's vocabulary offline: the file that tiktoken would download, and a tokenizer.json."""

import base64
import gzip
import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

ENCODING = "cl100k_base"
_URL = f"https://openaipublic.blob.core.windows.net/encodings/{ENCODING}.tiktoken"
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def for_tiktoken(folder: Path) -> None:
    """Fill tiktoken's cache, in a folder, with the file it would download; it checks what it finds there."""
    (folder / hashlib.sha1(_URL.encode(), usedforsecurity=False).hexdigest()).write_bytes(_file())
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)


def tokenizer_json(path: Path) -> Path:
    """Write the vocabulary as Hugging Face's tokenizers have it; chonkie's own tokenizer reads that."""
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, _file().splitlines())}
    merges = [
        " ".join(map(_printed, _last_merge(token, rank, ranks)))
        for token, rank in ranks.items()
        if len(token) > 1
    ]
    split = {"type": "Split", "pattern": {"Regex": _PATTERN}, "behavior": "Removed", "invert": True}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    vocabulary = {_printed(token): rank for token, rank in ranks.items()}
    content = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
        "decoder": level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    }
    path.write_text(json.dumps(content), "utf-8")
    return path


@cache
def _file() -> bytes:
    packed = files("bpe_openai").joinpath("data", f"{ENCODING}.tiktoken.gz").read_bytes()
    return gzip.decompress(packed)


def _last_merge(token: bytes, rank: int, ranks: Mapping[bytes, int]) -> tuple[bytes, bytes]:
    """The two tokens that the merge of a rank joins: what the merges before it leave of the token."""
    parts = [token[at : at + 1] for at in range(len(token))]
    while len(parts) > 2:
        joined = [ranks.get(one + other, rank) for one, other in pairwise(parts)]
        at = joined.index(min(joined))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts[0], parts[1]


def _printed(token: bytes) -> str:
    """A token in the characters that stand for bytes in such files, after GPT-2."""
    return "".join(map(_BYTES.__getitem__, token))


def _characters() -> dict[int, str]:
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + at) for at, byte in enumerate(others)}


_BYTES = _characters()
