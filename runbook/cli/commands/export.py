"""`export`: experiments, into a folder or a .zip file."""

from __future__ import annotations

from pathlib import Path

import click

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NotPossibleError
from runbook.cli.options import experiment_argument
from runbook.cli.outcomes import Outcomes, check_given
from runbook.cli.progress_bar import progress_bar
from runbook.display import visible


@command(
    "export",
    json="an object with exported, an array of objects with experiment_id and path, and failed, an array of objects "
    "with given and error.",
    example="runbook export baseline latest shared/\nrunbook export baseline baseline.zip",
)
@experiment_argument("experiments", several=True)
@click.argument("target", type=click.Path(path_type=Path))
def export(context: Context, experiments: tuple[str, ...], target: Path) -> int:
    """Copy experiments into a folder, or one into a .zip file.

    TARGET is the folder, which is made if it is not there, and gets each under its id; or a file that ends in .zip and
    is not there yet, which gets a manifest of checksums as well.
    """
    check_given(experiments, "the experiments, then the folder or the .zip file that they go to")
    outcomes = Outcomes()
    views = outcomes.experiments(context, experiments)
    if len(views) > 1 and target.suffix.lower() == ".zip":
        raise NotPossibleError(f"a .zip file holds one experiment, not {len(views)}; name a folder, or one at a time")
    exported: list[dict[str, str]] = []
    for view in views:
        with outcomes.each(view.id):
            with progress_bar(f"exporting {visible(view.id)}") as progress:
                path = context.manager.export_experiment(view.id, target, progress=progress)
            exported.append({"experiment_id": view.id, "path": str(path)})
            if not context.as_json:
                context.print(f"{visible(view.id)}: exported to {visible(str(path))}")
    if context.as_json:
        context.print_json({"exported": exported, "failed": outcomes.failed})
    return outcomes.code
