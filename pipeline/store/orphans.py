"""Orphans: data files of a table that no version and no run under way knows of.

A run that is killed between writing fragments and its commit leaves them. Lance would remove them only
together with what others have staged.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from pipeline.datasets import Options, open_dataset
from pipeline.objects import Objects, store_errors
from pipeline.store.log import Log, under_way
from pipeline.store.table import generation_uri


def orphans(
    objects: Objects, table: str, staged: Collection[str], grace: float, now: datetime | None = None
) -> dict[str, int]:
    """The paths of orphans, with their sizes in bytes.

    `staged` are the names of files that runs under way have written; what is younger than `grace` hours may
    be of a run that has not said so yet.
    """
    oldest = (now or datetime.now(UTC)) - timedelta(hours=grace)
    found: dict[str, int] = {}
    names = {entry.generation for entry in Log(objects, table).entries()}
    names |= {str(log.generation) for log in under_way(objects, table)}
    for generation in sorted(names):
        uri = generation_uri(objects, table, generation)
        files = objects.listed(f"tables/{table}/{generation}.lance/data")
        old = [file for file in files if file.modified < oldest and file.name not in staged]
        if old:
            with store_errors(uri):
                known = _known(uri, objects.options)
            found |= {file.path: file.size for file in old if file.name not in known}
    return found


def _known(uri: str, options: Options) -> set[str]:
    """The names of all data files that any version of a dataset is made of."""
    newest, names = open_dataset(uri, options), set[str]()
    for version in newest.versions() if newest else ():
        dataset = open_dataset(uri, options, int(version["version"]))
        if dataset is None:  # what it is made of is not known, so nothing can be told from it
            raise FileNotFoundError(f"Lance version {version['version']} has gone meanwhile; run it again")
        for fragment in dataset.get_fragments():
            names |= {file.path for file in fragment.data_files()}
    return names
