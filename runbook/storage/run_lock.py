"""The lock that an experiment holds while it runs."""

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
    """Held by a process as long as it works on an experiment; the kernel lets go of it when the process dies.

    Args:
        path: the lock file; outside of the experiment's folder, so that a copy of that never touches it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: FileLock | None = None

    def acquire(self) -> bool:
        """Take it; False where the disk has no locks, or where somebody else holds it."""
        files.touch(self._path)
        import filelock

        lock = _lock_at(self._path)
        try:
            # Somebody who looks whether it is held holds it for a moment.
            lock.acquire(timeout=_PROBE_S)
        except (filelock.Timeout, OSError):
            return False
        self._lock = lock
        return True

    @contextlib.contextmanager
    def released_on_error(self) -> Iterator[None]:
        """Let go of it when the block fails."""
        try:
            yield
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let go of it and remove its file."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        # An experiment that has ended must not fail for its lock: the kernel lets go of it with the process, and a
        # file that stays is swept up by a repair.
        with contextlib.suppress(OSError):
            self._path.unlink()
        with contextlib.suppress(OSError):
            lock.release()


def is_held(path: Path) -> bool | None:
    """Whether somebody holds a lock; None where that cannot be found out."""
    import filelock

    if not path.exists():
        return None
    lock = _lock_at(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return True
    except OSError:
        return None
    lock.release()
    return False


def _lock_at(path: Path) -> FileLock:
    import filelock

    # Not for a thread alone: an experiment may be ended by another thread than the one that began it.
    return filelock.FileLock(path, fallback_to_soft=False, preserve_lock_file=True, thread_local=False)
