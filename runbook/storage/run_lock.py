"""The run lock: a process holds it while it works on an experiment, and others can see that."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from runbook.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from filelock import FileLock

_PROBE_S: Final = 5.0


class RunLock:
    """The lock that a process holds while it works on an experiment; the kernel releases it when the process dies.

    Args:
        path: the lock file; it is outside of the experiment's folder, so that copying the folder never touches it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: FileLock | None = None

    def acquire(self) -> bool:
        """Acquire the lock.

        Returns:
            Whether this process holds it; False if the disk has no locks, or another process holds it.
        """
        files.touch(self._path)
        import filelock

        lock = _build_lock(self._path)
        try:
            # Wait a little: a process that checks whether it is held holds it for a moment.
            lock.acquire(timeout=_PROBE_S)
        except (filelock.Timeout, OSError):
            return False
        self._lock = lock
        return True

    @contextlib.contextmanager
    def released_on_error(self) -> Iterator[None]:
        """A block that releases the lock when it fails."""
        try:
            yield
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Release the lock and remove its file; does nothing if it is not held."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        # An error of the lock must not fail an experiment that has ended: the kernel releases the lock when the process
        # ends, and a repair removes the file.
        with contextlib.suppress(OSError):
            self._path.unlink()
        with contextlib.suppress(OSError):
            lock.release()


def is_held(path: Path) -> bool | None:
    """Whether a process holds the lock; None if that cannot be known."""
    import filelock

    if not path.exists():
        return None
    lock = _build_lock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return True
    except OSError:
        return None
    lock.release()
    return False


def _build_lock(path: Path) -> FileLock:
    import filelock

    # Not local to a thread: another thread than the one that started an experiment may end it.
    return filelock.FileLock(path, fallback_to_soft=False, preserve_lock_file=True, thread_local=False)
