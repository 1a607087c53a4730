"""`rm`: experiments, into the trash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NOTHING, NotPossibleError
from runbook.cli.options import experiment_argument, removal_options
from runbook.cli.outcomes import Outcomes, check_given, confirm, fields_of, format_count, format_size
from runbook.display import visible
from runbook.record.status import Status
from runbook.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runbook.read.view import ExperimentView


@command(
    "rm",
    json="an object with deleted, an array of objects with experiment_id, custom_name, status and bytes; failed, an "
    "array of objects with given and error; dry_run.",
    example="runbook rm 20241216_143052 --dry-run\nrunbook rm latest --yes",
)
@experiment_argument("experiments", several=True)
@removal_options
def rm(context: Context, experiments: tuple[str, ...], *, yes: bool, dry_run: bool) -> int:
    """Move experiments into the trash.

    'runbook restore' brings them back from there, and 'runbook gc' empties it. It shows what would go, and asks. What
    runs is refused.
    """
    check_given(experiments, "the experiments that are to be deleted")
    outcomes = Outcomes()
    deletable = list(_check_deletable(outcomes, outcomes.experiments(context, experiments)))
    sizes = {view.id: files.size_of_tree(view.path) for view in deletable}
    listed = [f"{view.id}  {view.status.value}  {format_size(sizes[view.id])}" for view in deletable]
    if (
        deletable
        and not dry_run
        and not confirm(f"move {format_count(len(deletable))} into the trash", listed, is_agreed=yes)
    ):
        return outcomes.code or NOTHING
    deleted: list[dict[str, Any]] = []
    for view, text in zip(deletable, listed, strict=True):
        with outcomes.each(view.id):
            if not dry_run:
                context.manager.delete_experiment(view.id)
            deleted.append({**fields_of(view), "bytes": sizes[view.id]})
            if not context.as_json:
                context.print(visible(text if dry_run else f"{view.id}: in the trash"))
    if context.as_json:
        context.print_json({"deleted": deleted, "failed": outcomes.failed, "dry_run": dry_run})
    elif dry_run:
        context.print(f"{format_count(len(deleted))} would go into the trash")
    return outcomes.code


def _check_deletable(outcomes: Outcomes, views: Sequence[ExperimentView]) -> Iterator[ExperimentView]:
    for view in views:
        with outcomes.each(view.id):
            if view.status is Status.RUNNING:
                raise NotPossibleError(f"{view.id} is running and stays; end it first, then delete it")
            yield view
