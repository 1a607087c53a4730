"""`path`: the folder of an experiment."""

from __future__ import annotations

from runbook.cli.context import Context, command
from runbook.cli.options import experiment_argument


@command("path", json="an object with experiment_id and path.", example="cd $(runbook path latest)")
@experiment_argument()
def path(context: Context, experiment: str) -> None:
    """Print the folder of an experiment, and nothing else."""
    view = context.experiment(experiment)
    if context.as_json:
        context.print_json({"experiment_id": view.id, "path": str(view.path)})
    else:
        context.print_path(view.path)
