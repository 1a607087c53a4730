"""`rm`: experiments, into the trash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NOTHING, NotPossibleError
from runbook.cli.options import experiment_argument, removal_options
from runbook.cli.outcomes import Outcomes, confirm, counted, fields_of, required, size
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
