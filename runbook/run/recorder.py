"""What a live experiment records: its record, its logs and its ending.

The lifecycle and the public `Experiment` share one recorder. Users get only the `Experiment`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from runbook import errors
from runbook.messages import warn, warn_once
from runbook.read.view import final_metrics
from runbook.record.model import ExperimentRecord, join_notes
from runbook.record.status import Status
from runbook.serialize.json_text import encode
from runbook.serialize.jsonable import numbers_of
from runbook.serialize.timestamps import format_time
from runbook.storage import history
from runbook.storage.metric_log import MetricLog
from runbook.storage.progress import ProgressLog

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runbook.record.layout import ExperimentLayout
    from runbook.run.endings import Ending
    from runbook.run.writer import Writer
    from runbook.typing import Json, JsonObject


class Recorder:
    """Records one live experiment.

    Args:
        writer: writes files to disk, or writes nothing.
        record: the record with which the experiment starts.

    Attributes:
        writer: as given.
        lock: held while the record is changed.
        metrics: the log of the live history.
        progress: the log of how far the experiment has come.
    """

    def __init__(self, writer: Writer, record: ExperimentRecord) -> None:
        self.writer = writer
        self.lock = threading.RLock()
        self.metrics = MetricLog(writer.append_history)
        self.progress = ProgressLog(writer.write_progress)
        self._record = record
        self._pid = os.getpid()

    @property
    def record(self) -> ExperimentRecord:
        """The present record."""
        return self._record

    @property
    def id(self) -> str:
        """The id of the experiment."""
        return self._record.experiment_id

    @property
    def layout(self) -> ExperimentLayout:
        """The folder of the experiment."""
        return self.writer.folder

    @property
    def is_ended(self) -> bool:
        """Whether its ending is recorded."""
        return self._record.status is not Status.RUNNING

    def end(
        self, ending: Ending, *, notes: str | None = None, overwrite: bool = False, moment: datetime | None = None
    ) -> None:
        """Record an ending.

        Args:
            ending: the status and what ended it.
            notes: added to the notes.
            overwrite: whether it replaces an ending that is recorded already.
            moment: when it ended; None means now.

        Raises:
            OSError: if it cannot be written; the experiment counts as running then.
        """
        with self.lock:
            if self.is_ended and not overwrite:
                return
            moment = moment or datetime.now(UTC)
            try:
                if ending.failure is not None:
                    self.writer.write_bytes(self.layout.traceback, ending.failure.traceback.encode())
                self.writer.sync_history()
                self.progress.flush()
            except OSError as error:
                # The status matters more than the logs, and the record holds the traceback as well.
                warn(f"{self.id}: its logs are not whole ({error})")
            *earlier, last = self._record.attempts
            self.change(
                status=ending.status,
                end_reason=ending.reason,
                completed_at=moment,
                failure=ending.failure,
                notes=join_notes(self._record.notes, notes),
                metrics=self._last_metrics(),
                checksums={**self._record.checksums, **self.writer.checksums()},
                attempts=(*earlier, attrs.evolve(last, ended_at=moment, end_reason=ending.reason)),
            )

    def add_final_metrics(self, metrics: Mapping[str, object]) -> None:
        """Add numbers to the final metrics; a number that the user has saved keeps its value."""
        numbers = numbers_of(metrics)
        if numbers:
            saved = final_metrics(self.layout, attrs.evolve(self._record, metrics={}))
            self.save_json(self.layout.final_summary, {**numbers, **saved})
            if self.is_ended:
                self.change_quietly(metrics=self._last_metrics())

    def note_signal(self, signum: int) -> None:
        """Log a signal at once: the process may be killed before its record is written."""
        row: JsonObject = {"time": format_time(datetime.now(UTC)), "signal": signal.Signals(signum).name}
        # A full disk must not turn the signal into an OSError.
        with contextlib.suppress(OSError):
            self.writer.append_signal(encode(row, indent=None))

    def resume_logging(self) -> None:
        """Count steps up from the last one of the earlier attempt."""
        self.metrics.continue_from(history.read_rows(self.layout.history))

    def reset_locks(self) -> None:
        """Replace the locks in a forked child, whose parent may have held them at the fork."""
        self.lock = threading.RLock()
        self.metrics.forget_lock()
        self.progress.forget_lock()

    def save_json(self, path: Path, data: Json) -> Path:
        """Write a JSON file of the experiment, and return its path."""
        self.writer.write_json(path, data)
        return self.note_saved(path)

    def note_saved(self, path: Path) -> Path:
        """Return the path of a saved file; after the end, record its checksum as well."""
        if self.is_ended:
            self.change_quietly(checksums={**self._record.checksums, **self.writer.checksums()})
        return path

    def change_quietly(self, **changes: object) -> None:
        """Change fields of the record; a disk error is a warning."""
        try:
            self.change(**changes)
        except OSError as error:
            warn_once(
                f"record {self.id}",
                f"{self.id}: its record cannot be brought up to date ({error}); that is tried again when it ends",
            )

    def change(self, **changes: object) -> None:
        """Change fields of the record, and write it.

        Raises:
            OSError: if it cannot be written. The next change writes it too, unless it is an ending.
        """
        if os.getpid() != self._pid:
            # With two writers, the last would overwrite what the other has written.
            warn_once(
                f"child of {self.id}",
                f"{self.id}: only the process that started it can change its record, this one is a child of it; "
                "files are saved and metrics logged all the same",
            )
            return
        with self.lock:
            before = self._record
            ours = self._record = attrs.evolve(before, **changes)  # type: ignore[arg-type]
            try:
                self.writer.save_record(ours)
            except BaseException as error:
                # After a disk error the change stays, and the next one writes it. An unwritten ending is undone.
                if self._record is ours and ("status" in changes or not isinstance(error, OSError)):
                    self._record = before
                raise
            while self._record is not ours:
                # A signal handler of the program has changed the record, and we may have overwritten its change.
                ours = self._record
                self.writer.save_record(ours)

    def _last_metrics(self) -> dict[str, Json]:
        """The final metrics that were saved; without any, the last value that was logged of each metric."""
        try:
            return numbers_of(final_metrics(self.layout, attrs.evolve(self._record, metrics=self.metrics.latest)))
        except (errors.DamagedFileError, OSError) as error:
            warn(f"{self.id}: the final metrics cannot be read ({error})")
            return self._record.metrics
