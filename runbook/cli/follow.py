"""What can be seen of an experiment from outside while it runs."""

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
class Sight:
    """An experiment at one moment.

    Args:
        experiment_id: which.
        custom_name: the user's name for it.
        status: what became of it.
        end_reason: what ended it; None while it runs.
        state: "alive", "unknown" where nobody can look from here, or "ended".
        evidence: how that is known, in words.
        step: the last step that was logged.
        metrics: the last value of each metric that was logged lately; the final ones of one that has ended.
        progress: how far it had come when it last said so.
        last_sign_of_life: when it last wrote into its folder.
        duration_s: how long it has run, in seconds.
        usual_pause_s: how long it is silent as a rule, in seconds; None where that is not known.
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

    def as_plain(self) -> JsonObject:
        """The same as plain data, for JSON."""
        told: JsonObject | None = None
        if self.progress is not None:
            told = {
                "done": self.progress.done,
                "total": self.progress.total,
                "time": timestamps.format_time(self.progress.time),
                "per_second": self.progress.rate,
                "remaining_s": self.remaining_s(datetime.now(UTC)),
            }
        return {
            **{name: getattr(self, name) for name in ("experiment_id", "custom_name", "status", "end_reason")},
            **{name: getattr(self, name) for name in ("state", "evidence", "step", "metrics")},
            "progress": told,
            "last_sign_of_life": timestamps.format_time(self.last_sign_of_life),
            "duration_s": self.duration_s,
        }

    def silent_s(self, now: datetime) -> float:
        """For how many seconds nothing was heard of it."""
        return max(0.0, (now - self.last_sign_of_life).total_seconds())

    def is_silent(self, now: datetime) -> bool:
        """Whether nothing was heard of it for much longer than usual: it may be stuck, or stopped."""
        usual = self.usual_pause_s
        least = _LEAST_SILENCE_S if usual is None else max(_LEAST_KNOWN_SILENCE_S, _SILENT_UNITS * usual)
        return self.state != ENDED and self.silent_s(now) > least

    def remaining_s(self, now: datetime) -> float | None:
        """How long the rest takes, in seconds; None where that would be a guess.

        One that has said nothing for much longer than one unit of its work takes may be stuck.
        """
        told = self.progress
        if told is None or told.rate is None or told.remaining_s is None or self.state == ENDED or self.is_silent(now):
            return None
        since = max(0.0, (now - told.time).total_seconds())
        if since > max(_LEAST_SILENCE_S, _SILENT_UNITS / told.rate):
            return None
        return max(0.0, told.remaining_s - since)


class Follower:
    """Looks at what runs, again and again, and remembers how those ended that it has seen running.

    Args:
        manager: of the base directory.
        only: the ids to look at; empty for all that run.
    """

    def __init__(self, manager: ExperimentManager, only: Collection[str] = ()) -> None:
        self._manager = manager
        self._base = BaseLayout(manager.base_dir)
        self._only = frozenset(only)
        self._running = frozenset(only)
        self._ended: dict[str, Sight] = {}

    def look(self) -> list[Sight]:
        """The experiments that run, and those that did when it looked before; oldest first."""
        entries = {
            str(entry["experiment_id"]): entry
            for entry in self._manager.find(status=Status.RUNNING)
            if not self._only or entry["experiment_id"] in self._only
        }
        gone = self._running - entries.keys() - self._ended.keys()
        # Only now, because it takes time in proportion to the whole base directory.
        for entry in self._manager.list_experiments() if gone else ():
            if entry["experiment_id"] in gone:
                self._ended[entry["experiment_id"]] = _sight(self._base, entry)
        # One that goes on in another attempt runs again.
        for experiment_id in entries:
            self._ended.pop(experiment_id, None)
        self._running = frozenset(entries)
        seen = [*self._ended.values(), *(_sight(self._base, entry) for entry in entries.values())]
        return sorted(seen, key=lambda sight: sight.experiment_id)


def _sight(base: BaseLayout, entry: dict[str, Any]) -> Sight:
    experiment_id = str(entry["experiment_id"])
    layout = base.experiment(experiment_id)
    now = datetime.now(UTC)
    state, evidence = ENDED, ""
    if entry["status"] == Status.RUNNING:
        state, evidence = _state(base, experiment_id)
    rows = _last_rows(layout.history)
    step, metrics = _logged(rows)
    told = progress.read(layout.progress)
    return Sight(
        experiment_id=experiment_id,
        custom_name=entry["custom_name"],
        status=str(entry["status"]),
        end_reason=entry["end_reason"],
        state=state,
        evidence=evidence,
        step=step,
        metrics=metrics if state != ENDED else entry["metrics"],
        progress=told,
        last_sign_of_life=_last_sign(layout, entry),
        duration_s=registry_entry.duration_of(entry, now),
        usual_pause_s=_usual_pause_s(rows, told),
    )


def _usual_pause_s(rows: Sequence[JsonObject], told: progress.Progress | None) -> float | None:
    """The time between two lines that were logged lately, or for a unit of its work, whichever is shorter."""
    known = [1 / told.rate] if told is not None and told.rate is not None else []
    with contextlib.suppress(ValueError, OverflowError):
        if len(rows) > 1:
            first, last = (timestamps.parse_time(str(row.get("time"))) for row in (rows[0], rows[-1]))
            known.append(max(0.0, (last - first).total_seconds()) / (len(rows) - 1))
    return min(known, default=None)


def _last_sign(layout: ExperimentLayout, entry: dict[str, Any]) -> datetime:
    ended = registry_entry.parse_moment(entry["completed_at"])
    return death.last_sign_of_life(layout) if ended is None else ended


def _state(base: BaseLayout, experiment_id: str) -> tuple[str, str]:
    unknown = liveness.Liveness(liveness.State.UNKNOWN, "its record does not say which process works on it")
    verdict = unknown
    with contextlib.suppress(OSError, errors.DamagedFileError, errors.NewerFormatError):
        record = experiment_folder.read_record(base.experiment(experiment_id))
        if record.attempts:
            verdict = liveness.check(record.attempts[-1].owner, base.run_lock(experiment_id))
    # One that has died this moment is shown as ended at the next look.
    return (verdict if verdict.state is not liveness.State.DEAD else unknown).state.value, verdict.evidence


def last_logged(path: Path) -> tuple[float | None, dict[str, Any]]:
    """The last step in a live history, and the last value of each metric near its end.

    Only the end of the file is read: it is looked at again and again, and may be large.
    """
    return _logged(_last_rows(path))


def _last_rows(path: Path) -> list[JsonObject]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().split(b"\n")
    except OSError:
        return []
    # The first one may have lost its beginning, the last one may not be whole yet.
    whole = lines[1 if size > _TAIL_BYTES else 0 : -1]
    rows = []
    for line in whole:
        with contextlib.suppress(errors.DamagedFileError):
            rows.append(json_text.decode_object(line, path))
    return rows


def _logged(rows: Sequence[JsonObject]) -> tuple[float | None, dict[str, Any]]:
    step: float | None = None
    metrics: dict[str, Any] = {}
    for row in rows:
        if isinstance(at := row.get("step"), int | float):
            step = at
        metrics |= {name: restore_floats(value) for name, value in row.items() if name not in RESERVED}
    return step, metrics
