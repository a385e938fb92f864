"""The only reader of the environment, and of vecmill.toml."""

import getpass
import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from infra.config import Config, StoreConfig
from infra.embedding_form import EmbeddingConfig
from pipeline.errors import InputError, StoreRefused
from pipeline.job import Secret
from pipeline.local_models import NEEDS

_FILE = "vecmill.toml"

# Nothing phones home, and Ray's workers run in the environment that started them.
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the log is on the dashboard
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "LANCE_LOG": "error",
    "LANCE_INCLUDE_VECTOR_CENTROIDS": "false",
    "TOKENIZERS_PARALLELISM": "true",
}

# What pydantic says in its own words, which name its classes.
_SAID = {
    "missing": "is missing",
    "extra_forbidden": "is no key that vecmill knows",
    "model_type": "must be a table, such as { key = value }",
    "dict_type": "must be a table, such as { key = value }",
}
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment says."""

    store: str | None
    config: str | None
    ray_address: str | None
    prefect_api_url: str | None
    openai_base_url: str | None


def inherited(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that this one starts: its own, and over it what the program is given."""
    return {**os.environ, **more}


def use_prefect(environment: Mapping[str, str]) -> None:
    """Let this process use the Prefect server that an environment names; before Prefect is imported."""
    os.environ.update(environment)


def read_environment() -> Environment:
    """Read the environment, once."""
    return Environment(
        store=os.environ.get("VECMILL_STORE") or None,
        config=os.environ.get("VECMILL_CONFIG") or None,
        ray_address=os.environ.get("RAY_ADDRESS") or None,
        prefect_api_url=os.environ.get("PREFECT_API_URL") or None,
        openai_base_url=os.environ.get("OPENAI_BASE_URL") or None,
    )


def read_secret(variable: str) -> Secret | None:
    """The credential in an environment variable; None where it is not set."""
    value = os.environ.get(variable, "").strip()
    return Secret(value) if value else None


def otel_endpoint() -> str | None:
    """Where OpenTelemetry's collector listens; None where none is named."""
    return os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None


def user() -> str:
    """Who runs this program, as the machine knows him."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user can be without a name
        return f"uid {os.getuid()}"


def quota_folder() -> Path:
    """Where processes of this machine keep the quotas that they share; a user's own, and local to it."""
    named = os.environ.get("VECMILL_QUOTA_DIR")
    return Path(named) if named else Path(tempfile.gettempdir()) / f"vecmill-{os.getuid()}"


def be_quiet() -> None:
    """Set what keeps libraries from phoning home and from chatting, unless somebody set it otherwise."""
    suggest(QUIET)


def suggest(environment: Mapping[str, str]) -> None:
    """Set what is not set yet."""
    for name, value in environment.items():
        os.environ.setdefault(name, value)


def keep_prefect_in(folder: Path) -> None:
    """Let Prefect's embedded server keep its database in a folder, unless somebody chose another.

    Raises StoreRefused where the folder cannot be made: the server would only be seen not to start.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreRefused(f"{folder} cannot be made: {error.strerror}; name another --store") from error
    os.environ.setdefault("PREFECT_HOME", str(folder))
    os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "true")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")


def read_config(file: str | None, environment: Environment) -> Config:
    """Read vecmill.toml: the file named, or the one in this folder, or none at all.

    Paths in it are relative to it. Raises InputError naming the file and the place.
    """
    named = file or environment.config
    path = Path(named or _FILE)
    if not path.is_file():
        if named:
            raise InputError(f"there is no configuration file {named}")
        return Config()
    try:
        values = tomllib.loads(path.read_text("utf-8-sig"))
        config = Config.model_validate(values)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no valid TOML: {error}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return _anchored(config, path.parent)


def config_beside(store: StoreConfig) -> Config:
    """What vecmill.toml says where a flow runs, with the store that the flow is given."""
    return read_config(None, read_environment()).model_copy(update={"store": store})


def explain(error: ValidationError, names: Mapping[str, str] = _NO_NAMES) -> str:
    """Say in one line what is wrong with a form, and where; `names` says what a person calls a place."""
    return "; ".join(_problem(details, names) for details in error.errors())


def _problem(details: ErrorDetails, names: Mapping[str, str]) -> str:
    path = ".".join(map(str, details["loc"]))
    place, kind = names.get(path, path), details["type"]
    if kind == "value_error":
        return f"{place}: {details['msg']}".replace("Value error, ", "", 1).removeprefix(": ")
    if kind in _SAID:
        return f"{place} {_SAID[kind]}"
    return f"{place} is {details['input']!r}: {details['msg']}"


def _anchored(config: Config, folder: Path) -> Config:
    pipelines = {
        name: pipeline.model_copy(
            update={
                "source": pipeline.source.model_copy(update={"uri": _at(folder, pipeline.source.uri)}),
                "embedding": _with_model(folder, pipeline.embedding),
            }
        )
        for name, pipeline in config.pipelines.items()
    }
    store = config.store.model_copy(update={"uri": _at(folder, config.store.uri)})
    return config.model_copy(update={"store": store, "pipelines": pipelines})


def _with_model(folder: Path, embedding: EmbeddingConfig) -> EmbeddingConfig:
    """A form whose model is where the file says, if it is a folder: it can also be a name in a cache."""
    here = _at(folder, embedding.model or "")
    if embedding.provider not in NEEDS or not Path(here).exists():
        return embedding
    return embedding.model_copy(update={"model": here})


def _at(folder: Path, uri: str) -> str:
    return uri if "://" in uri else str(folder / os.path.expanduser(uri))  # noqa: PTH111 - knows "~name"
