"""Frees space in a base directory: deletes for good what is in the trash, and what dead processes left behind.

No experiment, and no file in the folder of one, is touched, and no link is followed. Files in the quarantine count as
deleted when they were moved there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from runbook import errors
from runbook.hints import Hint
from runbook.maintain import leftovers, trash
from runbook.serialize import timestamps
from runbook.storage import files, run_lock, staging
from runbook.storage.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbook.index import Index
    from runbook.record.layout import BaseLayout
    from runbook.typing import JsonObject, ProgressHook

_QUARANTINE_TIME: Final = "%Y%m%dT%H%M%S.%f"


@attrs.frozen
class GarbageReport:
    """What was deleted for good, or would be.

    Args:
        experiments: the ids of experiments that were in the trash.
        leftovers: paths of other files and folders in the base directory, with slashes.
        freed_bytes: the size of all of them.
        failed: for the path of each one that could not be removed, the reason.
        is_dry_run: whether nothing was deleted.
    """

    experiments: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    freed_bytes: int = 0
    failed: dict[str, str] = attrs.field(factory=dict)
    is_dry_run: bool = False


@attrs.frozen
class _Candidate:
    """A file or a folder that may be removed.

    Args:
        path: its path.
        remove: removes it; returns False if it is gone already, or must stay after all.
        experiment_id: the id if it is an experiment; None for anything else.
    """

    path: Path
    remove: Callable[[], bool]
    experiment_id: str | None = None


def collect(
    index: Index,
    *,
    older_than: timedelta | None = None,
    is_dry_run: bool = False,
    progress: ProgressHook | None = None,
) -> GarbageReport:
    """Delete for good the experiments in the trash, and the files of dead processes.

    Args:
        index: the index of the base directory.
        older_than: keep what was deleted or quarantined more recently, or at an unknown time; None keeps nothing.
        is_dry_run: change nothing, and report what would be removed.
        progress: called with the number of things that are done and the total.

    Returns:
        What was removed, and what could not be removed.

    Raises:
        BaseDirectoryError: if the base directory is a file, or its trash a link.
        UsageError: if the age is negative.
    """
    if older_than is not None and older_than < timedelta(0):
        hint = Hint("give the age as a positive timedelta", "give an age such as 30d")
        raise errors.UsageError(f"nothing can be deleted {older_than} ago", hint)
    index.check()
    if not index.layout.root.is_dir():
        return GarbageReport(is_dry_run=is_dry_run)
    candidates = [*_list_trash(index, older_than), *_list_leftovers(index, older_than)]
    meter = Meter(progress, len(candidates))
    removed: list[_Candidate] = []
    failed: dict[str, str] = {}
    freed_bytes = 0
    for candidate in candidates:
        try:
            size = _measure(candidate.path)
            if is_dry_run or candidate.remove():
                removed.append(candidate)
                freed_bytes += size
        except FileNotFoundError:
            # Another process has restored or removed it meanwhile.
            pass
        except OSError as error:
            failed[_show_path(index.layout, candidate.path)] = error.strerror or str(error)
        meter.advance()
    return GarbageReport(
        experiments=tuple(gone.experiment_id for gone in removed if gone.experiment_id is not None),
        leftovers=tuple(_show_path(index.layout, gone.path) for gone in removed if gone.experiment_id is None),
        freed_bytes=freed_bytes,
        failed=failed,
        is_dry_run=is_dry_run,
    )


def _show_path(layout: BaseLayout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()


def _measure(path: Path) -> int:
    status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode):
        return files.size_of_tree(path)
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _list_trash(index: Index, older_than: timedelta | None) -> Iterator[_Candidate]:
    layout = index.layout
    # Reading the entries removes those of experiments that a killed process has moved here. Once the trash is empty,
    # nothing would show why the folders of these entries are gone.
    index.entries()
    for entry in trash.list_trashed(index):
        if older_than is None or _is_older(_parse_deletion(entry), older_than):
            path = Path(str(entry["directory"]))
            yield _Candidate(path, _bind(trash.destroy, layout, path), str(entry["experiment_id"]))
    for path in trash.list_half_deleted(layout):
        yield _Candidate(path, _bind(_remove, path))


def _parse_deletion(entry: JsonObject) -> datetime | None:
    try:
        return timestamps.parse_time(str(entry["deleted_at"]))
    except ValueError:
        return None


def _is_older(moment: datetime | None, than: timedelta) -> bool:
    return moment is not None and datetime.now(UTC) - moment > than


def _list_leftovers(index: Index, older_than: timedelta | None) -> Iterator[_Candidate]:
    layout = index.layout
    for path in _list_temporaries(layout):
        yield _Candidate(path, _bind(_remove, path))
    for path in leftovers.list_run_locks(index):
        if leftovers.is_stale_lock(index, path) and run_lock.is_held(path) is False:
            yield _Candidate(path, _bind(_remove_lock, path))
    for path in staging.list_orphans(layout):
        yield _Candidate(path, _bind(staging.remove_orphan, path))
    for path, moment in _list_quarantined(layout):
        if older_than is None or _is_older(moment, older_than):
            yield _Candidate(path, _bind(_remove, path))


def _list_temporaries(layout: BaseLayout) -> Iterator[Path]:
    """Temporaries outside of experiments with a name that only runbook gives, too old for a process to write them."""
    for folder, is_deep in ((layout.root, False), (layout.trash, False), (layout.private, True)):
        for path in leftovers.list_temporaries(folder, is_deep=is_deep):
            is_ours = leftovers.is_ours(path, layout.registry.name) and not path.is_relative_to(layout.staging)
            if is_ours and leftovers.is_old(path):
                yield path


def _list_quarantined(layout: BaseLayout) -> Iterator[tuple[Path, datetime]]:
    """The quarantined files and folders, and when each was moved, by the time in its name."""
    prefix = f"{layout.registry.name}.damaged-"
    damaged = [
        (layout.root / name, name.removeprefix(prefix)) for name in _list_names(layout.root) if name.startswith(prefix)
    ]
    for path, moment in [*damaged, *((layout.quarantine / name, name) for name in _list_names(layout.quarantine))]:
        with contextlib.suppress(ValueError):
            yield path, datetime.strptime(moment, _QUARANTINE_TIME).replace(tzinfo=UTC)


def _list_names(folder: Path) -> list[str]:
    if folder.is_symlink() and folder.name.startswith("."):
        return []
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _bind(function: Callable[..., bool], *arguments: object) -> Callable[[], bool]:
    return lambda: function(*arguments)


def _remove(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    return True


def _remove_lock(path: Path) -> bool:
    # Only with the lock held: another process may be resuming its experiment at this moment.
    lock = run_lock.RunLock(path)
    is_acquired = lock.acquire()
    lock.release()
    return is_acquired
