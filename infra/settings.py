"""The only reader of the environment, and of vecmill.toml."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from infra.config import Config
from pipeline.errors import InputError
from pipeline.model import Secret

_FILE = "vecmill.toml"

# Nothing phones home, and Ray's workers run in the environment that started them.
_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "LANCE_LOG": "error",
    "TOKENIZERS_PARALLELISM": "true",
}


@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment says."""

    store: str | None
    config: str | None
    ray_address: str | None
    prefect_api_url: str | None
    openai_base_url: str | None


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


def be_quiet() -> None:
    """Set what keeps libraries from phoning home and from chatting, unless somebody set it otherwise."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def keep_prefect_in(folder: Path) -> None:
    """Let Prefect's embedded server keep its database in a folder, unless somebody chose another."""
    os.environ.setdefault("PREFECT_HOME", str(folder))
    os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "true")


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
        values = tomllib.loads(path.read_text("utf-8"))
        config = Config.model_validate(values)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no valid TOML: {error}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return _anchored(config, path.parent)


def explain(error: ValidationError) -> str:
    """Say in one line what is wrong with a form, and where."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'value'}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors()
    )


def _anchored(config: Config, folder: Path) -> Config:
    pipelines = {
        name: pipeline.model_copy(
            update={"source": pipeline.source.model_copy(update={"uri": _at(folder, pipeline.source.uri)})}
        )
        for name, pipeline in config.pipelines.items()
    }
    store = config.store.model_copy(update={"uri": _at(folder, config.store.uri)})
    return Config(store=store, pipelines=pipelines)


def _at(folder: Path, uri: str) -> str:
    return uri if "://" in uri else str(folder / Path(uri).expanduser())
