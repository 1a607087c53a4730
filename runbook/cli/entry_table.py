"""The table of experiments that `ls` and `best` print, with the columns for which there is room."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from runbook import display
from runbook.query import fields
from runbook.record import registry_entry
from runbook.render import grid
from runbook.render.columns import GAP
from runbook.render.entry_columns import NARROW, id_column, name_column, status_column, took_column
from runbook.render.grid import TextColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from runbook.cli.context import Context
    from runbook.typing import Entry

_METRICS_SHOWN: Final = 8
_NARROW_ID: Final = 36
_LEAST_ID: Final = 16
"""The width of the time of start at the beginning of an id, and the ellipsis."""


def print_table(
    context: Context, entries: Sequence[Entry], getters: Sequence[tuple[str, Callable[[Entry], object]]]
) -> list[str]:
    """Print a table of experiments with the columns for which there is room.

    Args:
        context: the context of the command.
        entries: the experiments, at least one.
        getters: the fields to show first, each with the function that returns its value in an entry.

    Returns:
        The titles of the columns for which there was no room.
    """
    columns, left_out = _fit_columns(entries, getters, context.width)
    context.write_lines(grid.block_lines(columns, colour=context.is_coloured))
    return left_out


def _fit_columns(
    entries: Sequence[Entry], getters: Sequence[tuple[str, Callable[[Entry], object]]], width: int
) -> tuple[list[tuple[TextColumn, int]], list[str]]:
    """The columns for which there is room, with their widths, and the titles of the others."""
    is_narrow = width < NARROW
    now = datetime.now(UTC)
    first = id_column(entries)
    fixed = [
        status_column(entries, is_narrow=is_narrow),
        _build_started_column(entries, now, is_narrow=is_narrow),
        took_column(entries, now),
    ]
    if not is_narrow:
        name = name_column(entries)
        fixed.insert(
            0, attrs.evolve(name, cells=[display.cut(cell, width // 6, display.width_of) for cell in name.cells])
        )
    requested = [_build_field_column(name, [get(entry) for entry in entries]) for name, get in getters]
    room = width - sum(column.width + GAP for column in fixed)
    wanted = sum(column.width + GAP for column in requested)
    least = _NARROW_ID if is_narrow else min(first.width, width // 3)
    first_width = min(first.width, max(_LEAST_ID, min(least, room - wanted)))
    room -= first_width
    kept: list[TextColumn] = []
    left_out: list[str] = []
    for column in [*requested, *_build_metric_columns(entries, [name for name, _ in getters])]:
        taken = column.width + GAP
        if taken <= room:
            kept.append(column)
            room -= taken
        else:
            left_out.append(column.title)
    return [(first, first_width), *((column, column.width) for column in [*fixed, *kept])], left_out


def _build_started_column(entries: Sequence[Entry], now: datetime, *, is_narrow: bool) -> TextColumn:
    moments = [registry_entry.parse_moment(entry.get("timestamp")) for entry in entries]
    if is_narrow:
        return TextColumn("started", ["" if when is None else display.age(when, now) for when in moments])
    return TextColumn("started", ["" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M}" for when in moments])


def _build_field_column(name: str, values: list[object]) -> TextColumn:
    shown = [_format_value(value) for value in values]
    is_numeric = all(isinstance(value, (int, float)) or text == "" for value, text in zip(values, shown, strict=True))
    return TextColumn(display.visible(name), shown, is_numeric=is_numeric)


def _format_value(value: Any) -> str:
    if value is fields.MISSING:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return display.visible(", ".join(value))
    return display.one_line(value)


def _build_metric_columns(entries: Sequence[Entry], shown: Collection[str]) -> list[TextColumn]:
    """The columns of the metrics that most experiments have."""
    counts: dict[str, int] = {}
    for entry in entries:
        for name in entry["metrics"]:
            counts[name] = counts.get(name, 0) + 1
    others = [name for name in counts if name not in shown and f"metrics.{name}" not in shown]
    names = sorted(others, key=lambda name: -counts[name])[:_METRICS_SHOWN]
    return [
        TextColumn(
            display.visible(name), [display.one_line(entry["metrics"].get(name)) for entry in entries], is_numeric=True
        )
        for name in names
    ]
