"""Facts about one experiment that several commands print."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runbook import errors
from runbook.display import age
from runbook.read.view import layout_of, record_of
from runbook.record.status import Status
from runbook.storage import experiment_folder

if TYPE_CHECKING:
    from runbook.read.view import ExperimentView
    from runbook.typing import JsonObject


def damage_of(view: ExperimentView) -> str | None:
    """The damage of its record, in words; None if the record is sound, or missing as with the legacy tool."""
    try:
        experiment_folder.read_record(layout_of(view))
    except (errors.DamagedFileError, errors.NewerFormatError) as error:
        return str(error)
    except OSError:
        return None
    return None


def duration_s(view: ExperimentView) -> float | None:
    """How long it ran, or has run so far, in seconds; None if that is unknown."""
    ended = record_of(view).completed_at
    if ended is None and view.status is Status.RUNNING:
        ended = datetime.now(UTC)
    return None if ended is None else max(0.0, (ended - record_of(view).timestamp).total_seconds())


def environment_of(view: ExperimentView) -> JsonObject | None:
    """The environment in which it ran; None if it is not recorded."""
    with contextlib.suppress(OSError, errors.DamagedFileError):
        return view.load_environment()
    return None


def status_of(view: ExperimentView) -> str:
    """Its status and reason, such as `failed (exception)`."""
    return f"{view.status} ({view.end_reason})" if view.end_reason is not None else str(view.status)


def moment(when: datetime) -> str:
    """A moment in local time, and how long ago it was."""
    return f"{when.astimezone():%Y-%m-%d %H:%M:%S %Z}, {age(when, datetime.now(UTC))}"
