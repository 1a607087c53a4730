"""`ls`: the experiments of a base directory, newest first."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from runbook import display, errors
from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NothingFoundError
from runbook.cli.options import Filters, completed_by, filters, where_argument
from runbook.query import fields
from runbook.record import registry_entry
from runbook.record.status import Status
from runbook.render import grid
from runbook.render.columns import GAP
from runbook.render.entry_columns import NARROW, id_column, name_column, status_column, took_column
from runbook.render.grid import TextColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Unpack

    Entry = dict[str, Any]

_SHOWN_ON_A_TERMINAL: Final = 50
_LIKE_A_NAME: Final = re.compile(r"[\w-]+")
_METRICS_SHOWN: Final = 8
_NARROW_ID: Final = 36
_LEAST_ID: Final = 16
"""The width of the time of start at the beginning of an id, and the ellipsis."""


@command(
    "ls",
    empty=[],
    json="an array of objects with the fields of the registry (experiment_id, timestamp, status, custom_name, "
    "description, config, directory, completed_at, notes, metrics, tags, end_reason, parent, host).",
    example="runbook ls --since 2d --status failed\n"
    "runbook ls 'config.lr < 1e-4 and metrics.f1 > 0.8' --sort -metrics.f1\n"
    "runbook ls --tag hate --columns config.lr,config.seed -n 10",
)
@where_argument
@filters
@click.option(
    "--sort",
    metavar="FIELD,...",
    shell_complete=completed_by("fields"),
    help="Sort by these fields; -FIELD for the largest first.",
)
@click.option(
    "-n", "--limit", type=click.IntRange(min=0), metavar="N",
    help=f"How many at most, 0 for all; by default {_SHOWN_ON_A_TERMINAL} on a terminal, all in a pipe or as JSON.",
)  # fmt: skip
@click.option(
    "--columns",
    metavar="FIELD,...",
    shell_complete=completed_by("fields"),
    help="Fields to show beside the others, such as config.lr.",
)
def ls(
    context: Context,
    where: str | None,
    *,
    sort: str | None,
    limit: int | None,
    columns: str | None,
    **chosen: Unpack[Filters],
) -> int | None:
    """List experiments, newest first.

    WHERE is an expression over fields such as config.lr, metrics.test_f1, status, name, tags, started and duration.
    """
    try:
        found = context.manager.find(where, sort=_split_names(sort) or None, **chosen)
    except errors.QueryError as error:
        if error.text == where and _LIKE_A_NAME.fullmatch(where):
            kind = "status" if where in set(Status) else "name"
            raise click.UsageError(f"{error}; or, for those of that {kind}, --{kind} {where}") from error
        raise
    if limit is None:
        limit = _SHOWN_ON_A_TERMINAL if context.is_terminal and not context.as_json else 0
    shown = found[: limit or None]
    getters = [(name, _make_getter(name, found)) for name in _split_names(columns)]
    if context.as_json:
        context.print_json(shown)
        return None if shown else 1
    if not found:
        raise NothingFoundError(context.no_match())
    left_out = print_table(context, shown, getters)
    notes = []
    if len(shown) < len(found):
        notes.append(f"{len(shown):,} of {len(found):,} shown, -n 0 for all")
    if left_out:
        notes.append(f"no room for {display.visible(', '.join(left_out))}")
    for note in notes if context.is_terminal else ():
        for line in grid.paragraph_lines(note, context.width):
            context.print(line)
    return None


def _split_names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _make_getter(name: str, entries: Sequence[Entry]) -> Callable[[Entry], object]:
    """A function that returns the value of a field, written as in an expression, in an entry."""
    from runbook.query.lexer import read_tokens

    first, *others = read_tokens(name, "columns")
    if first.kind != "field" or len(others) > 1:
        raise errors.QueryError(name, first.column, "expected one field, such as config.lr", "columns")
    path: Any = first.value
    field = fields.FieldPath(path, first.text, first.column)
    return fields.make_getter(field, fields.Source(entries, datetime.now(UTC)), (name, "columns"))


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
