"""`ls`: the experiments of a base directory, newest first."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from runbook import display, errors
from runbook.cli.context import Context, command
from runbook.cli.entry_table import print_table
from runbook.cli.exit_codes import NothingFoundError
from runbook.cli.options import Filters, completed_by, filters, where_argument
from runbook.query import fields
from runbook.record.status import Status
from runbook.render import grid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from runbook.typing import Entry

_SHOWN_ON_A_TERMINAL: Final = 50
_LIKE_A_NAME: Final = re.compile(r"[\w-]+")


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
