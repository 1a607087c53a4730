"""`gc`: the trash and leftovers of dead processes, deleted for good."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs
import click

from runbook import errors
from runbook.cli.context import Context, command
from runbook.cli.exit_codes import DAMAGED, NOTHING, NotPossibleError
from runbook.cli.options import removal_options
from runbook.cli.outcomes import confirm, format_count, format_size
from runbook.cli.progress_bar import progress_bar
from runbook.display import visible

if TYPE_CHECKING:
    from datetime import timedelta

    from runbook.maintain.garbage import GarbageReport


@command(
    "gc",
    json="an object with experiments, an array of ids; leftovers, an array of paths in the base directory; "
    "freed_bytes; failed, an object from paths to what went wrong; dry_run.",
    example="runbook gc --older-than 30d --dry-run\nrunbook gc --yes",
)
@click.option("--older-than", metavar="AGE", help="Spare what was deleted more recently than 45m, 3h, 2d or 1w ago.")
@removal_options
def gc(context: Context, older_than: str | None, *, yes: bool, dry_run: bool) -> int:
    """Delete for good what is in the trash, and what dead processes left.

    It shows what would go, and asks. Experiments that are not in the trash are never touched.
    """
    spared = None if older_than is None else _parse_age(older_than)
    found = context.manager.collect_garbage(trash_older_than=spared, dry_run=True)
    listed = _list_paths(found)
    if listed and not dry_run:
        action = f"delete {_describe_garbage(found)} for good ({format_size(found.freed_bytes)})"
        if not confirm(action, listed, is_agreed=yes):
            return NOTHING
        if not yes and _list_paths(context.manager.collect_garbage(trash_older_than=spared, dry_run=True)) != listed:
            raise NotPossibleError("nothing was done: what there is to delete has changed meanwhile; look again")
        with progress_bar("deleting") as progress:
            found = context.manager.collect_garbage(trash_older_than=spared, progress=progress)
    _print_garbage(context, found, is_dry_run=dry_run)
    return DAMAGED if found.failed else 0


def _list_paths(found: GarbageReport) -> list[str]:
    return [*found.experiments, *found.leftovers]


def _describe_garbage(found: GarbageReport) -> str:
    return f"{format_count(len(found.experiments))} and {format_count(len(found.leftovers), 'leftover')}"


def _parse_age(text: str) -> timedelta:
    from runbook.query import search

    now = datetime.now(UTC)
    try:
        moment = search.parse(since=text, now=now).since
    except errors.QueryError as error:
        raise NotPossibleError(f"--older-than {text!r}: {error.problem}") from error
    assert moment is not None
    if moment > now:
        raise NotPossibleError(f"--older-than {text!r} lies in the future; write for example 30d")
    return now - moment


def _print_garbage(context: Context, found: GarbageReport, *, is_dry_run: bool) -> None:
    if context.as_json:
        fields = attrs.asdict(found)
        del fields["is_dry_run"]
        context.print_json({**fields, "dry_run": is_dry_run})
    elif not _list_paths(found) and not found.failed:
        context.print("there is nothing to delete")
    else:
        for gone in _list_paths(found) if is_dry_run else ():
            context.print(visible(gone))
        done = f"{'would be ' if is_dry_run else ''}deleted for good, {format_size(found.freed_bytes)}"
        context.print(f"{_describe_garbage(found)} {done}")
    for path, problem in found.failed.items():
        click.echo(visible(f"runbook: {path} could not be removed ({problem})"), err=True)
