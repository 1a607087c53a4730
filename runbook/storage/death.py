"""Finds the ending of an experiment whose process died without recording one, from its files and the kernel."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import attrs

from runbook.errors import DamagedFileError
from runbook.record.status import EndReason, Status
from runbook.serialize import json_text
from runbook.storage import history, process

if TYPE_CHECKING:
    from runbook.record.layout import ExperimentLayout
    from runbook.record.model import ExperimentRecord, Owner
    from runbook.storage.liveness import Liveness

_REASONS: Final = {"SIGTERM": EndReason.SIGTERM, "SIGHUP": EndReason.SIGHUP, "SIGINT": EndReason.KEYBOARD}


def last_sign_of_life(folder: ExperimentLayout) -> datetime:
    """The latest modification time among the files that the experiment itself writes, in UTC."""
    # Somebody who adds a note changes these two; that is no sign that the experiment is alive.
    not_its_own = {str(folder.logs), str(folder.annotations)}
    latest = 0.0
    for directory in (folder.root, *folder.folders):
        with contextlib.suppress(OSError), os.scandir(directory) as inside:
            own = (entry.stat(follow_symlinks=False) for entry in inside if entry.path not in not_its_own)
            latest = max([latest, *(status.st_mtime for status in own)])
    return datetime.fromtimestamp(latest, UTC)


def reconstruct_ending(record: ExperimentRecord, folder: ExperimentLayout, liveness: Liveness) -> ExperimentRecord:
    """The record of an experiment whose process died without recording an ending, completed with an ending.

    The end is its last sign of life. The reason is the last signal that it noted, or else that the kernel has killed
    processes of its control group for lack of memory.

    Args:
        record: the record on disk.
        folder: the experiment's folder.
        liveness: how it is known that the process is dead.
    """
    *earlier, last = record.attempts
    ended = max(last_sign_of_life(folder), last.started_at)
    reason, cause = _find_reason(folder, last.owner)
    evidence = f"{liveness.evidence}; {cause}" if cause else liveness.evidence
    attempt = attrs.evolve(last, ended_at=ended, end_reason=reason, evidence=evidence)
    return attrs.evolve(
        record,
        status=Status.INTERRUPTED,
        end_reason=reason,
        completed_at=ended,
        metrics=record.metrics or history.read_final_metrics(folder),
        attempts=(*earlier, attempt),
    )


def _find_reason(folder: ExperimentLayout, owner: Owner) -> tuple[EndReason, str | None]:
    signal_name = _read_last_signal(folder)
    if signal_name is not None:
        return _REASONS.get(signal_name, EndReason.SIGNAL), f"{signal_name} had arrived"
    # In another container, or after a reboot, the same path is the count of another control group.
    here = process.identify(os.getpid())
    is_same = (owner.boot_id, owner.pid_namespace) == (here.boot_id, here.pid_namespace)
    now = process.count_oom_kills(owner.memory_events) if is_same else None
    if owner.oom_kills is not None and now is not None and now > owner.oom_kills:
        return EndReason.MEMORY, "the kernel has killed in its control group for lack of memory since it started"
    return EndReason.VANISHED, None


def _read_last_signal(folder: ExperimentLayout) -> str | None:
    try:
        lines = folder.signals.read_bytes().splitlines()
        name = json_text.decode_object(lines[-1], folder.signals).get("signal")
    except (OSError, IndexError, DamagedFileError):
        return None
    return name if isinstance(name, str) else None
