"""Text-embedding models as ONNX graphs, run by onnxruntime."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import onnxruntime

from pipeline.embedding.resident import CPU_TOKENS, GPU_TOKENS, Resident, ResidentProvider, Tokens
from pipeline.errors import InputError
from pipeline.job import Endpoint
from pipeline.local_models import ModelFolder
from pipeline.space import Space

_GPUS = ("CUDAExecutionProvider", "ROCMExecutionProvider")
_CPU = "CPUExecutionProvider"
_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
_ERRORS_ONLY = 3  # of the runtime's own log


class OnnxProvider(ResidentProvider):
    """Embeds with a graph; one whose scales follow from the batch gets one text at a time."""

    def __init__(self, space: Space, endpoint: Endpoint) -> None:
        super().__init__(space, endpoint, load)


@lru_cache(maxsize=1)
def load(model: ModelFolder, _weights: str, pooling: str, threads: int) -> Resident:
    """Load a graph, once a process; raises InputError where it cannot be used."""
    available = onnxruntime.get_available_providers()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a batch a core: see `resident`
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(
            str(model.graph), options, providers=[*(one for one in _GPUS if one in available), _CPU]
        )
    except Exception as error:  # the runtime's own exceptions have no base but this
        raise InputError(f"{model.name}: {model.graph} cannot be loaded: {error}") from error
    graph = _Graph(session, model, pooling)
    device = session.get_providers()[0]
    if device == _CPU:
        return Resident(graph, "cpu", 0 if _scales_by_batch(model) else CPU_TOKENS, threads)
    return Resident(graph, device.removesuffix("ExecutionProvider").lower(), GPU_TOKENS, 1)


class _Graph:
    """A graph with its inputs and the output that vectors come from."""

    def __init__(self, session: "onnxruntime.InferenceSession", model: ModelFolder, pooling: str) -> None:
        self._session = session
        self._inputs = {one.name: _TYPES.get(one.type) for one in session.get_inputs()}
        strange = [name for name, kind in self._inputs.items() if name not in _INPUTS or kind is None]
        fixed = [one.name for one in session.get_inputs() if any(isinstance(size, int) for size in one.shape)]
        if strange or fixed:
            why = f"{strange[0]}, which is not known here" if strange else f"{fixed[0]} of one size only"
            raise InputError(
                f"{model.name}: {model.graph} takes {why}; export it with dynamic axes, and with "
                f"integer inputs among {', '.join(_INPUTS)}"
            )
        outputs = {len(one.shape): one.name for one in reversed(session.get_outputs())}
        pools = pooling not in ("", "none") and 3 in outputs
        if not pools and 2 not in outputs:
            raise InputError(
                f"{model.name}: {model.graph} gives a vector for each token, and {model.path} does not "
                "say how they become one (1_Pooling/config.json); say --pooling mean, cls or last"
            )
        self._output = outputs[3 if pools else 2]
        self._pooling = pooling if pools else "none"

    def __call__(self, tokens: Tokens, mask: Tokens) -> npt.NDArray[np.floating]:
        """The vectors of texts."""
        positions = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
        all_inputs = dict(zip(_INPUTS, (tokens, mask, np.zeros_like(tokens), positions), strict=True))
        feed = {name: all_inputs[name].astype(kind, copy=False) for name, kind in self._inputs.items()}
        [found] = self._session.run([self._output], feed)
        return pooled(found.astype(np.float32, copy=False), mask, self._pooling)


def pooled(found: npt.NDArray[np.float32], mask: Tokens, pooling: str) -> npt.NDArray[np.float32]:
    """A vector for each text: float32[n, d], from float32[n, longest, d] unless `pooling` is "none"."""
    if pooling == "none":
        return found
    if pooling == "cls":
        return found[:, 0]
    lengths, made = mask.sum(axis=1), np.empty(found.shape[::2], np.float32)
    if pooling == "last":
        made[:] = found[np.arange(len(found)), lengths - 1]
    else:
        # Text by text: padding adds nothing, not even a rounding error.
        for place, length in enumerate(lengths):
            found[place, :length].mean(axis=0, out=made[place])
    return made


def _scales_by_batch(model: ModelFolder) -> bool:
    """Whether a graph is quantised by a batch's largest value: vectors would follow from their company."""
    return model.graph is not None and b"DynamicQuantize" in model.graph.read_bytes()
