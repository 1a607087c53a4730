"""Times as ISO 8601 text in UTC, and back."""

from __future__ import annotations

from datetime import UTC, datetime


def format_time(moment: datetime) -> str:
    """The text of a time: ISO 8601 in UTC, to the microsecond."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def parse_time(text: str) -> datetime:
    """The time that an ISO 8601 text means, in UTC.

    The legacy registry holds local times without an offset: those are taken as local to this machine.

    Raises:
        ValueError: if it is no ISO 8601 time.
    """
    return datetime.fromisoformat(text).astimezone(UTC)
