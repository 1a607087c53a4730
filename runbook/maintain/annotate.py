"""Saying something of an experiment from outside: notes and tags, whether it runs or has ended."""

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
    """Add a note to an experiment, give it tags and take others from it; no lock is needed for that.

    Args:
        index: the index of the base directory.
        wanted: an id, the beginning of one, or a name.
        note: added to the notes.
        tags: it has them afterwards.
        untags: it has them no more afterwards.

    Returns:
        The id of the experiment.

    Raises:
        ExperimentNotFoundError: if there is no such experiment.
        DamagedFileError: if its record cannot be understood.
        OSError: if it cannot be written.
    """
    experiment_id = identifiers.resolve_id(wanted, index.summaries(), index.layout.root)
    said = [*([{"note": note}] if note else []), *({"tag": tag} for tag in tags), *({"untag": tag} for tag in untags)]
    if not said:
        return experiment_id
    stamp: JsonObject = {"time": timestamps.format_time(datetime.now(UTC)), "by": _by()}
    lines: list[JsonObject] = [{**stamp, **what} for what in said]
    if not _has_record(index, experiment_id) and _annotate_line(index, experiment_id, lines):
        return experiment_id
    # First: of a process that is killed now, the mark shows others that there is something new.
    index.mark_pending(experiment_id)
    try:
        annotation_log.append(index.layout.experiment(experiment_id), lines)
    except FileNotFoundError as error:
        # Somebody has deleted it at this moment.
        raise errors.ExperimentNotFoundError(experiment_id, index.layout.root) from error
    try:
        index.apply(experiment_id)
    except OSError as error:
        # Raising would ask for saying it again, and it would be there twice.
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


def _annotate_line(index: Index, experiment_id: str, lines: list[JsonObject]) -> bool:
    """The same for one without a record, of the legacy tool: its line in the registry is where its notes are.

    Returns:
        Whether it has no record indeed; one that is being restored at this moment may have got it back.
    """
    layout = index.layout.experiment(experiment_id)
    has_record = False

    def annotated(line: JsonObject | None) -> JsonObject | None:
        nonlocal has_record
        # In this order: the folder may come back in between, and has a record then.
        has_folder = layout.root.exists()
        has_record = layout.record.exists()
        if has_record:
            return None
        # Only we write an end reason: of one of ours, whose folder is in the trash, the line alone is no experiment.
        if line is None or ("end_reason" in line and not has_folder):
            raise errors.ExperimentNotFoundError(experiment_id, index.layout.root)
        notes, tags = line.get("notes"), line.get("tags")
        before = (
            notes if isinstance(notes, str) else None,
            [str(tag) for tag in tags] if isinstance(tags, list) else [],
        )
        after, kept = annotation_log.apply(lines, *before)
        return {"notes": after, "tags": list(kept)}

    index.update_entry(experiment_id, annotated)
    return not has_record


def _by() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, ImportError, OSError):
        # Neither the environment nor the system knows a name, as in some containers.
        user = "?"
    return f"{user}@{process.host_name()}"
