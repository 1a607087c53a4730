"""Folders that come and go whole: a private place to build them in, and a rename that never replaces anything."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Final

from runbook.storage import files
from runbook.storage.run_lock import RunLock, is_held

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runbook.record.layout import BaseLayout

_LOCK: Final = ".lock"
_TAKEN: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR})
_NAME_TRIES: Final = 3


@contextlib.contextmanager
def staged_folder(layout: BaseLayout) -> Iterator[Path]:
    """A fresh private folder on the disk of the base directory; it goes when the block ends, unless it was placed.

    What a killed process left in its place is removed first.

    Args:
        layout: the base directory; it must be prepared.

    Raises:
        OSError: if it cannot be made.
    """
    remove_orphans(layout)
    files.ensure_directory(layout.staging)
    place, lock = _reserve(layout.staging)
    try:
        files.make_directory(place)
        yield place
    finally:
        _remove(place)
        lock.release()


def _reserve(incoming: Path) -> tuple[Path, RunLock]:
    import secrets

    for _ in range(_NAME_TRIES):
        place = incoming / f"{os.getpid()}-{secrets.token_hex(6)}"
        lock = RunLock(place.with_name(place.name + _LOCK))
        # Somebody who removes strays may hold the lock of a name that has just been made. On a disk without locks
        # nobody gets one, and nobody removes anything.
        if lock.acquire():
            break
    return place, lock


def remove_orphans(layout: BaseLayout) -> None:
    """Remove what killed processes were building; on a disk without locks, where nobody can tell, it stays."""
    for path in layout.staging.glob(f"*{_LOCK}"):
        remove_orphan(_place_of(path))


def list_orphans(layout: BaseLayout) -> list[Path]:
    """What killed processes were building, as far as it is known to be nobody's any more."""
    locks = layout.staging.glob(f"*{_LOCK}")
    return sorted(_place_of(lock) for lock in locks if is_held(lock) is False and _place_of(lock).exists())


def remove_orphan(place: Path) -> bool:
    """Remove what a killed process was building, unless somebody is at work there.

    Returns:
        Whether it was removed.
    """
    lock = RunLock(place.with_name(place.name + _LOCK))
    is_nobodys = lock.acquire()
    if is_nobodys:
        _remove(place)
        lock.release()
    return is_nobodys


def _place_of(lock: Path) -> Path:
    return lock.with_name(lock.name.removesuffix(_LOCK))


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def make_parents(folder: Path, name: str) -> Path:
    """The path of a file in a folder that is being built, after making the folders that it lies in.

    Args:
        folder: the folder.
        name: of the file in it, with slashes.
    """
    path = folder.joinpath(*name.split("/"))
    missing = [parent for parent in path.parents if parent.is_relative_to(folder) and not parent.is_dir()]
    for parent in reversed(missing):
        files.make_directory(parent)
    return path


def place_folder(source: Path, target: Path) -> None:
    """Give a folder its place by one rename, durably; what is there already stays.

    A folder that somebody makes at the same moment and that is still empty may be replaced, which costs nobody
    anything: rename(2) puts a directory only over an empty one.

    Raises:
        FileExistsError: if there is anything of that name.
        OSError: if it cannot be renamed.
    """
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in _TAKEN:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        raise
    files.fsync_directory(target.parent)
    files.fsync_directory(source.parent)
