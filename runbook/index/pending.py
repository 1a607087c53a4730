"""The marks of experiments whose lines in the index are out of date, and the lock under which they are brought up.

A mark is an empty file with the name of its experiment. Whoever folds takes it first, by a rename, and reads the
record then, so that a mark set from that moment on means a newer record. A killed process leaves its marks to others.
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
"""How often to look for a mark between two tries for the lock, which cost twenty times as much."""
_LONGEST_PAUSE_S: Final = 0.25
_TAKEN: Final = ".taken"
_locks: dict[tuple[int, Path], FileLock] = {}


def mark(layout: BaseLayout, experiment_id: str) -> None:
    """Mark an experiment; ours to say when its record is about to change.

    Raises:
        OSError: if the mark cannot be made.
    """
    _touch(layout, layout.mark(experiment_id))


def list_marked(layout: BaseLayout) -> set[str]:
    """The ids of the experiments that are marked, taken or not."""
    try:
        names = os.listdir(layout.pending)
    except FileNotFoundError:
        return set()
    ids = {name.removesuffix(_TAKEN) for name in names}
    return {experiment_id for experiment_id in ids if identifiers.is_folder_name(experiment_id)}


def count(layout: BaseLayout) -> int:
    """How many marks there are."""
    try:
        return len(os.listdir(layout.pending))
    except FileNotFoundError:
        return 0


def is_marked(layout: BaseLayout, experiment_id: str) -> bool:
    """Whether an experiment is marked, taken or not."""
    mark = os.path.join(layout.pending, experiment_id)  # noqa: PTH118 - asked again and again by all that wait
    return os.path.exists(mark) or os.path.exists(mark + _TAKEN)  # noqa: PTH110 - likewise


def wait_until_cleared(layout: BaseLayout, experiment_id: str) -> None:
    """Wait a moment, and no longer than the mark of an experiment is there.

    The more wait, the longer: whoever gets the lock next does it for all, and 64 processes that try for it every few
    milliseconds leave it no processor to do it with.
    """
    pause_s = min(_POLL_S * max(1, count(layout) // 2), _LONGEST_PAUSE_S)
    for _ in range(_LOOKS):
        if not is_marked(layout, experiment_id):
            return
        time.sleep(pause_s / _LOOKS)


def claim_marks(layout: BaseLayout) -> set[str]:
    """Take every mark, and give the ids; before their records are read, and under the lock."""
    ids = list_marked(layout)
    for experiment_id in ids:
        mark = layout.mark(experiment_id)
        with contextlib.suppress(FileNotFoundError):
            mark.replace(_taken(mark))
    return ids


def clear_marks(layout: BaseLayout, ids: Iterable[str]) -> None:
    """Remove the marks that were taken, when the lines of their experiments have been written."""
    for experiment_id in ids:
        with contextlib.suppress(FileNotFoundError):
            _taken(layout.mark(experiment_id)).unlink()


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
        # Our folder may be deleted while nothing runs, and somebody may think that nothing runs.
        base_directory.prepare(layout)
        files.touch(path)


def _taken(mark: Path) -> Path:
    return mark.with_name(mark.name + _TAKEN)


def _lock_of(path: Path) -> FileLock:
    # One object for each path and process; a forked child may not use its parent's.
    import filelock

    key = (os.getpid(), path)
    if key not in _locks:
        _locks[key] = filelock.FileLock(path, poll_interval=_POLL_S, fallback_to_soft=False, preserve_lock_file=True)
    return _locks[key]
