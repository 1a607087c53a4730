"""`ls`: the experiments of a base directory, newest first."""

from __future__ import annotations

import click

from runbook.cli import aligning
from runbook.cli.context import Context, command
from runbook.display import visible


@command(
    "ls",
    json="an array of objects with the fields of the registry, newest first.",
    example="runbook ls --status failed\nrunbook ls --json",
)
@click.option("--status", metavar="STATUS", help="Only experiments of this status.")
def ls(context: Context, status: str | None) -> int | None:
    """List experiments, newest first."""
    entries = context.entries[::-1]
    if status is not None:
        entries = [entry for entry in entries if entry["status"] == status]
    if context.as_json:
        context.print_json(entries)
        return None if entries else 1
    rows = [["experiment", "status"]]
    rows += [[visible(str(entry["experiment_id"])), str(entry["status"])] for entry in entries]
    for row in aligning.aligned(rows):
        context.print("  ".join(row).rstrip())
    return None if entries else 1
