"""The marks of experiments whose entries are pending, and the lock under which they are brought up to date.

A mark is an empty file with the name of its experiment. A writer claims a mark by a rename before it reads the record,
so a mark that is made from then on means a newer record. The marks of a killed process stay for others.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Final

from runbook.record import identifiers
from runbook.storage import base_directory, files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from filelock import FileLock

    from runbook.record.layout import BaseLayout

_POLL_S: Final = 0.015
_LOOKS: Final = 3
"""How many looks for the mark between two tries for the lock; a try costs twenty times as much as a look."""
_LONGEST_PAUSE_S: Final = 0.25
_CLAIMED: Final = ".taken"
_locks: dict[tuple[int, Path], FileLock] = {}


def mark(layout: BaseLayout, experiment_id: str) -> None:
    """Mark an experiment whose record is about to change.

    Raises:
        OSError: if the mark cannot be made.
    """
    _touch(layout, layout.mark(experiment_id))


def list_marked(layout: BaseLayout) -> set[str]:
    """The ids of the experiments that are marked, claimed or not."""
    try:
        names = os.listdir(layout.pending)
    except FileNotFoundError:
        return set()
    ids = {name.removesuffix(_CLAIMED) for name in names}
    return {experiment_id for experiment_id in ids if identifiers.is_folder_name(experiment_id)}


def count(layout: BaseLayout) -> int:
    """How many marks there are."""
    try:
        return len(os.listdir(layout.pending))
    except FileNotFoundError:
        return 0


def is_marked(layout: BaseLayout, experiment_id: str) -> bool:
    """Whether an experiment is marked, and the mark claimed or not."""
    mark = os.path.join(layout.pending, experiment_id)  # noqa: PTH118 - asked again and again by all that wait
    return os.path.exists(mark) or os.path.exists(mark + _CLAIMED)  # noqa: PTH110 - likewise


def wait_until_cleared(layout: BaseLayout, experiment_id: str) -> None:
    """Wait a moment, and no longer than the mark of an experiment is there.

    The more processes wait, the longer each pause: the one that gets the lock works for all, and 64 processes that
    try every few milliseconds would leave it no processor time.
    """
    pause_s = min(_POLL_S * max(1, count(layout) // 2), _LONGEST_PAUSE_S)
    for _ in range(_LOOKS):
        if not is_marked(layout, experiment_id):
            return
        time.sleep(pause_s / _LOOKS)


def claim_marks(layout: BaseLayout) -> set[str]:
    """Claim every mark, and return the ids; called under the lock, before the records are read."""
    ids = list_marked(layout)
    for experiment_id in ids:
        mark = layout.mark(experiment_id)
        with contextlib.suppress(FileNotFoundError):
            mark.replace(_claimed(mark))
    return ids


def clear_marks(layout: BaseLayout, ids: Iterable[str]) -> None:
    """Remove the claimed marks, when the entries of their experiments have been written."""
    for experiment_id in ids:
        with contextlib.suppress(FileNotFoundError):
            _claimed(layout.mark(experiment_id)).unlink()


@contextlib.contextmanager
def locked(layout: BaseLayout, timeout_s: float) -> Iterator[None]:
    """A block in which no other process writes the index.

    Raises:
        filelock.Timeout: if another process holds the lock for longer.
        OSError: if there is no lock to be had.
    """
    path = layout.registry_lock
    if not path.exists():
        _touch(layout, path)
    with _lock_of(path).acquire(timeout=timeout_s):
        yield


def is_locked_here(layout: BaseLayout) -> bool:
    """Whether this very thread is in a `locked` block already."""
    return _lock_of(layout.registry_lock).is_locked


def _touch(layout: BaseLayout, path: Path) -> None:
    try:
        files.touch(path)
    except FileNotFoundError:
        # Users may delete our folder while nothing runs, and may be wrong about what runs.
        base_directory.prepare(layout)
        files.touch(path)


def _claimed(mark: Path) -> Path:
    return mark.with_name(mark.name + _CLAIMED)


def _lock_of(path: Path) -> FileLock:
    # One object for each path and process: a forked child may not use the one of its parent.
    import filelock

    key = (os.getpid(), path)
    if key not in _locks:
        _locks[key] = filelock.FileLock(path, poll_interval=_POLL_S, fallback_to_soft=False, preserve_lock_file=True)
    return _locks[key]
