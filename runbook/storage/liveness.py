"""Who works on an experiment, and whether that process is still there.

An experiment counts as alive until it is proven dead. Proof is: under the same boot of the same machine, the process
is gone, is a zombie, or its pid belongs to a process that started at another time; from another container on the same
kernel, its life lock is free; or the machine it ran on has been started anew since.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from runbook.errors import DamagedFileError
from runbook.record.model import ExperimentRecord, Owner
from runbook.record.status import EndReason, Status
from runbook.serialize import json_text
from runbook.storage import files, history

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filelock import FileLock

    from runbook.record.layout import ExperimentLayout

_INITIAL_PID_NAMESPACE: Final = "pid:[4026531836]"
"""The name of the namespace outside of any container: PROC_PID_INIT_INO in Linux's include/linux/proc_ns.h."""

_PROBE_S: Final = 5.0
_GONE_STATES: Final = frozenset("ZXx")
_REASONS: Final = {"SIGTERM": EndReason.SIGTERM, "SIGHUP": EndReason.SIGHUP, "SIGINT": EndReason.KEYBOARD}


class State(Enum):
    """What can be said of the process that works on an experiment."""

    ALIVE = "alive"
    """It is there."""
    DEAD = "dead"
    """It is proven not to be there."""
    UNKNOWN = "unknown"
    """It cannot be seen from here."""


@attrs.frozen
class Verdict:
    """What can be said of a process, and how that is known.

    Args:
        state: alive, dead or unknown.
        evidence: in words.
    """

    state: State
    evidence: str


def current_owner() -> Owner:
    """This process, with what it takes to tell later whether it is alive."""
    owner = _owner(os.getpid())
    return attrs.evolve(owner, oom_kills=_oom_kills(owner.memory_events))


@functools.lru_cache(maxsize=1)
def _owner(pid: int) -> Owner:
    # Asked for by pid, so that a forked child does not answer with its parent's start time.
    stat = _process_stat(pid)
    return Owner(
        host=host_name(),
        pid=pid,
        boot_id=_boot_id(),
        process_started=None if stat is None else stat[1],
        pid_namespace=_link("/proc/self/ns/pid"),
        machine_id=_read("/etc/machine-id") or None,
        memory_events=_memory_events(),
    )


def host_name() -> str:
    """The name of this machine."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    import platform

    return platform.node()


def judge(owner: Owner, life_lock: Path) -> Verdict:
    """Whether the process that works on an experiment is still there.

    Args:
        owner: the process, as its record has it.
        life_lock: the lock file that it holds while it works.
    """
    here = _owner(os.getpid())
    if (owner.boot_id, owner.pid_namespace) == (here.boot_id, here.pid_namespace) and (
        owner.boot_id is not None or owner.host == here.host
    ):
        # Its lock says less here: a child that it has just forked holds it for a moment after its death.
        return _judge_process(owner)
    held = is_held(life_lock) if owner.is_locked else None
    if held:
        return Verdict(State.ALIVE, "it holds its life lock")
    if owner.boot_id is not None and owner.boot_id == here.boot_id:
        if held is False:
            return Verdict(State.DEAD, "its life lock is free")
        return Verdict(State.UNKNOWN, f"it runs in another container, {owner.host}, and holds no lock to tell it by")
    if _is_rebooted(owner, here):
        return Verdict(State.DEAD, f"{owner.host} has been started anew since")
    return Verdict(State.UNKNOWN, f"it runs on {owner.host}, which cannot be seen from {here.host}")


def _judge_process(owner: Owner) -> Verdict:
    if owner.pid == os.getpid() and owner.process_started == _owner(owner.pid).process_started:
        return Verdict(State.ALIVE, "it is this process")
    if not is_there(owner.pid):
        return Verdict(State.DEAD, f"process {owner.pid} is gone")
    stat = _process_stat(owner.pid)
    if stat is not None:
        state, started = stat
        if state in _GONE_STATES:
            return Verdict(State.DEAD, f"process {owner.pid} has ended and waits to be reaped")
        if owner.process_started is not None and started != owner.process_started:
            return Verdict(State.DEAD, f"process {owner.pid} is another one by now")
    return Verdict(State.ALIVE, f"process {owner.pid} is there")


def _is_rebooted(owner: Owner, here: Owner) -> bool:
    # A host name alone is no identity: containers and cloned machines share theirs, so both must be outside of
    # a container, and the same installation.
    return (
        owner.boot_id is not None
        and here.boot_id is not None
        and owner.host == here.host
        and owner.machine_id is not None
        and owner.machine_id == here.machine_id
        and owner.pid_namespace == here.pid_namespace == _INITIAL_PID_NAMESPACE
    )


def is_there(pid: int) -> bool:
    """Whether there is a process of that number on this machine."""
    if sys.platform == "win32":
        # os.kill(pid, 0) would end the process there.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _process_stat(pid: int) -> tuple[str, str] | None:
    """The state of a process and when it started, in clock ticks since the boot; None where it does not say.

    They are fields 3 and 22 of /proc/PID/stat (proc_pid_stat(5)).
    """
    stat = _read(f"/proc/{pid}/stat")
    if stat is None:
        return None
    # The second field is the program's name in parentheses, and may itself hold spaces and parentheses.
    from_third = stat.rpartition(")")[2].split()
    return from_third[0], from_third[22 - 3]


def _memory_events() -> str | None:
    """The file that counts the out-of-memory kills of this process's control group, version 2 or 1 (cgroups(7))."""
    for line in (_read("/proc/self/cgroup") or "").splitlines():
        _, controllers, group = line.split(":", 2)
        version_2 = f"/sys/fs/cgroup{group}/memory.events"
        version_1 = f"/sys/fs/cgroup/memory{group}/memory.oom_control"
        path = {"": version_2, "memory": version_1}.get(controllers)
        if path is not None and _oom_kills(path) is not None:
            return path
    return None


def _oom_kills(path: str | None) -> int | None:
    text = None if path is None else _read(path)
    for line in (text or "").splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill" and count.isdecimal():
            return int(count)
    return None


def last_sign_of_life(folder: ExperimentLayout) -> datetime:
    """When the experiment last wrote into its folder, as far as its own files tell."""
    # A note that somebody adds from outside changes these two, and says nothing of the experiment.
    not_its_own = {str(folder.logs), str(folder.annotations)}
    latest = 0.0
    for place in (folder.root, *folder.folders):
        with contextlib.suppress(OSError), os.scandir(place) as inside:
            own = (entry.stat(follow_symlinks=False) for entry in inside if entry.path not in not_its_own)
            latest = max([latest, *(status.st_mtime for status in own)])
    return datetime.fromtimestamp(latest, UTC)


def vanished(record: ExperimentRecord, folder: ExperimentLayout, verdict: Verdict) -> ExperimentRecord:
    """The record of an experiment whose process is dead and did not write down why.

    It ended at its last sign of life; a signal that it noted before it died, or the kernel's count of processes
    killed for lack of memory, names the reason.
    """
    *earlier, last = record.attempts
    ended = max(last_sign_of_life(folder), last.started_at)
    reason, evidence = _reason(folder, last.owner)
    said = f"{verdict.evidence}; {evidence}" if evidence else verdict.evidence
    attempt = attrs.evolve(last, ended_at=ended, end_reason=reason, evidence=said)
    return attrs.evolve(
        record,
        status=Status.INTERRUPTED,
        end_reason=reason,
        completed_at=ended,
        metrics=record.metrics or history.metrics_left_behind(folder),
        attempts=(*earlier, attempt),
    )


def _reason(folder: ExperimentLayout, owner: Owner) -> tuple[EndReason, str | None]:
    signal_name = _last_signal(folder)
    if signal_name is not None:
        return _REASONS.get(signal_name, EndReason.SIGNAL), f"{signal_name} had arrived"
    # In another container, or after a new start, the same path is somebody else's count.
    here = _owner(os.getpid())
    is_same = (owner.boot_id, owner.pid_namespace) == (here.boot_id, here.pid_namespace)
    now = _oom_kills(owner.memory_events) if is_same else None
    if owner.oom_kills is not None and now is not None and now > owner.oom_kills:
        return EndReason.MEMORY, "the kernel has killed in its control group for lack of memory since it started"
    return EndReason.VANISHED, None


def _last_signal(folder: ExperimentLayout) -> str | None:
    try:
        lines = folder.signals.read_bytes().splitlines()
        name = json_text.decode_object(lines[-1], folder.signals).get("signal")
    except (OSError, IndexError, DamagedFileError):
        return None
    return name if isinstance(name, str) else None


class LifeLock:
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


def _boot_id() -> str | None:
    return _read("/proc/sys/kernel/random/boot_id")


def _read(path: str) -> str | None:
    try:
        # A count that each experiment asks for: with a text file's buffers it takes four times as long.
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - likewise
            return file.read().decode(errors="replace").strip()
    except OSError:
        return None


def _link(path: str) -> str | None:
    try:
        return str(Path(path).readlink())
    except OSError:
        return None
