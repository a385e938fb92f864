"""Whether commands run as flows: where a Prefect server is named, every run is on its dashboard."""

from infra.settings import read_environment
from pipeline.errors import InputError
from pipeline.ports import Progress


def served(progress: Progress) -> bool:
    """Whether a server is named; flows of this process tell their progress from then on.

    Raises InputError where it does not answer.
    """
    server = read_environment().prefect_api_url
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
