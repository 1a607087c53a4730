"""Deletes experiments: moves them into the trash first, and deletes them for good only when the trash is emptied.

The folder `.trash/` holds the folder of each deleted experiment, under its id, and beside it its entry of the registry.
Each step is one rename, so that a killed process leaves the experiment either in the base directory or in the trash.
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
_ID_TAKEN: Final = hint_for_both(
    "nothing was changed: move its folder out of the base directory, and the one in the trash can come back"
)


def delete(index: Index, wanted: str) -> Path:
    """Move an experiment into the trash, and remove its entry from the registry.

    Args:
        index: the index of the base directory.
        wanted: an id, the beginning of one, or a name.

    Returns:
        The path of its folder in the trash.

    Raises:
        ExperimentNotFoundError: if there is no such experiment.
        UsageError: if it is running.
        OSError: if it cannot be moved.
    """
    entries = index.entries()
    experiment_id = identifiers.resolve_id(wanted, entries, index.layout.root)
    entry = next(entry for entry in entries if entry["experiment_id"] == experiment_id)
    with index.removing(experiment_id):
        _refuse_running(index, experiment_id)
        return move_to_trash(index.layout, experiment_id, entry)


def _refuse_running(index: Index, experiment_id: str) -> None:
    # Without a readable record, no process is known that could work on it.
    with contextlib.suppress(OSError, errors.DamagedFileError, errors.NewerFormatError):
        record = current_record.read_current(index.layout, experiment_id)
        if record.status is Status.RUNNING:
            owner = f" on {record.host} in process {record.attempts[-1].owner.pid}" if record.attempts else ""
            hint = hint_for_both("end it first, then delete it")
            raise errors.UsageError(f"{experiment_id} is running{owner}", hint)


def move_to_trash(layout: BaseLayout, experiment_id: str, entry: JsonObject) -> Path:
    """Move the folder of an experiment into the trash; the caller must be in a block of `Index.removing`.

    Args:
        layout: the base directory.
        experiment_id: which.
        entry: its entry in the registry.

    Returns:
        The path of its folder in the trash.

    Raises:
        OSError: if it cannot be moved.
    """
    _check_trash(layout)
    files.ensure_directory(layout.trash)
    files.fsync_directory(layout.root)
    kept: JsonObject = {"deleted_at": timestamps.format_time(datetime.now(UTC)), "line": entry}
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
            # Only an entry of the legacy tool was left of it; an empty folder stands for the one that is gone.
            files.make_directory(target)
        return target
    raise AssertionError


def _check_trash(layout: BaseLayout) -> None:
    if layout.trash.is_symlink():
        hint = hint_for_both("put a folder in the place of the link")
        raise errors.BaseDirectoryError(
            layout.root, "has a link in the place of its trash, which is not followed", hint
        )


def list_trashed(index: Index) -> list[JsonObject]:
    """The experiments in the trash, in the order in which they were deleted.

    Each is its former entry of the registry, with `deleted_at`; its `directory` is the path in the trash.
    """
    entries = [_build_trash_entry(index.layout, path) for path in _list_folders(index.layout)]
    return sorted(entries, key=lambda entry: (str(entry["deleted_at"]), str(entry["directory"])))


def _list_folders(layout: BaseLayout) -> list[Path]:
    return [path for path in _list_visible(layout) if path.is_dir() and not path.is_symlink()]


def _list_visible(layout: BaseLayout) -> list[Path]:
    _check_trash(layout)
    try:
        names = os.listdir(layout.trash)
    except FileNotFoundError:
        return []
    return [layout.trash / name for name in sorted(names) if not name.startswith(".")]


def _build_trash_entry(layout: BaseLayout, path: Path) -> JsonObject:
    entry, deleted_at = _read_kept_entry(layout, path)
    if entry is not None:
        return {**entry, "directory": str(path), "deleted_at": deleted_at}
    # Somebody moved the folder here by hand, or the file with its entry is damaged.
    experiment_id = layout.trashed_id(path)
    try:
        record = experiment_folder.read_record(ExperimentLayout(path))
    except (OSError, errors.DamagedFileError, errors.NewerFormatError):
        record = current_record.unknown_record(experiment_id, {})
    return {**registry_entry.build_entry(record, str(path)), "experiment_id": experiment_id, "deleted_at": None}


def _read_kept_entry(layout: BaseLayout, path: Path) -> tuple[JsonObject | None, str | None]:
    """The former entry of an experiment in the trash, and when it was deleted; None where that cannot be read."""
    try:
        kept = json_text.read_object(layout.trashed_entry(path))
    except (OSError, errors.DamagedFileError):
        return None, None
    entry, deleted_at = kept.get("line"), kept.get("deleted_at")
    if not isinstance(entry, dict) or entry.get("experiment_id") != layout.trashed_id(path):
        return None, None
    return entry, deleted_at if isinstance(deleted_at, str) else None


def restore(index: Index, wanted: str) -> str:
    """Move an experiment from the trash back into the base directory; of several with one id, the last deleted one.

    Args:
        index: the index of the base directory.
        wanted: an id, the beginning of one, or a name.

    Returns:
        Its id.

    Raises:
        ExperimentNotFoundError: if it is not in the trash.
        ExperimentExistsError: if another experiment has that id by now.
        OSError: if it cannot be moved.
    """
    layout = index.layout
    found = list_trashed(index)
    try:
        experiment_id = identifiers.resolve_id(wanted, found, layout.trash)
    except errors.ExperimentNotFoundError as error:
        raise errors.ExperimentNotFoundError(wanted, layout.trash, error.nearest, _LIST_TRASH) from None
    entry = next(entry for entry in reversed(found) if entry["experiment_id"] == experiment_id)
    path = layout.trash / os.path.basename(str(entry["directory"]))  # noqa: PTH119 - a string, from a file
    target = layout.experiment(experiment_id).root
    if os.path.lexists(target):
        raise errors.ExperimentExistsError(experiment_id, layout.root, _ID_TAKEN)
    kept, _ = _read_kept_entry(layout, path)
    if kept is not None:
        # Before the folder moves: if this process is killed in between, no field of the entry is lost.
        index.insert(kept)
    if any(path.iterdir()):
        try:
            staging.place_folder(path, target)
        except FileExistsError as error:
            raise errors.ExperimentExistsError(experiment_id, layout.root, _ID_TAKEN) from error
        index.apply(experiment_id)
    else:
        path.rmdir()
    with contextlib.suppress(FileNotFoundError):
        layout.trashed_entry(path).unlink()
    return experiment_id


def empty(index: Index) -> int:
    """Delete for good everything in the trash; links are removed, never followed.

    Returns:
        The number of deleted experiments.

    Raises:
        BaseDirectoryError: if the trash is a link.
        OSError: if something cannot be removed; what is left of it is no experiment any more.
    """
    layout = index.layout
    # Reading the entries removes those of experiments that a killed process has moved here. Once the trash is empty,
    # nothing would show why the folders of these entries are gone.
    index.entries()
    count = sum(destroy(layout, path) for path in _list_visible(layout))
    for path in list_half_deleted(layout):
        _remove(path)
    return count


def destroy(layout: BaseLayout, path: Path) -> bool:
    """Delete for good one file or folder of the trash; links are removed, never followed.

    Returns:
        Whether it was the folder of an experiment, and still existed.

    Raises:
        OSError: if it cannot be removed; what is left of it is no experiment any more.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return False
    doomed = path.with_name(f"{_DOOMED}{os.getpid()}-{path.name}")
    try:
        # Hide it by one rename first: an experiment that is half deleted must not be restored.
        path.rename(doomed)
    except FileNotFoundError:
        return False
    layout.trashed_entry(path).unlink(missing_ok=True)
    _remove(doomed)
    return True


def list_half_deleted(layout: BaseLayout) -> list[Path]:
    """The remains of experiments whose deletion for good was interrupted."""
    return sorted(layout.trash.glob(f"{_DOOMED}*"))


def _remove(path: Path) -> None:
    # Another process may be emptying the trash as well.
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)
