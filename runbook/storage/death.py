"""The ending of an experiment whose process died without recording one, as far as its files and the kernel tell."""

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
    """When the experiment last wrote into its folder, as far as its own files tell."""
    # A note that somebody adds from outside changes these two, and says nothing of the experiment.
    not_its_own = {str(folder.logs), str(folder.annotations)}
    latest = 0.0
    for place in (folder.root, *folder.folders):
        with contextlib.suppress(OSError), os.scandir(place) as inside:
            own = (entry.stat(follow_symlinks=False) for entry in inside if entry.path not in not_its_own)
            latest = max([latest, *(status.st_mtime for status in own)])
    return datetime.fromtimestamp(latest, UTC)


def reconstruct_ending(record: ExperimentRecord, folder: ExperimentLayout, liveness: Liveness) -> ExperimentRecord:
    """The record of an experiment whose process is dead and did not write down why.

    It ended at its last sign of life; a signal that it noted before it died, or the kernel's count of processes
    killed for lack of memory, names the reason.
    """
    *earlier, last = record.attempts
    ended = max(last_sign_of_life(folder), last.started_at)
    reason, evidence = _reason(folder, last.owner)
    said = f"{liveness.evidence}; {evidence}" if evidence else liveness.evidence
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
    here = process.identify(os.getpid())
    is_same = (owner.boot_id, owner.pid_namespace) == (here.boot_id, here.pid_namespace)
    now = process.count_oom_kills(owner.memory_events) if is_same else None
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
