"""Processes: facts that identify one for ever, and whether one still exists."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Final

import attrs

from runbook.record.model import Owner

INITIAL_PID_NAMESPACE: Final = "pid:[4026531836]"
"""The name of the namespace outside of any container: PROC_PID_INIT_INO in Linux's include/linux/proc_ns.h."""
GONE_STATES: Final = frozenset("ZXx")


def current_owner() -> Owner:
    """This process, with the facts by which others can check later whether it is alive."""
    owner = identify(os.getpid())
    return attrs.evolve(owner, oom_kills=count_oom_kills(owner.memory_events))


@functools.lru_cache(maxsize=1)
def identify(pid: int) -> Owner:
    """The facts that identify this process.

    Args:
        pid: its number. It is the key of the cache: without it, a forked child would get the start time of its parent.
    """
    stat = read_stat(pid)
    return Owner(
        host=host_name(),
        pid=pid,
        boot_id=_read_boot_id(),
        process_started=None if stat is None else stat[1],
        pid_namespace=_read_link("/proc/self/ns/pid"),
        machine_id=_read("/etc/machine-id") or None,
        memory_events=_find_memory_events(),
    )


def host_name() -> str:
    """The name of this machine."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    import platform

    return platform.node()


def is_there(pid: int) -> bool:
    """Whether a process with that number exists on this machine."""
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


def read_stat(pid: int) -> tuple[str, str] | None:
    """The state of a process and when it started, in clock ticks since the boot; None if unknown.

    They are fields 3 and 22 of /proc/PID/stat (proc_pid_stat(5)).
    """
    stat = _read(f"/proc/{pid}/stat")
    if stat is None:
        return None
    # Not a split of the whole: the second field is the name of the program in parentheses, and may hold spaces and
    # parentheses.
    from_third = stat.rpartition(")")[2].split()
    return from_third[0], from_third[22 - 3]


def _find_memory_events() -> str | None:
    """The file that counts the out-of-memory kills of this process's control group, version 2 or 1 (cgroups(7))."""
    for line in (_read("/proc/self/cgroup") or "").splitlines():
        _, controllers, group = line.split(":", 2)
        version_2 = f"/sys/fs/cgroup{group}/memory.events"
        version_1 = f"/sys/fs/cgroup/memory{group}/memory.oom_control"
        path = {"": version_2, "memory": version_1}.get(controllers)
        if path is not None and count_oom_kills(path) is not None:
            return path
    return None


def count_oom_kills(path: str | None) -> int | None:
    """The number of processes of a control group that the kernel has killed for lack of memory; None if unknown."""
    text = None if path is None else _read(path)
    for line in (text or "").splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill" and count.isdecimal():
            return int(count)
    return None


def _read_boot_id() -> str | None:
    return _read("/proc/sys/kernel/random/boot_id")


def _read(path: str) -> str | None:
    try:
        # Every experiment reads a count this way: with the buffers of a text file it takes four times as long.
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - likewise
            return file.read().decode(errors="replace").strip()
    except OSError:
        return None


def _read_link(path: str) -> str | None:
    try:
        return str(Path(path).readlink())
    except OSError:
        return None
