"""Who works on an experiment, and whether that process is still there."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from runbook.records import Owner


def current_owner() -> Owner:
    """This process, with what it takes to tell later whether it is alive."""
    return _owner(os.getpid())


@functools.lru_cache(maxsize=1)
def _owner(pid: int) -> Owner:
    # Asked for by pid, so that a forked child does not answer with its parent's start time.
    return Owner(
        host=host_name(),
        pid=pid,
        boot_id=_read("/proc/sys/kernel/random/boot_id"),
        process_started=process_start(pid),
        pid_namespace=_link("/proc/self/ns/pid"),
    )


def host_name() -> str:
    """The name of this machine."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    import platform

    return platform.node()


def process_start(pid: int) -> str | None:
    """When a process started, in clock ticks since the boot; None where the system does not say.

    It is field 22 of /proc/PID/stat (proc_pid_stat(5)).
    """
    stat = _read(f"/proc/{pid}/stat")
    if stat is None:
        return None
    # The second field is the program's name in parentheses, and may itself hold spaces and parentheses.
    fields_from_third = stat.rpartition(")")[2].split()
    return fields_from_third[22 - 3]


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _link(path: str) -> str | None:
    try:
        return str(Path(path).readlink())
    except OSError:
        return None
