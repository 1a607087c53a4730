"""Staging: a private folder in which an experiment is built, and the rename that moves it into the base directory."""

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
    """A block with a fresh private folder on the disk of the base directory; it is removed when the block ends.

    The block moves the folder away with `place_folder` if it is to stay. Orphans, the folders that killed processes
    were building, are removed first.

    Args:
        layout: the base directory; it must be prepared.

    Raises:
        OSError: if it cannot be made.
    """
    remove_orphans(layout)
    files.ensure_directory(layout.staging)
    folder, lock = _reserve_name(layout.staging)
    try:
        files.make_directory(folder)
        yield folder
    finally:
        _remove(folder)
        lock.release()


def _reserve_name(staging: Path) -> tuple[Path, RunLock]:
    import secrets

    for _ in range(_NAME_TRIES):
        folder = staging / f"{os.getpid()}-{secrets.token_hex(6)}"
        lock = RunLock(_lock_of(folder))
        # A process that removes orphans may hold the lock of a name that has just been made. On a disk without locks
        # no process gets one, and none removes anything.
        if lock.acquire():
            break
    return folder, lock


def remove_orphans(layout: BaseLayout) -> None:
    """Remove the folders that killed processes were building; on a disk without locks they stay."""
    for path in layout.staging.glob(f"*{_LOCK}"):
        remove_orphan(_folder_of(path))


def list_orphans(layout: BaseLayout) -> list[Path]:
    """The folders that killed processes were building, as far as it is known that no process works on them."""
    locks = layout.staging.glob(f"*{_LOCK}")
    return sorted(_folder_of(lock) for lock in locks if is_held(lock) is False and _folder_of(lock).exists())


def remove_orphan(folder: Path) -> bool:
    """Remove a folder that a killed process was building, unless a process works on it.

    Returns:
        Whether it was removed.
    """
    lock = RunLock(_lock_of(folder))
    is_orphan = lock.acquire()
    if is_orphan:
        _remove(folder)
        lock.release()
    return is_orphan


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK)


def _folder_of(lock: Path) -> Path:
    return lock.with_name(lock.name.removesuffix(_LOCK))


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def make_parents(folder: Path, name: str) -> Path:
    """Make the parents of a file in a staged folder.

    Args:
        folder: the staged folder.
        name: the path of the file in it, with slashes.

    Returns:
        The path of the file.
    """
    path = folder.joinpath(*name.split("/"))
    missing = [parent for parent in path.parents if parent.is_relative_to(folder) and not parent.is_dir()]
    for parent in reversed(missing):
        files.make_directory(parent)
    return path


def place_folder(source: Path, target: Path) -> None:
    """Move a folder by one rename, durably; it never replaces anything with content.

    It may replace an empty folder that another process makes at the same moment: rename(2) puts a directory only over
    an empty one.

    Raises:
        FileExistsError: if anything has the name of the target.
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
