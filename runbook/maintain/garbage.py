"""Making room in a base directory: what was deleted goes for good, and what dead processes left behind.

Nothing that is an experiment, or lies in the folder of one, is touched, and no link is followed. What a repair or a
merge moved out of the way counts as deleted at that time.
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

_SET_ASIDE_TIME: Final = "%Y%m%dT%H%M%S.%f"


@attrs.frozen
class GarbageReport:
    """What was deleted for good, or would be.

    Args:
        experiments: their ids; they were in the trash.
        leftovers: paths in the base directory, with slashes.
        freed_bytes: how large all of it was.
        failed: what could not be removed, by its path, and why.
        is_dry_run: whether nothing was done.
    """

    experiments: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    freed_bytes: int = 0
    failed: dict[str, str] = attrs.field(factory=dict)
    is_dry_run: bool = False


@attrs.frozen
class _Piece:
    """Something to be removed.

    Args:
        path: where it is.
        remove: removes it; False if it is not there any more, or not to be removed after all.
        experiment_id: where it is an experiment.
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
    """Remove what nobody needs any more.

    Args:
        index: the index of the base directory.
        older_than: spare what was deleted, or moved out of the way, more recently, or nobody knows when; None spares
            nothing of it.
        is_dry_run: change nothing, and say what would be removed.
        progress: told how many things are removed, of how many.

    Returns:
        What was removed, and what could not be.

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
    pieces = [*_trash(index, older_than), *_leftovers(index, older_than)]
    meter = Meter(progress, len(pieces))
    removed: list[_Piece] = []
    failed: dict[str, str] = {}
    freed_bytes = 0
    for piece in pieces:
        try:
            size = _size(piece.path)
            if is_dry_run or piece.remove():
                removed.append(piece)
                freed_bytes += size
        except FileNotFoundError:
            # Somebody else has restored or removed it meanwhile.
            pass
        except OSError as error:
            failed[_shown(index.layout, piece.path)] = error.strerror or str(error)
        meter.advance()
    return GarbageReport(
        experiments=tuple(piece.experiment_id for piece in removed if piece.experiment_id is not None),
        leftovers=tuple(_shown(index.layout, piece.path) for piece in removed if piece.experiment_id is None),
        freed_bytes=freed_bytes,
        failed=failed,
        is_dry_run=is_dry_run,
    )


def _shown(layout: BaseLayout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()


def _size(path: Path) -> int:
    status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode):
        return files.size_of_tree(path)
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _trash(index: Index, older_than: timedelta | None) -> Iterator[_Piece]:
    layout = index.layout
    # What a killed process moved here may still have its line; without its folder, nobody could tell why it is gone.
    index.entries()
    for entry in trash.trashed(index):
        if older_than is None or _is_older(_deleted_at(entry), older_than):
            path = Path(str(entry["directory"]))
            yield _Piece(path, _call(trash.destroy, layout, path), str(entry["experiment_id"]))
    for path in trash.half_deleted(layout):
        yield _Piece(path, _call(_remove, path))


def _deleted_at(entry: JsonObject) -> datetime | None:
    try:
        return timestamps.parse_time(str(entry["deleted_at"]))
    except ValueError:
        return None


def _is_older(moment: datetime | None, than: timedelta) -> bool:
    return moment is not None and datetime.now(UTC) - moment > than


def _leftovers(index: Index, older_than: timedelta | None) -> Iterator[_Piece]:
    layout = index.layout
    for path in _temporaries(layout):
        yield _Piece(path, _call(_remove, path))
    for path in leftovers.run_locks(index):
        if leftovers.is_stale_lock(index, path) and run_lock.is_held(path) is False:
            yield _Piece(path, _call(_remove_lock, path))
    for path in staging.list_orphans(layout):
        yield _Piece(path, _call(staging.remove_orphan, path))
    for path, moment in _set_aside(layout):
        if older_than is None or _is_older(moment, older_than):
            yield _Piece(path, _call(_remove, path))


def _temporaries(layout: BaseLayout) -> Iterator[Path]:
    """Those outside of experiments, which are ours by their names, and so old that no machine writes them any more."""
    for place, is_deep in ((layout.root, False), (layout.trash, False), (layout.private, True)):
        for path in leftovers.temporaries(place, is_deep=is_deep):
            is_ours = leftovers.is_ours(path, layout.registry.name) and not path.is_relative_to(layout.staging)
            if is_ours and leftovers.is_old(path):
                yield path


def _set_aside(layout: BaseLayout) -> Iterator[tuple[Path, datetime]]:
    """What was moved out of the way, and when, which its name says."""
    prefix = f"{layout.registry.name}.damaged-"
    damaged = [
        (layout.root / name, name.removeprefix(prefix)) for name in _names(layout.root) if name.startswith(prefix)
    ]
    for path, said in [*damaged, *((layout.quarantine / name, name) for name in _names(layout.quarantine))]:
        with contextlib.suppress(ValueError):
            yield path, datetime.strptime(said, _SET_ASIDE_TIME).replace(tzinfo=UTC)


def _names(place: Path) -> list[str]:
    if place.is_symlink() and place.name.startswith("."):
        return []
    try:
        return sorted(os.listdir(place))
    except OSError:
        return []


def _call(function: Callable[..., bool], *arguments: object) -> Callable[[], bool]:
    return lambda: function(*arguments)


def _remove(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    return True


def _remove_lock(path: Path) -> bool:
    # Only while nobody else has it: its experiment may be going on at this moment.
    lock = run_lock.RunLock(path)
    is_ours = lock.acquire()
    lock.release()
    return is_ours
