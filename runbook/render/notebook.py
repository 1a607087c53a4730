"""Experiments as HTML tables, for notebooks."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from runbook import display
from runbook.record import registry_entry
from runbook.record.status import Status
from runbook.render import tables
from runbook.render.tables import Cell, Column, Table
from runbook.serialize.flatten import flatten, restore_floats

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runbook.record.model import ExperimentRecord
    from runbook.typing import Json

MOST_ROWS: Final = 100
"""The most rows that a table shows; a longer list is cut after them."""

_MOST_METRICS: Final = 6
_MOST_SETTINGS: Final = 200


def experiments_html(entries: Sequence[Mapping[str, Any]], caption: str | None = None) -> str:
    """A table with one experiment a row and the metrics that most of them have.

    Args:
        entries: experiments from `list_experiments`.
        caption: one sentence over the table; by default the number of experiments.
    """
    shown = entries[:MOST_ROWS]
    counts: Counter[str] = Counter(name for entry in shown for name in _flatten_metrics(entry))
    most = [name for name, _ in counts.most_common(_MOST_METRICS)]
    # In the order in which they were saved, not by frequency.
    names = [name for name in counts if name in most]
    columns = [Column("experiment"), Column("name"), Column("status"), Column("started (UTC)")]
    columns += [Column("duration", is_numeric=True), *(Column(name, is_numeric=True) for name in names)]
    now = datetime.now(UTC)
    rows = tuple(_build_row(entry, names, now) for entry in shown)
    notes = []
    if len(entries) > len(shown):
        notes.append(f"and {len(entries) - len(shown)} more")
    if len(counts) > len(names):
        notes.append(f"{len(counts) - len(names)} more metrics: to_dataframe() has them all")
    if caption is None:
        caption = f"{len(entries)} experiment{'' if len(entries) == 1 else 's'}"
    return table_html(Table(tuple(columns), rows, caption, tuple(notes)))


def record_html(record: ExperimentRecord) -> str:
    """A table of one experiment with one fact a row."""
    ended = record.completed_at or (datetime.now(UTC) if record.status is Status.RUNNING else None)
    duration = None if ended is None else (ended - record.timestamp).total_seconds()
    facts: list[tuple[str, Cell]] = [
        ("name", Cell(record.custom_name)),
        ("description", Cell(record.description)),
        ("status", _build_status(record.status.value, record.end_reason)),
        ("started", Cell(_format_time(record.timestamp))),
        ("ended", Cell(None if record.completed_at is None else _format_time(record.completed_at))),
        ("duration", Cell(duration, None if duration is None else display.duration(duration))),
        ("host", Cell(record.host)),
        ("parent", Cell(record.parent)),
        ("function", Cell(record.function)),
        ("attempts", Cell(len(record.attempts) if len(record.attempts) > 1 else None)),
        ("tags", Cell(", ".join(record.tags) or None)),
        *(("note", Cell(line)) for line in (record.notes or "").splitlines()),
    ]
    if record.failure is not None:
        first, *more = record.failure.message.splitlines() or [""]
        text = f"{record.failure.type}: {first}{' …' if more else ''}"
        facts.append(("failure", Cell(text, style=Status.FAILED.value)))
    facts += [(f"metrics.{name}", Cell(value)) for name, value in _flatten(record.metrics).items()]
    facts += [(f"config.{name}", Cell(value)) for name, value in _flatten(record.config).items()]
    known = [(title, cell) for title, cell in facts if cell.value is not None or title.startswith("config.")]
    notes = (f"and {len(known) - _MOST_SETTINGS} more settings",) if len(known) > _MOST_SETTINGS else ()
    rows = tuple((Cell(title), cell) for title, cell in known[:_MOST_SETTINGS])
    return table_html(Table((Column("field"), Column("value")), rows, record.experiment_id, notes))


def table_html(table: Table) -> str:
    """A table as HTML that a notebook does not search for formulas."""
    # Without the classes a notebook would typeset the text between two dollar signs.
    return f'<div class="tex2jax_ignore mathjax_ignore">\n{tables.to_html(table)}</div>\n'


def _build_row(entry: Mapping[str, Any], names: Iterable[str], now: datetime) -> tuple[Cell, ...]:
    started = registry_entry.parse_moment(entry.get("timestamp"))
    duration = registry_entry.duration_of(entry, now)
    metrics = _flatten_metrics(entry)
    return (
        Cell(entry.get("experiment_id")),
        Cell(entry.get("custom_name")),
        _build_status(entry.get("status"), entry.get("end_reason")),
        Cell(entry.get("timestamp"), None if started is None else _format_time(started)),
        Cell(duration, None if duration is None else display.duration(duration)),
        *(Cell(metrics.get(name)) for name in names),
    )


def _build_status(status: Any, reason: Any) -> Cell:
    is_odd = status in [Status.FAILED, Status.INTERRUPTED] and reason
    return Cell(status, f"{status} ({reason})" if is_odd else None, style=str(status))


def _format_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _flatten_metrics(entry: Mapping[str, Any]) -> dict[str, Json]:
    return _flatten(registry_entry.section_of(entry, "metrics"))


def _flatten(data: Mapping[str, Any]) -> dict[str, Json]:
    return {name: restore_floats(value) for name, value in flatten(data).items()}
