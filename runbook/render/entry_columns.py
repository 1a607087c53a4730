"""The columns with which every printed table of experiments begins: id, name, status, how long it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from runbook import display
from runbook.record import registry_entry
from runbook.render.grid import TextColumn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    Entries = Sequence[Mapping[str, Any]]

NARROW: Final = 110
"""Below this width the name has no column and the status no reason; the id contains most of the name."""

_ORDINARY_REASONS: Final = (None, "returned", "marked")


def id_column(entries: Entries) -> TextColumn:
    """The ids, as the first column."""
    return TextColumn("experiment", [display.visible(str(entry["experiment_id"])) for entry in entries])


def name_column(entries: Entries) -> TextColumn:
    """The names that users gave."""
    return TextColumn("name", [display.visible(str(entry.get("custom_name") or "")) for entry in entries])


def status_column(entries: Entries, *, is_narrow: bool) -> TextColumn:
    """The statuses in their colours; with the end reason where there is room and it adds something."""
    statuses = [display.visible(str(entry.get("status"))) for entry in entries]
    shown = statuses
    if not is_narrow:
        reasons = (entry.get("end_reason") for entry in entries)
        shown = [
            status if reason in _ORDINARY_REASONS else f"{status} ({display.visible(str(reason))})"
            for status, reason in zip(statuses, reasons, strict=True)
        ]
    return TextColumn("status", shown, styles=statuses, whole=max(map(display.width_of, shown), default=0))


def took_column(entries: Entries, now: datetime) -> TextColumn:
    """How long each took, or has run so far; empty where that is unknown."""
    lengths = (registry_entry.duration_of(entry, now) for entry in entries)
    return TextColumn(
        "took", ["" if seconds is None else display.duration(seconds) for seconds in lengths], is_numeric=True
    )
