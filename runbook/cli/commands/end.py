"""`end`: the end of an experiment, declared by a person."""

from __future__ import annotations

import click

from runbook.cli.context import Context, command
from runbook.cli.options import experiment_argument
from runbook.display import visible


@command(
    "end",
    json="an object with experiment_id and status.",
    example="runbook end baseline --note 'the node was switched off'",
)
@experiment_argument()
@click.option(
    "--status",
    type=click.Choice(["interrupted", "failed", "completed"]),
    default="interrupted",
    show_default=True,
    help="How it ended.",
)
@click.option("--note", "text", metavar="TEXT", help="Added to its notes.")
def end(context: Context, experiment: str, status: str, text: str | None) -> None:
    """Say that an experiment on a lost machine has ended.

    That is for one that ran where nobody can look from here. One that is alive, or has ended already, is refused.
    """
    found = context.experiment(experiment).id
    context.manager.declare_ended(found, status, text)
    if context.as_json:
        context.print_json({"experiment_id": found, "status": status})
    else:
        context.print(f"{visible(found)}: {status}")
