"""What a model's folder holds: tokenizer, weights, and what its configuration says.

The layouts are those of sentence-transformers (modules.json, 1_Pooling/config.json) and of ONNX exports
(model.onnx beside tokenizer.json, or in a folder onnx below it).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import ids
from pipeline.errors import InputError
from pipeline.space import POOLINGS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MODULES = "modules.json"
TOKENIZER = "tokenizer.json"

_PLAIN = ("Transformer", "Pooling", "Normalize")  # modules that are done here behind or beside a graph
_COSMETIC = ("_name_or_path", "transformers_version")  # what changes no vector
# Models whose positions begin behind the padding token's id: so many fewer tokens fit.
_SHIFTED = ("camembert", "mpnet", "roberta", "xlm-roberta")
_NO_LIMIT = 1_000_000  # tokens; tokenizers say 1e30 where they know of none
_SHORT = {"cls_token": "cls", "mean_tokens": "mean", "lasttoken": "last"}  # older names of poolings


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on this machine."""

    name: str  # of its space, as people write it
    path: Path  # the folder
    graph: Path | None = None  # the ONNX graph that is run; None: the library runs the model

    @property
    def place(self) -> Path:
        """What the model is found by again."""
        return self.graph or self.path

    @property
    def tokenizer(self) -> "Tokenizer":
        """The model's tokenizer; it neither pads nor truncates."""
        return tokenizer_at(self.path / TOKENIZER)

    @property
    def padding(self) -> int:
        """The id of the token that fills rows up."""
        said: int | None = self._json("config.json").get("pad_token_id")
        known = (self.tokenizer.token_to_id(token) for token in ("[PAD]", "<pad>"))
        return said if said is not None else next((one for one in known if one is not None), 0)

    @property
    def longest(self) -> int:
        """Tokens that the model takes in a text, those that it puts around each left out."""
        bound = min(self._bounds(), default=0)
        taken: int = self.tokenizer.num_special_tokens_to_add(is_pair=False)
        if bound <= taken:
            raise InputError(
                f"{self.name}: nothing in {self.path} says how many tokens the model takes; "
                'put {"max_seq_length": 512}, with its own number, into sentence_bert_config.json there'
            )
        return bound - taken

    def _bounds(self) -> Iterator[int]:
        config, own = self._json("config.json"), self._json("sentence_bert_config.json")
        if own.get("do_lower_case"):
            raise InputError(
                f"{self.name}: {self.path}/sentence_bert_config.json asks for do_lower_case, which is not "
                "done here; take a model whose tokenizer does it"
            )
        if positions := config.get("max_position_embeddings"):
            shift = config.get("pad_token_id", 0) + 1 if config.get("model_type") in _SHIFTED else 0
            yield positions - shift
        if longest := own.get("max_seq_length"):
            yield longest
        elif 0 < (longest := self._json("tokenizer_config.json").get("model_max_length", 0)) < _NO_LIMIT:
            yield int(longest)

    def pooling(self) -> str | None:
        """How the vectors of tokens become that of a text; None where the folder does not say.

        Raises InputError where it is a way that is not done here.
        """
        said = self._pooling()
        if not said:
            return None
        other = next((kind for kind, _ in self.modules() if kind not in _PLAIN), None)
        if other:
            raise InputError(
                f"{self.name}: {self.path}/{MODULES} has a module {other}, which is not done here; export a "
                "graph that does it and has an output sentence_embedding, and say --pooling none"
            )
        modes = _modes(said)
        if len(modes) != 1 or modes[0] not in POOLINGS:
            raise InputError(
                f"{self.name}: {self.path} pools by {' and '.join(modes) or 'nothing known'}; "
                f"what is done here is {', '.join(POOLINGS)}"
            )
        return modes[0]

    def dimensions(self) -> int | None:
        """How many dimensions vectors have by the configuration; None where it does not say."""
        said = self._pooling()
        if any(kind == "Dense" for kind, _ in self.modules()) or len(_modes(said)) > 1:
            return None
        found: int | None = (
            said.get("word_embedding_dimension")
            or said.get("embedding_dimension")
            or self._json("config.json").get("hidden_size")
        )
        return found

    def weights(self) -> str:
        """Names the model by all that its vectors follow from: a hash of 16 hexadecimal digits."""
        parts = []
        files = {TOKENIZER: self.path / TOKENIZER, **self.files()}
        for name, file in sorted(files.items()):
            state = file.stat()
            parts += [name, _sha256(file, state.st_size, state.st_mtime_ns)]
        for kind, folder in [] if self.graph else self.modules():
            config = self._json(f"{folder}/config.json")
            parts += [kind, ids.fingerprint({key: config[key] for key in config if key not in _COSMETIC})]
        return ids.digest(*parts)[:16]

    def files(self) -> dict[str, Path]:
        """The files that hold weights, by their names within the model."""
        if self.graph:
            beside = self.graph.parent.glob(f"{self.graph.name}[._]data*")
            return {f"graph{file.name.removeprefix(self.graph.name)}": file for file in (self.graph, *beside)}
        found = {}
        for _, name in self.modules():
            folder = self.path / name
            weights = list(folder.glob("*.safetensors")) or list(folder.glob("pytorch_model*.bin"))
            found.update({f"{name}/{file.name}": file for file in weights})
        return found

    def modules(self) -> list[tuple[str, str]]:
        """The kinds and the folders of the model's modules, in order; none where it does not list them."""
        listed: Any = self._json(MODULES) or []
        try:
            return [(one["type"].rpartition(".")[2], one["path"]) for one in listed]
        except (TypeError, KeyError, AttributeError):
            raise InputError(
                f"{self.path / MODULES} lists no modules as sentence-transformers does"
            ) from None

    def _pooling(self) -> dict[str, Any]:
        folders = [folder for kind, folder in self.modules() if kind == "Pooling"]
        found: dict[str, Any] = self._json(f"{(folders or ['1_Pooling'])[0]}/config.json")
        return found

    def _json(self, name: str) -> Any:
        """A configuration file; empty where there is none."""
        file = self.path / name
        if not file.is_file():
            return {}
        try:
            return json.loads(file.read_text("utf-8"))
        except (ValueError, OSError) as error:
            raise InputError(f"{file} cannot be read: {error}") from error


def tokenizer_at(file: Path) -> "Tokenizer":
    """The tokenizer in a file, read once."""
    return _tokenizer(file, file.stat().st_mtime_ns)


@cache
def _tokenizer(file: Path, _modified: int) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        made = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises no narrower one
        raise InputError(f"{file} is no tokenizer: {error}") from error
    made.no_padding()
    made.no_truncation()
    return made


@cache
def _sha256(file: Path, _size: int, _modified: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _modes(pooling: dict[str, Any]) -> list[str]:
    """The ways of pooling that a configuration names: in the newer form, or by flags."""
    named = pooling.get("pooling_mode", [])
    flags = [key.removeprefix("pooling_mode_") for key, value in pooling.items() if value is True]
    found = [named] if isinstance(named, str) else [*named, *flags]
    return [_SHORT.get(mode, mode) for mode in found if mode != "include_prompt"]
