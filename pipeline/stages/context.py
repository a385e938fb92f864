"""What every stage is given: the job, the store, the run's folder, its bill, and whom to tell."""

import math
from dataclasses import dataclass

from pipeline.deadline import Deadline
from pipeline.errors import TooManyFailures
from pipeline.job import Job
from pipeline.letters import DeadLetters
from pipeline.objects import Objects
from pipeline.ports import Progress, silent
from pipeline.spending import Spending
from pipeline.staging import SPENT, Staging
from pipeline.store.log import Entry, Log


def log_of(store: Objects, job: Job) -> Log:
    """The log that a job's runs publish to. A generation that has become live has the table's own."""
    log = Log(store, job.table)
    if job.generation is None:
        return log
    live = log.last()
    return log if live and live.generation == job.generation else Log(store, job.table, job.generation)


@dataclass(frozen=True, slots=True)
class Context:
    """One run's surroundings."""

    job: Job
    store: Objects
    staging: Staging
    live: Entry | None  # the version that the run starts from
    spending: Spending
    deadline: Deadline
    progress: Progress = silent

    @property
    def log(self) -> Log:
        """The publish log of the run's table, or of the generation that it fills beside the live one."""
        return log_of(self.store, self.job)

    def allowed(self, count: int) -> int:
        """How many of so many may fail: the budget's share, rounded up."""
        return math.ceil(self.job.budget.failures * count)

    def check_time(self) -> None:
        """Raise OutOfTime where the run has taken as long as it may."""
        self.deadline.check(self.spending.said)

    def file_letters(self) -> None:
        """File the run's dead letters where people look for them."""
        filed = DeadLetters(self.store)
        filed.file(self.job.table, self.job.run_id, self.staging.dead_letters(), self.log.generation or "")

    def note_spending(self) -> None:
        """Keep what was spent until now: a killed run says nothing any more."""
        self.staging.write_json(SPENT, self.spending.record())

    def check_failures(self) -> None:
        """Stop the run where more documents failed than its budget allows; dismissed letters do not count.

        Raises TooManyFailures.
        """
        letters = self.staging.dead_letters()
        accepted = DeadLetters(self.store).dismissed(self.job.table) if letters else {}
        letters = [letter for letter in letters if accepted.get(letter["id"]) != letter["reason"]]
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
