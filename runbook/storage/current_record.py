"""The current record of an experiment: where its process has died, a record with an ending.

The record on disk has the status running until a process that holds the lock of the index records the death.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from runbook import errors
from runbook.record import identifiers
from runbook.record.model import ExperimentRecord
from runbook.record.status import Status
from runbook.storage import death, experiment_folder, liveness

if TYPE_CHECKING:
    from runbook.record.layout import BaseLayout
    from runbook.typing import JsonObject

_NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read_current(base: BaseLayout, experiment_id: str) -> ExperimentRecord:
    """The current record, with an ending if the process of the experiment has died.

    Raises:
        FileNotFoundError: if the folder has no record.
        DamagedFileError: if it cannot be understood.
        NewerFormatError: if a newer runbook wrote it in a way that this one cannot read.
    """
    return resolve_record(base, experiment_id)[0]


def resolve_record(base: BaseLayout, experiment_id: str) -> tuple[ExperimentRecord, bool]:
    """The current record, and whether it has an ending by death that is not on disk yet.

    Raises:
        FileNotFoundError: if the folder has no record.
        DamagedFileError: if it cannot be understood.
        NewerFormatError: if a newer runbook wrote it in a way that this one cannot read.
    """
    layout = base.experiment(experiment_id)
    record = experiment_folder.read_record(layout)
    if record.status is not Status.RUNNING or not record.attempts:
        return record, False
    checked = liveness.check(record.attempts[-1].owner, base.run_lock(experiment_id))
    if checked.state is not liveness.State.DEAD:
        return record, False
    # It may have ended in the usual way after the first read of its record and before the check of its process.
    record = experiment_folder.read_record(layout)
    if record.status is not Status.RUNNING:
        return record, False
    return death.reconstruct_ending(record, layout, checked), True


def unknown_record(experiment_id: str, config: JsonObject) -> ExperimentRecord:
    """A record with the status unknown, for an experiment without a readable one; made from its id and its config."""
    return ExperimentRecord(
        experiment_id=experiment_id,
        timestamp=identifiers.time_of(experiment_id) or _NO_TIME,
        status=Status.UNKNOWN,
        config=config,
        config_hash=experiment_id[-8:],
    )


def write_death(base: BaseLayout, record: ExperimentRecord) -> None:
    """Record the death of an experiment: write the record with its ending, and remove its run lock.

    The caller must hold the lock of the index.
    """
    # Failing is harmless: the next reader finds the same death and tries again.
    with contextlib.suppress(OSError, errors.NewerFormatError):
        experiment_folder.write_record(base.experiment(record.experiment_id), record)
        with contextlib.suppress(FileNotFoundError):
            base.run_lock(record.experiment_id).unlink()
