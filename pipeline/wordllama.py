"""The small embedding model that the wordllama package carries: where it is, and its two files.

WordLlama (https://github.com/dleemiller/WordLlama, MIT) is a static model, Matryoshka-trained at
64, 128 and 256 dimensions. Only its data files are used: the package's own loader looks for them
in a folder that the wheel does not have, and gives NaN for empty text.
"""

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load
from tokenizers import Tokenizer

from pipeline.errors import InputError

MODEL = "wordllama"
DIMENSIONS = (64, 128, 256)

_WEIGHTS = (
    "weights/l2_supercat_256.safetensors",
    "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
)
_TOKENIZER = (
    "tokenizers/l2_supercat_tokenizer_config.json",
    "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
)


@cache
def tokenizer() -> Tokenizer:
    """The model's tokenizer; it neither pads nor truncates."""
    return Tokenizer.from_buffer(_read(*_TOKENIZER))


@cache
def weights() -> npt.NDArray[np.float32]:
    """One row a token: float32[32000, 256]."""
    return load(_read(*_WEIGHTS))["embedding.weight"].astype(np.float32)


def _read(name: str, sha256: str) -> bytes:
    # find_spec, since importing the package would run its own loader's imports.
    spec = importlib.util.find_spec("wordllama")
    path = Path(spec.origin).parent / name if spec and spec.origin else None
    if path is None or not path.is_file():
        raise InputError("the embedded model is missing; install the package wordllama==0.4.0.post1")
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise InputError(
            f"{name} of the package wordllama is not the file that vectors of local/wordllama are made "
            f"with (sha256 {found[:12]}…, not {sha256[:12]}…); install wordllama==0.4.0.post1"
        )
    return data
