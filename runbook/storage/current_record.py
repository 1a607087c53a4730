"""The record of an experiment that is true at this moment: one whose process has died has ended.

The record on disk goes on to say that it runs until somebody who holds the lock of the index records the death.
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
    """The record that is true at this moment.

    Raises:
        FileNotFoundError: if the folder has none.
        DamagedFileError: if it cannot be understood.
        NewerFormatError: if a newer runbook wrote it in a way that this one cannot read.
    """
    return resolve_record(base, experiment_id)[0]


def resolve_record(base: BaseLayout, experiment_id: str) -> tuple[ExperimentRecord, bool]:
    """The record that is true at this moment, and whether the one on disk still says that it runs.

    Raises:
        FileNotFoundError: if the folder has none.
        DamagedFileError: if it cannot be understood.
        NewerFormatError: if a newer runbook wrote it in a way that this one cannot read.
    """
    layout = base.experiment(experiment_id)
    record = experiment_folder.read_record(layout)
    if record.status is not Status.RUNNING or not record.attempts:
        return record, False
    verdict = liveness.check(record.attempts[-1].owner, base.run_lock(experiment_id))
    if verdict.state is not liveness.State.DEAD:
        return record, False
    # It may have ended in the usual way between the first look at its record and the look at its process.
    record = experiment_folder.read_record(layout)
    if record.status is not Status.RUNNING:
        return record, False
    return death.reconstruct_ending(record, layout, verdict), True


def unknown_record(experiment_id: str, config: JsonObject) -> ExperimentRecord:
    """The record of an experiment that has none that can be read: what its id and its config say."""
    return ExperimentRecord(
        experiment_id=experiment_id,
        timestamp=identifiers.time_of(experiment_id) or _NO_TIME,
        status=Status.UNKNOWN,
        config=config,
        config_hash=experiment_id[-8:],
    )


def write_death(base: BaseLayout, record: ExperimentRecord) -> None:
    """Record the end of an experiment whose process is dead; the lock of the index must be held."""
    # One that cannot be written stays as it is; the next reader finds the same.
    with contextlib.suppress(OSError, errors.NewerFormatError):
        experiment_folder.write_record(base.experiment(record.experiment_id), record)
        with contextlib.suppress(FileNotFoundError):
            base.run_lock(record.experiment_id).unlink()
