"""`rm`, `restore` and `gc`: into the trash, back out of it, and gone for good."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import click

from runbook import errors
from runbook.cli.context import Context, command
from runbook.cli.exit_codes import DAMAGED, NOTHING, NothingFoundError, NotPossibleError
from runbook.cli.options import experiment_argument
from runbook.cli.outcomes import Outcomes, confirm, counted, fields_of, required, size
from runbook.cli.progress_bar import progress_bar
from runbook.display import age, visible
from runbook.record.status import Status
from runbook.serialize import timestamps
from runbook.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import timedelta
    from typing import TypeVar

    from runbook.maintain.garbage import GarbageReport
    from runbook.read.view import ExperimentView

    F = TypeVar("F", bound=Callable[..., Any])


def _taking_away(function: F) -> F:
    """The options of what takes something away."""
    options = (
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@command(
    "rm",
    json="an object with deleted, an array of objects with experiment_id, custom_name, status and bytes; failed, an "
    "array of objects with given and error; dry_run.",
    example="runbook rm 20241216_143052 --dry-run\nrunbook rm latest --yes",
)
@experiment_argument("experiments", several=True)
@_taking_away
def rm(context: Context, experiments: tuple[str, ...], *, yes: bool, dry_run: bool) -> int:
    """Move experiments into the trash.

    'runbook restore' brings them back from there, and 'runbook gc' empties it. It shows what would go, and asks. What
    runs is refused.
    """
    required(experiments, "the experiments that are to be deleted")
    outcomes = Outcomes()
    going = list(_deletable(outcomes, outcomes.experiments(context, experiments)))
    sizes = {view.id: files.size_of_tree(view.path) for view in going}
    listed = [f"{view.id}  {view.status.value}  {size(sizes[view.id])}" for view in going]
    if going and not dry_run and not confirm(f"move {counted(len(going))} into the trash", listed, is_agreed=yes):
        return outcomes.code or NOTHING
    deleted: list[dict[str, Any]] = []
    for view, line in zip(going, listed, strict=True):
        with outcomes.each(view.id):
            if not dry_run:
                context.manager.delete_experiment(view.id)
            deleted.append({**fields_of(view), "bytes": sizes[view.id]})
            if not context.as_json:
                context.print(visible(line if dry_run else f"{view.id}: in the trash"))
    if context.as_json:
        context.print_json({"deleted": deleted, "failed": outcomes.failed, "dry_run": dry_run})
    elif dry_run:
        context.print(f"{counted(len(deleted))} would go into the trash")
    return outcomes.code


def _deletable(outcomes: Outcomes, views: Sequence[ExperimentView]) -> Iterator[ExperimentView]:
    for view in views:
        with outcomes.each(view.id):
            if view.status is Status.RUNNING:
                raise NotPossibleError(f"{view.id} is running and stays; end it first, then delete it")
            yield view


@command(
    "restore",
    json="an object with restored, an array of objects with experiment_id, and failed, an array of objects with given "
    "and error; with --list an array of objects with the fields of the registry and deleted_at.",
    example="runbook restore --list\nrunbook restore baseline",
)
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT]...")
@click.option("-l", "--list", "is_list", is_flag=True, help="Show what is in the trash.")
def restore(context: Context, experiments: tuple[str, ...], *, is_list: bool) -> int:
    """Bring experiments back from the trash.

    An experiment goes by its id, the beginning of its id, or its name; of several with one id, the last deleted.
    """
    if is_list:
        context.empty = []
        return _list_trash(context)
    required(experiments, "the experiments that are to come back; --list shows what is in the trash")
    outcomes = Outcomes()
    restored: list[dict[str, str]] = []
    for wanted in experiments:
        with outcomes.each(wanted):
            found = _restore_one(context, wanted)
            restored.append({"experiment_id": found})
            if not context.as_json:
                context.print(f"{visible(found)}: restored")
    if context.as_json:
        context.print_json({"restored": restored, "failed": outcomes.failed})
    return outcomes.code


def _restore_one(context: Context, wanted: str) -> str:
    try:
        return context.manager.restore_experiment(wanted)
    except errors.ExperimentNotFoundError as error:
        problem = f"no experiment {wanted!r} in the trash of {context.shown_dir}"
        raise NothingFoundError(f"{problem}; 'runbook restore --list' shows what is there") from error
    except errors.ExperimentExistsError as error:
        problem = (
            f"there is another experiment {error.experiment_id} in {context.shown_dir} by now; nothing was changed"
        )
        raise NotPossibleError(f"{problem}: delete that first, and the one deleted before comes back") from error


def _list_trash(context: Context) -> int:
    trashed = context.manager.list_trash()[::-1]
    if context.as_json:
        context.print_json(trashed)
    for entry in () if context.as_json else trashed:
        context.print(visible(f"{entry['experiment_id']}  {entry['status']}  {_deleted(entry.get('deleted_at'))}"))
    if not trashed and not context.as_json:
        context.print("the trash is empty")
    return 0 if trashed else NOTHING


def _deleted(moment: object) -> str:
    with contextlib.suppress(ValueError):
        return f"deleted {age(timestamps.parse_time(str(moment)), datetime.now(UTC))}"
    return "nobody knows when it was deleted"


@command(
    "gc",
    json="an object with experiments, an array of ids; leftovers, an array of paths in the base directory; "
    "freed_bytes; failed, an object from paths to what went wrong; dry_run.",
    example="runbook gc --older-than 30d --dry-run\nrunbook gc --yes",
)
@click.option("--older-than", metavar="AGE", help="Spare what was deleted more recently than 45m, 3h, 2d or 1w ago.")
@_taking_away
def gc(context: Context, older_than: str | None, *, yes: bool, dry_run: bool) -> int:
    """Delete for good what is in the trash, and what dead processes left.

    It shows what would go, and asks. Experiments that are not in the trash are never touched.
    """
    spared = None if older_than is None else _age(older_than)
    found = context.manager.collect_garbage(trash_older_than=spared, dry_run=True)
    listed = _things(found)
    if listed and not dry_run:
        action = f"delete {_what(found)} for good ({size(found.freed_bytes)})"
        if not confirm(action, listed, is_agreed=yes):
            return NOTHING
        if not yes and _things(context.manager.collect_garbage(trash_older_than=spared, dry_run=True)) != listed:
            raise NotPossibleError("nothing was done: what there is to delete has changed meanwhile; look again")
        with progress_bar("deleting") as progress:
            found = context.manager.collect_garbage(trash_older_than=spared, progress=progress)
    _print_garbage(context, found, is_dry_run=dry_run)
    return DAMAGED if found.failed else 0


def _things(found: GarbageReport) -> list[str]:
    return [*found.experiments, *found.leftovers]


def _what(found: GarbageReport) -> str:
    return f"{counted(len(found.experiments))} and {counted(len(found.leftovers), 'leftover')}"


def _age(text: str) -> timedelta:
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
    elif not _things(found) and not found.failed:
        context.print("there is nothing to delete")
    else:
        for gone in _things(found) if is_dry_run else ():
            context.print(visible(gone))
        done = f"{'would be ' if is_dry_run else ''}deleted for good, {size(found.freed_bytes)}"
        context.print(f"{_what(found)} {done}")
    for path, problem in found.failed.items():
        click.echo(visible(f"runbook: {path} could not be removed ({problem})"), err=True)
