"""Identities: every name that must survive a restart is a hash of content.

Hashes are BLAKE2b cut to 128 bits, written as 32 hexadecimal digits.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def digest(*parts: str) -> str:
    """Hash strings so that no two different lists of parts collide by concatenation."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        # Lone surrogates occur in real text and have no UTF-8 form of their own.
        data = part.encode("utf-8", "surrogatepass")
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


def fingerprint(parameters: Mapping[str, Any]) -> str:
    """Name a set of parameters: equal parameters, in any order, give the same name."""
    return digest(json.dumps(parameters, sort_keys=True, ensure_ascii=False))


def chunk_id(doc_id: str, splitter: str, text_hash: str, occurrence: int) -> str:
    """Identify a chunk so that its id survives a shift of the text around it.

    `occurrence` counts equal texts within the document, from 0.
    """
    return digest(doc_id, splitter, text_hash, str(occurrence))


def new_run_id(now: datetime | None = None) -> str:
    """Name a run: its start in UTC, so that names sort by time, and 6 random digits."""
    return f"{now or datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
