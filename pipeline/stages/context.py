"""What every stage is given: the job, the store, the run's folder, and whom to tell."""

import math
from dataclasses import dataclass

from pipeline.errors import TooManyFailures
from pipeline.model import Job
from pipeline.objects import Objects
from pipeline.ports import Progress, silent
from pipeline.staging import Staging
from pipeline.store.log import Entry, Log


@dataclass(frozen=True, slots=True)
class Context:
    """One run's surroundings."""

    job: Job
    store: Objects
    staging: Staging
    live: Entry | None  # the version that the run starts from
    progress: Progress = silent

    @property
    def log(self) -> Log:
        """The publish log of the run's table."""
        return Log(self.store, self.job.table)

    def allowed(self, count: int) -> int:
        """How many of so many may fail: the budget's share, rounded up."""
        return math.ceil(self.job.budget.failures * count)

    def check_failures(self) -> None:
        """Stop the run where more documents failed than its budget allows.

        Raises TooManyFailures.
        """
        letters = self.staging.dead_letters()
        failed = {letter["doc_id"] or letter["uri"] for letter in letters}
        listed = self.staging.read_json("listed")["documents"]
        allowed = self.allowed(listed)
        if len(failed) > allowed:
            first = letters[0]
            raise TooManyFailures(
                f"{len(failed)} of {listed} documents failed, the failure budget of "
                f"{self.job.budget.failures:g} allows {allowed}; nothing was published. The first: "
                f"{first['doc_id'] or first['uri']} {first['reason']}. Mend them, or raise --budget-failures"
            )
