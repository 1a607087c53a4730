"""Deleting experiments: into a folder of the base directory first, and for good only when that is emptied.

`.trash/` holds the folder of each deleted experiment, under its id, and beside it the line that it had in the registry.
Each step is one rename, so that a process that is killed leaves the experiment in the one place or in the other.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from runbook import errors
from runbook.hints import Hint, hint_for_both
from runbook.record import identifiers, registry_entry
from runbook.record.layout import ExperimentLayout
from runbook.record.status import Status
from runbook.serialize import json_text, timestamps
from runbook.storage import current_record, experiment_folder, files, staging

if TYPE_CHECKING:
    from pathlib import Path

    from runbook.index import Index
    from runbook.record.layout import BaseLayout
    from runbook.typing import JsonObject

_DOOMED: Final = ".doomed-"
_LIST_TRASH: Final = Hint("list_trash() shows what is there", "'runbook restore --list' shows what is there")
_PLACE_TAKEN: Final = hint_for_both(
    "nothing was changed: move its folder out of the base directory, and the one in the trash can come back"
)


def delete(index: Index, wanted: str) -> Path:
    """Move an experiment into the trash, and take its line out of the registry.

    Args:
        index: the index of the base directory.
        wanted: an id, the beginning of one, or a name.

    Returns:
        Where it is now.

    Raises:
        ExperimentNotFoundError: if there is no such experiment.
        UsageError: if it is running.
        OSError: if it cannot be moved.
    """
    entries = index.entries()
    experiment_id = identifiers.resolve_id(wanted, entries, index.layout.root)
    line = next(entry for entry in entries if entry["experiment_id"] == experiment_id)
    with index.removing(experiment_id):
        _refuse_running(index, experiment_id)
        return put(index.layout, experiment_id, line)


def _refuse_running(index: Index, experiment_id: str) -> None:
    # What has no record, or one that cannot be read, has nobody to be asked about.
    with contextlib.suppress(OSError, errors.DamagedFileError, errors.NewerFormatError):
        record = current_record.read_current(index.layout, experiment_id)
        if record.status is Status.RUNNING:
            owner = f" on {record.host} in process {record.attempts[-1].owner.pid}" if record.attempts else ""
            hint = hint_for_both("end it first, then delete it")
            raise errors.UsageError(f"{experiment_id} is running{owner}", hint)


def put(layout: BaseLayout, experiment_id: str, line: JsonObject) -> Path:
    """Move the folder of an experiment into the trash; to be called inside of `Registry.moving`.

    Args:
        layout: the base directory.
        experiment_id: which.
        line: its line in the registry.

    Returns:
        Where it is now.

    Raises:
        OSError: if it cannot be moved.
    """
    _check_trash(layout)
    files.ensure_directory(layout.trash)
    files.fsync_directory(layout.root)
    kept: JsonObject = {"deleted_at": timestamps.format_time(datetime.now(UTC)), "line": line}
    for nth in itertools.count(1):
        target = layout.trashed(experiment_id, nth)
        if os.path.lexists(target):
            continue
        files.write_whole(layout.trashed_entry(target), json_text.encode(kept))
        try:
            staging.place_folder(layout.experiment(experiment_id).root, target)
        except FileExistsError:
            continue
        except FileNotFoundError:
            # Only a line of the legacy tool was left of it; an empty folder stands for the one that is gone.
            files.make_directory(target)
        return target
    raise AssertionError


def _check_trash(layout: BaseLayout) -> None:
    if layout.trash.is_symlink():
        hint = hint_for_both("put a folder in the place of the link")
        raise errors.BaseDirectoryError(
            layout.root, "has a link in the place of its trash, which is not followed", hint
        )


def trashed(index: Index) -> list[JsonObject]:
    """The experiments in the trash, in the order in which they were deleted.

    Each is the line that it had in the registry, its `directory` where it is now, with `deleted_at`.
    """
    entries = [_entry(index.layout, path) for path in _folders(index.layout)]
    return sorted(entries, key=lambda entry: (str(entry["deleted_at"]), str(entry["directory"])))


def _folders(layout: BaseLayout) -> list[Path]:
    return [path for path in _visible(layout) if path.is_dir() and not path.is_symlink()]


def _visible(layout: BaseLayout) -> list[Path]:
    _check_trash(layout)
    try:
        names = os.listdir(layout.trash)
    except FileNotFoundError:
        return []
    return [layout.trash / name for name in sorted(names) if not name.startswith(".")]


def _entry(layout: BaseLayout, path: Path) -> JsonObject:
    here: JsonObject = {"directory": str(path)}
    line, deleted_at = _kept(layout, path)
    if line is not None:
        return {**line, **here, "deleted_at": deleted_at}
    # Somebody moved it here by hand, or what was kept is damaged.
    experiment_id = layout.trashed_id(path)
    try:
        record = experiment_folder.read_record(ExperimentLayout(path))
    except (OSError, errors.DamagedFileError, errors.NewerFormatError):
        record = current_record.unknown_record(experiment_id, {})
    return {**registry_entry.build_entry(record, str(path)), "experiment_id": experiment_id, "deleted_at": None}


def _kept(layout: BaseLayout, path: Path) -> tuple[JsonObject | None, str | None]:
    """The line that an experiment in the trash had, and when it was deleted."""
    try:
        kept = json_text.read_object(layout.trashed_entry(path))
    except (OSError, errors.DamagedFileError):
        return None, None
    line, deleted_at = kept.get("line"), kept.get("deleted_at")
    if not isinstance(line, dict) or line.get("experiment_id") != layout.trashed_id(path):
        return None, None
    return line, deleted_at if isinstance(deleted_at, str) else None


def restore(index: Index, wanted: str) -> str:
    """Move an experiment back out of the trash; of several with its id, the one that was deleted last.

    Args:
        index: the index of the base directory.
        wanted: an id, the beginning of one, or a name.

    Returns:
        Its id.

    Raises:
        ExperimentNotFoundError: if it is not in the trash.
        ExperimentExistsError: if there is another experiment of that id by now.
        OSError: if it cannot be moved.
    """
    layout = index.layout
    found = trashed(index)
    try:
        experiment_id = identifiers.resolve_id(wanted, found, layout.trash)
    except errors.ExperimentNotFoundError as error:
        raise errors.ExperimentNotFoundError(wanted, layout.trash, error.nearest, _LIST_TRASH) from None
    entry = next(entry for entry in reversed(found) if entry["experiment_id"] == experiment_id)
    path = layout.trash / os.path.basename(str(entry["directory"]))  # noqa: PTH119 - a string, from a file
    target = layout.experiment(experiment_id).root
    if os.path.lexists(target):
        raise errors.ExperimentExistsError(experiment_id, layout.root, _PLACE_TAKEN)
    line, _ = _kept(layout, path)
    if line is not None:
        # First: of a process that is killed now, the line waits for its folder, and no field is lost.
        index.insert(line)
    if any(path.iterdir()):
        try:
            staging.place_folder(path, target)
        except FileExistsError as error:
            raise errors.ExperimentExistsError(experiment_id, layout.root, _PLACE_TAKEN) from error
        index.apply(experiment_id)
    else:
        path.rmdir()
    with contextlib.suppress(FileNotFoundError):
        layout.trashed_entry(path).unlink()
    return experiment_id


def empty(index: Index) -> int:
    """Delete what is in the trash, for good; links are removed, never followed.

    Returns:
        How many experiments were deleted.

    Raises:
        BaseDirectoryError: if the trash is a link.
        OSError: if something cannot be removed; what is left of it is no experiment any more.
    """
    layout = index.layout
    # What a killed process moved here may still have its line; without its folder, nobody could tell why it is gone.
    index.entries()
    count = sum(destroy(layout, path) for path in _visible(layout))
    for path in half_deleted(layout):
        _remove(path)
    return count


def destroy(layout: BaseLayout, path: Path) -> bool:
    """Delete something in the trash for good; links are removed, never followed.

    Returns:
        Whether it was the folder of an experiment, and still there.

    Raises:
        OSError: if it cannot be removed; what is left of it is no experiment any more.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return False
    doomed = path.with_name(f"{_DOOMED}{os.getpid()}-{path.name}")
    try:
        # Out of sight by one rename: an experiment that is half deleted must not be restored.
        path.rename(doomed)
    except FileNotFoundError:
        return False
    layout.trashed_entry(path).unlink(missing_ok=True)
    _remove(doomed)
    return True


def half_deleted(layout: BaseLayout) -> list[Path]:
    """What is left of experiments whose deletion for good was interrupted."""
    return sorted(layout.trash.glob(f"{_DOOMED}*"))


def _remove(path: Path) -> None:
    # Somebody else may be emptying the trash as well.
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)
