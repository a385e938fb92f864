"""Orphans: data files of a table that no version and no run under way knows of.

A run that is killed between writing fragments and its commit leaves them. Lance would remove them only
together with what others have staged.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from pipeline.datasets import Options, open_dataset, times_of
from pipeline.objects import Objects, store_errors
from pipeline.store.log import Log, under_way
from pipeline.store.table import generation_uri

_CLOCKS_DIFFER = timedelta(days=2)  # of machines, at most


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
                lost = _unknown(uri, objects.options, {file.name: file.modified for file in old})
            found |= {file.path: file.size for file in old if file.name in lost}
    return found


def _unknown(uri: str, options: Options, files: Mapping[str, datetime]) -> set[str]:
    """Those data files that no version of a dataset is made of; `files` tells when each was written.

    Most files are in the newest versions, and none in one that is older than it: few versions are opened.
    """
    newest, unknown = open_dataset(uri, options), dict(files)
    times = times_of(newest) if newest else {}
    for version in sorted(times, reverse=True):
        if not unknown or times[version] < min(unknown.values()) - _CLOCKS_DIFFER:
            break
        dataset = open_dataset(uri, options, version)
        if dataset is None:  # what it is made of is not known, so nothing can be told from it
            raise FileNotFoundError(f"Lance version {version} has gone meanwhile; run it again")
        for fragment in dataset.get_fragments():
            for file in fragment.data_files():
                unknown.pop(file.path, None)
    return set(unknown)
