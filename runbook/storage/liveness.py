"""Checks whether the process that works on an experiment is alive.

A process counts as alive until there is proof of its death. These are proofs:

- it ran under this boot of this machine, and it is gone, is a zombie, or its pid belongs to a process that started at
  another time;
- it ran in another container on this kernel, and its run lock is free;
- it ran on this machine, which has been rebooted since.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import TYPE_CHECKING

import attrs

from runbook.storage import process, run_lock

if TYPE_CHECKING:
    from pathlib import Path

    from runbook.record.model import Owner


class State(Enum):
    """Whether the process that works on an experiment is alive."""

    ALIVE = "alive"
    """The process exists, or holds its run lock."""
    DEAD = "dead"
    """There is proof that the process has ended."""
    UNKNOWN = "unknown"
    """This machine or container cannot see the process."""


@attrs.frozen
class Liveness:
    """Whether a process is alive, and how that is known.

    Args:
        state: alive, dead or unknown.
        evidence: how that is known, in words for people.
    """

    state: State
    evidence: str


def check(owner: Owner, lock: Path) -> Liveness:
    """Whether the process that works on an experiment is alive.

    Args:
        owner: the process, from the record of the experiment.
        lock: the lock file that it holds while it works.
    """
    here = process.identify(os.getpid())
    if (owner.boot_id, owner.pid_namespace) == (here.boot_id, here.pid_namespace) and (
        owner.boot_id is not None or owner.host == here.host
    ):
        # Not by its run lock: a child that it has just forked holds the lock for a moment after its death.
        return _check_process(owner)
    held = run_lock.is_held(lock) if owner.is_locked else None
    if held:
        return Liveness(State.ALIVE, "it holds its run lock")
    if owner.boot_id is not None and owner.boot_id == here.boot_id:
        if held is False:
            return Liveness(State.DEAD, "its run lock is free")
        return Liveness(State.UNKNOWN, f"it runs in another container, {owner.host}, and holds no lock to tell it by")
    if _is_rebooted(owner, here):
        return Liveness(State.DEAD, f"{owner.host} has been started anew since")
    return Liveness(State.UNKNOWN, f"it runs on {owner.host}, which cannot be seen from {here.host}")


def _check_process(owner: Owner) -> Liveness:
    if owner.pid == os.getpid() and owner.process_started == process.identify(owner.pid).process_started:
        return Liveness(State.ALIVE, "it is this process")
    if not process.is_there(owner.pid):
        return Liveness(State.DEAD, f"process {owner.pid} is gone")
    stat = process.read_stat(owner.pid)
    if stat is not None:
        state, started = stat
        if state in process.GONE_STATES:
            return Liveness(State.DEAD, f"process {owner.pid} has ended and waits to be reaped")
        if owner.process_started is not None and started != owner.process_started:
            return Liveness(State.DEAD, f"process {owner.pid} is another one by now")
    return Liveness(State.ALIVE, f"process {owner.pid} is there")


def _is_rebooted(owner: Owner, here: Owner) -> bool:
    # The host name is not enough: containers and cloned machines share it. Both processes must be outside of any
    # container, and on the same installation.
    return (
        owner.boot_id is not None
        and here.boot_id is not None
        and owner.host == here.host
        and owner.machine_id is not None
        and owner.machine_id == here.machine_id
        and owner.pid_namespace == here.pid_namespace == process.INITIAL_PID_NAMESPACE
    )
