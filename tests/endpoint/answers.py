"""The response side of the protocol: deterministic vectors, their encoding, the faults that spoil them."""

import json
from base64 import b64encode
from hashlib import sha256

import numpy as np
import orjson
from numpy.typing import NDArray

from .faults import Fault
from .wire import Call, native_dimensions

Vector = NDArray[np.float32]  # (dimensions,)

GARBAGE = b'{"object": "list", "data": [{"object": "embed'


def vector(model: str, text: str, dimensions: int) -> Vector:
    """The L2-normalised vector of a text: equal for equal model and text, unrelated to what the text means.

    Fewer dimensions are the head of the full vector, normalised again, as with the real models.
    """
    seed = int.from_bytes(sha256(f"{model}\0{text}".encode()).digest())
    full = np.random.default_rng(seed).standard_normal(native_dimensions(model), dtype=np.float32)
    head = full[:dimensions]
    return np.asarray(head / np.linalg.norm(head), dtype=np.float32)


def answer(call: Call, fault: Fault | None) -> bytes:
    """The body that answers a call, spoiled as the fault says; most kinds of fault spoil no body."""
    if fault is Fault.GARBAGE:
        return GARBAGE
    vectors = _vectors(call, fault)
    as_base64 = call.base64 and fault is not Fault.FLOAT_ONLY
    entries = [
        {"object": "embedding", "index": index, "embedding": _encoded(row, as_base64)}
        for index, row in enumerate(vectors)
    ]
    if fault is Fault.SHUFFLED:
        # Reversed rather than drawn: a random order is now and then the right one.
        entries.reverse()
    total = sum(call.tokens)
    body = {
        "object": "list",
        "data": entries,
        "model": call.model,
        "usage": {"prompt_tokens": total, "total_tokens": total},
    }
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _vectors(call: Call, fault: Fault | None) -> list[Vector]:
    size = call.dimensions
    if fault is Fault.WRONG_DIMENSIONS:
        size = size - 1 or 2
    elif fault is Fault.IGNORE_DIMENSIONS:
        size = native_dimensions(call.model)
    vectors = [vector(call.model, text, size) for text in call.texts]
    if fault is Fault.SHORT:
        vectors.pop()
    elif fault is Fault.LONG:
        vectors.append(vectors[-1])
    elif fault is Fault.NAN:
        vectors[len(vectors) // 2][size // 2] = np.nan
    return vectors


def _encoded(row: Vector, as_base64: bool) -> str | Vector | orjson.Fragment:
    if as_base64:
        return b64encode(row.astype("<f4").tobytes()).decode()
    # orjson would write null for NaN; the servers that let one slip are in Python and write NaN.
    return orjson.Fragment(json.dumps(row.tolist())) if np.isnan(row).any() else row
