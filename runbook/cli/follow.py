"""The state of running experiments, read from outside their processes."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from runbook import errors
from runbook.record import registry_entry
from runbook.record.layout import BaseLayout
from runbook.record.status import Status
from runbook.serialize import json_text, timestamps
from runbook.serialize.flatten import restore_floats
from runbook.storage import death, experiment_folder, liveness, progress
from runbook.storage.history import RESERVED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from runbook.api.manager import ExperimentManager
    from runbook.record.layout import ExperimentLayout
    from runbook.typing import JsonObject

_TAIL_BYTES: Final = 65536
_LEAST_SILENCE_S: Final = 60.0
_LEAST_KNOWN_SILENCE_S: Final = 10.0
_SILENT_UNITS: Final = 5
ENDED: Final = "ended"


@attrs.frozen
class Snapshot:
    """The state of an experiment at one moment.

    Args:
        experiment_id: its id.
        custom_name: the name that the user gave it.
        status: its status.
        end_reason: what ended it; None while it runs.
        state: "alive", "unknown" if its process cannot be seen from here, or "ended".
        evidence: the reason for `state`, in words.
        step: the last logged step.
        metrics: the last value of each metric that was logged lately; after its end the final metrics.
        progress: the last recorded progress; None without one.
        last_sign_of_life: when it last wrote into its folder.
        duration_s: how long it has run, in seconds.
        usual_pause_s: the usual time between two writes, in seconds; None if it is unknown.
    """

    experiment_id: str
    custom_name: str | None
    status: str
    end_reason: str | None
    state: str
    evidence: str
    step: float | None
    metrics: dict[str, Any]
    progress: progress.Progress | None
    last_sign_of_life: datetime
    duration_s: float | None
    usual_pause_s: float | None = None

    def to_jsonable(self) -> JsonObject:
        """The state as JSON-compatible data."""
        recorded: JsonObject | None = None
        if self.progress is not None:
            recorded = {
                "done": self.progress.done,
                "total": self.progress.total,
                "time": timestamps.format_time(self.progress.time),
                "per_second": self.progress.rate,
                "remaining_s": self.remaining_s(datetime.now(UTC)),
            }
        return {
            **{name: getattr(self, name) for name in ("experiment_id", "custom_name", "status", "end_reason")},
            **{name: getattr(self, name) for name in ("state", "evidence", "step", "metrics")},
            "progress": recorded,
            "last_sign_of_life": timestamps.format_time(self.last_sign_of_life),
            "duration_s": self.duration_s,
        }

    def silent_s(self, now: datetime) -> float:
        """The seconds since its last sign of life."""
        return max(0.0, (now - self.last_sign_of_life).total_seconds())

    def is_silent(self, now: datetime) -> bool:
        """Whether its last sign of life is much older than usual: it may be stuck, or stopped."""
        usual = self.usual_pause_s
        least = _LEAST_SILENCE_S if usual is None else max(_LEAST_KNOWN_SILENCE_S, _SILENT_UNITS * usual)
        return self.state != ENDED and self.silent_s(now) > least

    def remaining_s(self, now: datetime) -> float | None:
        """The remaining time in seconds; None where that would be a guess.

        It is a guess if the last progress is much older than one unit of work takes: the experiment may be stuck.
        """
        recorded = self.progress
        if (
            recorded is None
            or recorded.rate is None
            or recorded.remaining_s is None
            or self.state == ENDED
            or self.is_silent(now)
        ):
            return None
        since = max(0.0, (now - recorded.time).total_seconds())
        if since > max(_LEAST_SILENCE_S, _SILENT_UNITS / recorded.rate):
            return None
        return max(0.0, recorded.remaining_s - since)


class Follower:
    """Reads the state of running experiments repeatedly, and keeps those that have ended since.

    Args:
        manager: the manager of the base directory.
        only: the ids to follow; empty for all that run.
    """

    def __init__(self, manager: ExperimentManager, only: Collection[str] = ()) -> None:
        self._manager = manager
        self._base = BaseLayout(manager.base_dir)
        self._only = frozenset(only)
        self._running = frozenset(only)
        self._ended: dict[str, Snapshot] = {}

    def look(self) -> list[Snapshot]:
        """The experiments that run, and those that ran at an earlier call; oldest first."""
        entries = {
            str(entry["experiment_id"]): entry
            for entry in self._manager.find(status=Status.RUNNING)
            if not self._only or entry["experiment_id"] in self._only
        }
        gone = self._running - entries.keys() - self._ended.keys()
        # Only if one has ended, because a list of all takes time in proportion to the whole base directory.
        for entry in self._manager.list_experiments() if gone else ():
            if entry["experiment_id"] in gone:
                self._ended[entry["experiment_id"]] = _take_snapshot(self._base, entry)
        # A resumed experiment runs again.
        for experiment_id in entries:
            self._ended.pop(experiment_id, None)
        self._running = frozenset(entries)
        snapshots = [*self._ended.values(), *(_take_snapshot(self._base, entry) for entry in entries.values())]
        return sorted(snapshots, key=lambda snapshot: snapshot.experiment_id)


def _take_snapshot(base: BaseLayout, entry: dict[str, Any]) -> Snapshot:
    experiment_id = str(entry["experiment_id"])
    layout = base.experiment(experiment_id)
    now = datetime.now(UTC)
    state, evidence = ENDED, ""
    if entry["status"] == Status.RUNNING:
        state, evidence = _check_liveness(base, experiment_id)
    rows = _read_last_rows(layout.history)
    step, metrics = _find_last_values(rows)
    recorded = progress.read(layout.progress)
    return Snapshot(
        experiment_id=experiment_id,
        custom_name=entry["custom_name"],
        status=str(entry["status"]),
        end_reason=entry["end_reason"],
        state=state,
        evidence=evidence,
        step=step,
        metrics=metrics if state != ENDED else entry["metrics"],
        progress=recorded,
        last_sign_of_life=_find_last_sign(layout, entry),
        duration_s=registry_entry.duration_of(entry, now),
        usual_pause_s=_estimate_pause_s(rows, recorded),
    )


def _estimate_pause_s(rows: Sequence[JsonObject], recorded: progress.Progress | None) -> float | None:
    """The mean time between the last logged rows, or for a unit of work, whichever is shorter; None if unknown."""
    known = [1 / recorded.rate] if recorded is not None and recorded.rate is not None else []
    with contextlib.suppress(ValueError, OverflowError):
        if len(rows) > 1:
            first, last = (timestamps.parse_time(str(row.get("time"))) for row in (rows[0], rows[-1]))
            known.append(max(0.0, (last - first).total_seconds()) / (len(rows) - 1))
    return min(known, default=None)


def _find_last_sign(layout: ExperimentLayout, entry: dict[str, Any]) -> datetime:
    ended = registry_entry.parse_moment(entry["completed_at"])
    return death.last_sign_of_life(layout) if ended is None else ended


def _check_liveness(base: BaseLayout, experiment_id: str) -> tuple[str, str]:
    unknown = liveness.Liveness(liveness.State.UNKNOWN, "its record does not say which process works on it")
    found = unknown
    with contextlib.suppress(OSError, errors.DamagedFileError, errors.NewerFormatError):
        record = experiment_folder.read_record(base.experiment(experiment_id))
        if record.attempts:
            found = liveness.check(record.attempts[-1].owner, base.run_lock(experiment_id))
    # If its process has just died, its ending is not recorded yet; the next call shows it as ended.
    return (found if found.state is not liveness.State.DEAD else unknown).state.value, found.evidence


def read_last_values(path: Path) -> tuple[float | None, dict[str, Any]]:
    """The last step in a live history, and the last value of each metric near its end.

    Only the end of the file is read, because the file may be large and is read repeatedly.
    """
    return _find_last_values(_read_last_rows(path))


def _read_last_rows(path: Path) -> list[JsonObject]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().split(b"\n")
    except OSError:
        return []
    # The first line may lack its beginning, and the last one may not be complete yet.
    whole = lines[1 if size > _TAIL_BYTES else 0 : -1]
    rows = []
    for line in whole:
        with contextlib.suppress(errors.DamagedFileError):
            rows.append(json_text.decode_object(line, path))
    return rows


def _find_last_values(rows: Sequence[JsonObject]) -> tuple[float | None, dict[str, Any]]:
    step: float | None = None
    metrics: dict[str, Any] = {}
    for row in rows:
        if isinstance(at := row.get("step"), int | float):
            step = at
        metrics |= {name: restore_floats(value) for name, value in row.items() if name not in RESERVED}
    return step, metrics
