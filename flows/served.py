"""Whether commands run as flows: where there is a Prefect server for them, every run is on its dashboard."""

from infra.config import StoreConfig
from infra.settings import read_environment, suggest
from pipeline.errors import InputError
from pipeline.ports import Progress


def server_of(store: StoreConfig) -> str | None:
    """The server that is named, or else that of a `vecmill up` that runs on the same store; None: neither.

    Prefect uses it from then on, if it is not imported yet.
    """
    from infra.nearby import server_nearby

    found = read_environment().prefect_api_url or server_nearby(store.uri)
    if found:
        from infra.prefect_server import LASTING

        suggest({**LASTING, "PREFECT_API_URL": found})
    return found


def served(store: StoreConfig, progress: Progress) -> bool:
    """Whether there is a server for a store's runs; flows of this process tell their progress from then on.

    Raises InputError where one that is named does not answer.
    """
    server = server_of(store)
    if not server:
        return False
    from prefect.client.orchestration import get_client

    from tasks.progress import listen

    with get_client(sync_client=True) as client:
        problem = client.api_healthcheck()
    if problem:
        raise InputError(
            f"PREFECT_API_URL is {server}, which does not answer: {problem}; start it, or unset it"
        )
    listen(progress)
    return True
