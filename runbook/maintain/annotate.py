"""Adds notes and tags to an experiment of another process, whether it runs or has ended."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runbook import errors
from runbook.messages import warn
from runbook.record import identifiers
from runbook.serialize import timestamps
from runbook.storage import annotation_log, current_record, process

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbook.index import Index
    from runbook.typing import JsonObject


def annotate(
    index: Index,
    wanted: str,
    *,
    note: str | None = None,
    tags: Iterable[str] = (),
    untags: Iterable[str] = (),
) -> str:
    """Add a note to an experiment, and add or remove tags; no lock is needed for that.

    Args:
        index: the index of the base directory.
        wanted: an id, the beginning of one, or a name.
        note: a note to add.
        tags: tags to add.
        untags: tags to remove.

    Returns:
        The id of the experiment.

    Raises:
        ExperimentNotFoundError: if there is no such experiment.
        DamagedFileError: if its record cannot be understood.
        OSError: if they cannot be written.
    """
    experiment_id = identifiers.resolve_id(wanted, index.summaries(), index.layout.root)
    given = [*([{"note": note}] if note else []), *({"tag": tag} for tag in tags), *({"untag": tag} for tag in untags)]
    if not given:
        return experiment_id
    stamp: JsonObject = {"time": timestamps.format_time(datetime.now(UTC)), "by": _name_author()}
    annotations: list[JsonObject] = [{**stamp, **fields} for fields in given]
    if not _has_record(index, experiment_id) and _annotate_entry(index, experiment_id, annotations):
        return experiment_id
    # Before the write: if this process is killed after it, others still see that the entry is out of date.
    index.mark_pending(experiment_id)
    try:
        annotation_log.append(index.layout.experiment(experiment_id), annotations)
    except FileNotFoundError as error:
        # Another process has deleted it at this moment.
        raise errors.ExperimentNotFoundError(experiment_id, index.layout.root) from error
    try:
        index.apply(experiment_id)
    except OSError as error:
        # Not an error: the user would add the note again, and it would be there twice.
        warn(
            f"{experiment_id}: it is kept, but {index.layout.registry} does not show it yet ({error}); nothing is "
            "lost: free the disk, and the next experiment or listing brings it up to date"
        )
    return experiment_id


def _has_record(index: Index, experiment_id: str) -> bool:
    try:
        current_record.read_current(index.layout, experiment_id)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _annotate_entry(index: Index, experiment_id: str, annotations: list[JsonObject]) -> bool:
    """Change the entry of an experiment of the legacy tool, which has no record: its notes are in the registry.

    Returns:
        Whether that was right; False if it has a record by now, because another process is restoring it.
    """
    layout = index.layout.experiment(experiment_id)
    has_record = False

    def change_entry(entry: JsonObject | None) -> JsonObject | None:
        nonlocal has_record
        # In this order: a folder that comes back in between has a record.
        has_folder = layout.root.exists()
        has_record = layout.record.exists()
        if has_record:
            return None
        # The legacy tool writes no end reason. An entry with one and without a folder is one of ours in the trash.
        if entry is None or ("end_reason" in entry and not has_folder):
            raise errors.ExperimentNotFoundError(experiment_id, index.layout.root)
        notes, tags = entry.get("notes"), entry.get("tags")
        before = (
            notes if isinstance(notes, str) else None,
            [str(tag) for tag in tags] if isinstance(tags, list) else [],
        )
        after, kept = annotation_log.apply(annotations, *before)
        return {"notes": after, "tags": list(kept)}

    index.update_entry(experiment_id, change_entry)
    return not has_record


def _name_author() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, ImportError, OSError):
        # Neither the environment nor the system knows a name, as in some containers.
        user = "?"
    return f"{user}@{process.host_name()}"
