"""The entry of an experiment in the registry: built from a record, and its fields read as values.

The fields of the legacy tool come first, under its names, then ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from runbook.record.status import Status
from runbook.serialize.timestamps import format_time, parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from runbook.record.model import ExperimentRecord
    from runbook.typing import Entry, JsonObject

SECTIONS: Final = ("config", "metrics")
TIMES: Final = frozenset({"timestamp", "completed_at"})


def build_entry(record: ExperimentRecord, directory: str) -> JsonObject:
    """The entry of an experiment: the legacy fields, then ours.

    Args:
        record: the record of the experiment.
        directory: the path of its folder, as people should see it.
    """
    return {
        "experiment_id": record.experiment_id,
        "timestamp": format_time(record.timestamp),
        "status": record.status.value,
        "custom_name": record.custom_name,
        "description": record.description,
        "config": record.config,
        "directory": directory,
        "completed_at": None if record.completed_at is None else format_time(record.completed_at),
        "notes": record.notes,
        "metrics": record.metrics,
        "tags": list(record.tags),
        "end_reason": None if record.end_reason is None else record.end_reason.value,
        "parent": record.parent,
        "host": record.host,
    }


def section_of(entry: Entry, section: str) -> Mapping[str, Any]:
    """The config or the metrics of an entry; an empty mapping if the entry holds no mapping there."""
    value = entry.get(section)
    # `isinstance` with Mapping takes longer than everything else here, so a dict is checked first.
    return value if type(value) is dict or isinstance(value, Mapping) else {}


def parse_moment(value: object) -> datetime | None:
    """A time field of an entry as a datetime; None if the value is no ISO 8601 time."""
    try:
        return parse_time(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def duration_of(entry: Entry, now: datetime) -> float | None:
    """How long an experiment took, in seconds, until `now` if it is running; None if the entry lacks the times."""
    started, ended = parse_moment(entry.get("timestamp")), parse_moment(entry.get("completed_at"))
    if ended is None and entry.get("status") == Status.RUNNING:
        ended = now
    return None if started is None or ended is None else (ended - started).total_seconds()
