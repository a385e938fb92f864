"""The quota of a cluster: one actor for each endpoint and key, which all runs find by its name."""

from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayActorError

from infra.settings import quota_folder
from pipeline.quota.machine import MachineQuota
from pipeline.quota.quota import Ask, Lease

_ATTEMPTS = 20  # at a quota that dies whenever it is asked: then something kills it


class _Keeper:
    """Keeps the quota in its machine's file, where runs without Ray find it, too."""

    def __init__(self, name: str, used: bool) -> None:
        self._quota = MachineQuota(quota_folder(), name, used=used)
        self._runs: set[str] = set()

    def ask(self, ask: Ask) -> Lease:
        self._runs.add(ask.run)
        return self._quota.decide(ask)

    def leave(self, run: str) -> bool:
        """Take note that a run has ended; says whether it was the last that is known."""
        self._runs.discard(run)
        return not self._runs


# Nothing it is asked may be answered twice, and it is made anew by whoever misses it: Ray restarts nothing.
_Actor: Any = ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0)(_Keeper)


class ClusterQuota:
    """An Office in the cluster; made anew, as one whose minute is used up, where it has died.

    The actor outlives the run that made it, since others may use it meanwhile.
    """

    def __init__(self, name: str) -> None:
        """The quota of this name; it is found, or made, when it is asked first."""
        self._name = name
        self._actor: Any = None

    async def ask(self, ask: Ask) -> Lease:
        """Ask for a lease; see `Quota.ask`."""
        for _ in range(_ATTEMPTS):
            try:
                lease: Lease = await self._found().ask.remote(ask)
                return lease
            except RayActorError as error:
                self._actor, gone = None, error
        raise gone

    def leave(self, run: str) -> None:
        """End the quota where no other run uses it."""
        with suppress(ValueError, RayActorError):
            actor = ray.get_actor(f"quota-{self._name}")
            if ray.get(actor.leave.remote(run)):
                ray.kill(actor)

    def _found(self) -> Any:
        if self._actor is None:
            # What another machine's file remembers of the minute before is not known here.
            options = {"name": f"quota-{self._name}", "lifetime": "detached", "get_if_exists": True}
            self._actor = _Actor.options(**options).remote(self._name, _is_cluster())
        return self._actor


def _is_cluster() -> bool:
    nodes: Any = ray.nodes  # without types
    return sum(bool(node["Alive"]) for node in nodes()) > 1
