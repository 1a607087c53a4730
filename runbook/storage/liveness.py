"""Who works on an experiment, and whether that process is still there.

An experiment counts as alive until it is proven dead. Proof is: under the same boot of the same machine, the process
is gone, is a zombie, or its pid belongs to a process that started at another time; from another container on the same
kernel, its run lock is free; or the machine it ran on has been started anew since.
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
    """What can be said of the process that works on an experiment."""

    ALIVE = "alive"
    """It is there."""
    DEAD = "dead"
    """It is proven not to be there."""
    UNKNOWN = "unknown"
    """It cannot be seen from here."""


@attrs.frozen
class Liveness:
    """What can be said of a process, and how that is known.

    Args:
        state: alive, dead or unknown.
        evidence: in words.
    """

    state: State
    evidence: str


def check(owner: Owner, lock: Path) -> Liveness:
    """Whether the process that works on an experiment is still there.

    Args:
        owner: the process, as its record has it.
        lock: the lock file that it holds while it works.
    """
    here = process.identify(os.getpid())
    if (owner.boot_id, owner.pid_namespace) == (here.boot_id, here.pid_namespace) and (
        owner.boot_id is not None or owner.host == here.host
    ):
        # Its lock says less here: a child that it has just forked holds it for a moment after its death.
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
    # A host name alone is no identity: containers and cloned machines share theirs, so both must be outside of
    # a container, and the same installation.
    return (
        owner.boot_id is not None
        and here.boot_id is not None
        and owner.host == here.host
        and owner.machine_id is not None
        and owner.machine_id == here.machine_id
        and owner.pid_namespace == here.pid_namespace == process.INITIAL_PID_NAMESPACE
    )
