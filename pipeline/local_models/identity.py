"""Which model a space means: found on this machine, and known again by its content.

A space that names a folder is identified before it is used: its model becomes the folder's last name and a
hash of its content. So the fingerprint is the same wherever the folder lies, and another model under the same
name is another space. Nothing is downloaded: a model is in a folder, or in the cache of Hugging Face already.
"""

import importlib.util
from dataclasses import replace
from pathlib import Path

from pipeline.errors import InputError
from pipeline.local_models.folder import MODULES, TOKENIZER, ModelFolder
from pipeline.space import Space

NEEDS = {"onnx": ("onnxruntime",), "sentence-transformers": ("sentence_transformers", "torch")}
"""The providers of models in folders, and the modules that each one's extra brings."""

_REMEDIES = {
    "onnx": "an ONNX model is a folder with tokenizer.json, and model.onnx or onnx/model.onnx",
    "sentence-transformers": "save it as the library does: SentenceTransformer(NAME).save_pretrained(FOLDER)",
}


def identified(space: Space) -> Space:
    """The space as every machine names it; those of other providers are so already.

    Raises InputError where the model is not there or not whole, its extra is not installed, or its
    configuration says that it has other dimensions.
    """
    if space.provider not in NEEDS or space.weights:
        return space
    found = _found(space, space.model)
    if found.graph is None and space.pooling:
        raise InputError(f"{space.name}: how it pools is the model's own affair; leave --pooling out")
    pooling = space.pooling or (found.pooling() if found.graph else None) or ""
    made = replace(space, model=_name(found, space.model), pooling=pooling, folder=str(found.place))
    native = found.dimensions()
    made = made if native is None else fitting(made, native)
    return replace(made, weights=found.weights())


def fitting(space: Space, native: int) -> Space:
    """The space of a model whose vectors have `native` dimensions.

    Raises InputError where they do not fit: to cut vectors serves for few models, so it has to be asked for.
    """
    if space.dimensions > native or (space.dimensions < native and not space.matryoshka):
        cut = "; to cut its vectors, which serves where it was trained so (Matryoshka), say --matryoshka"
        raise InputError(
            f"{space.name}: the model has {native} dimensions, so write @{native}"
            f"{cut if space.dimensions < native else ''}"
        )
    return replace(space, matryoshka=space.dimensions < native)


def open_model(space: Space) -> ModelFolder:
    """The model of a space; raises InputError where this machine has another one in its place."""
    space = identified(space)
    found = _found(space, space.folder)
    weights = found.weights()
    if weights != space.weights:
        raise InputError(
            f"{found.place} is another model than the one that vectors of {space.name} were made with "
            f"({weights}, not {space.weights}); bring that one back, or use another --table"
        )
    return found


def _found(space: Space, place: str) -> ModelFolder:
    _check_installed(space)
    path = Path(place).expanduser().absolute()
    if not path.exists():
        path = _cached(space, path)
    found = ModelFolder(space.name, path)
    if space.provider == "onnx":
        found = _with_graph(found, path)
    _check_whole(space, found)
    return found


def _with_graph(found: ModelFolder, path: Path) -> ModelFolder:
    """The model whose graph is a file, or in a folder."""
    graphs = [path] if path.is_file() else [path / "model.onnx", path / "onnx" / "model.onnx"]
    graph = next((file for file in graphs if file.is_file()), None)
    if graph is None:
        raise InputError(f"{found.name}: {path} has no model.onnx; {_REMEDIES['onnx']}")
    above = graph.parent.name == "onnx" and not (graph.parent / TOKENIZER).is_file()
    return replace(found, path=graph.parent.parent if above else graph.parent, graph=graph)


def _cached(space: Space, path: Path) -> Path:
    """Where the cache of Hugging Face has a model that is in no folder."""
    if space.provider == "onnx" or space.weights:
        raise InputError(
            f"{space.name}: the model is not at {path}; say where it is: "
            f"--embedding {space.provider}/FOLDER@{space.dimensions}"
        )
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        file = try_to_load_from_cache(space.model, MODULES)
    except HFValidationError:
        file = None
    if not isinstance(file, str):
        raise InputError(
            f"{space.name}: {space.model} is neither a folder here nor in the cache of Hugging Face, and "
            f"nothing is downloaded unasked; say: hf download {space.model}"
        )
    return Path(file).parent


def _check_whole(space: Space, found: ModelFolder) -> None:
    needed = [TOKENIZER] if found.graph else [TOKENIZER, MODULES, "config.json"]
    missing = [name for name in needed if not (found.path / name).is_file()]
    if not missing and not found.files():
        missing = ["model.safetensors"]
    if missing:
        raise InputError(
            f"{space.name}: {found.path} is no whole model, it has no {' and no '.join(missing)}; "
            f"{_REMEDIES[space.provider]}"
        )


def _check_installed(space: Space) -> None:
    missing = [module for module in NEEDS[space.provider] if importlib.util.find_spec(module) is None]
    if missing:
        raise InputError(
            f"{space.name} needs the package {missing[0].replace('_', '-')}; install it "
            f"with pip install 'vecmill[{space.provider}]', or uv sync --extra {space.provider}"
        )


def _name(found: ModelFolder, said: str) -> str:
    """What the model is called on every machine."""
    if not Path(said).expanduser().exists():
        return said  # the name under which Hugging Face's cache has it
    if found.graph and found.graph.stem != "model":
        return f"{found.path.name}/{found.graph.stem}"
    return found.path.name
