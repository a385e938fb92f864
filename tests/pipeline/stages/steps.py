"""A run taken stage by stage, so that a test can stop it where it likes."""

from pathlib import Path

from pipeline.deadline import Deadline
from pipeline.engine import InlineEngine
from pipeline.job import Job
from pipeline.model import DocumentCounts, Plan
from pipeline.objects import Objects
from pipeline.spending import Spending
from pipeline.stages.assemble import assemble
from pipeline.stages.context import Context
from pipeline.stages.diff import diff, list_documents
from pipeline.stages.embed import embed
from pipeline.stages.plan import plan
from pipeline.stages.split import split
from pipeline.staging import Staging
from pipeline.store.log import Log


def begin(job: Job) -> Context:
    """A run's surroundings, before its first stage."""
    store = Objects(job.store, create=True)
    live = Log(store, job.table).last()
    return Context(job, store, Staging(store, job.run_id), live, Spending.of(job), Deadline.after(None))


def compared(job: Job) -> tuple[Context, DocumentCounts]:
    """A run after its diff."""
    context = begin(job)
    list_documents(context)
    return context, diff(context)


def planned(job: Job) -> tuple[Context, DocumentCounts, Plan]:
    """A run after its plan."""
    context, found = compared(job)
    documents = split(context, found)
    return context, documents, plan(context, documents)


def assembled(job: Job) -> tuple[Context, DocumentCounts]:
    """A run whose fragments are staged; nothing of it is visible."""
    context, documents, made = planned(job)
    if made.texts:
        embed(context, made, InlineEngine())
    assemble(context, InlineEngine())
    return context, documents


def listing(folder: Path | str) -> dict[str, bytes]:
    """Every file below a folder with its content; folders as well, so that nothing goes unseen."""
    found = sorted(Path(folder).rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in found}
