"""`repair`: the problems of a base directory, mended."""

from __future__ import annotations

import click

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import DAMAGED
from runbook.cli.findings import FINDING, jsonable_findings, print_findings, problems_of
from runbook.cli.outcomes import format_count
from runbook.display import visible


@command(
    "repair",
    json=f"an object with repaired and left, arrays of {FINDING}, and dry_run.",
    example="runbook repair --dry-run\nrunbook repair",
)
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be mended.")
def repair(context: Context, *, dry_run: bool) -> int:
    """Mend what is wrong in the base directory.

    What is in the way is moved into .set-aside/, and nothing is deleted. The exit code is 3 if a problem is left.
    """
    if dry_run:
        found = context.manager.doctor()
        mended = [finding for finding in found if finding.is_repairable]
        left = [finding for finding in problems_of(found) if not finding.is_repairable]
    else:
        mended = context.manager.repair()
        left = problems_of(context.manager.doctor())
    if context.as_json:
        both = {"repaired": jsonable_findings(mended), "left": jsonable_findings(left)}
        context.print_json({**both, "dry_run": dry_run})
    else:
        for finding in mended:
            context.print(visible(f"{'would mend' if dry_run else 'mended'}: {finding.subject}: {finding.message}"))
        print_findings(context, left)
        if mended or left:
            context.print(
                f"{format_count(len(mended), 'thing')} {'to mend' if dry_run else 'mended'}, {len(left)} left"
            )
        else:
            context.print("there is nothing to mend")
    return DAMAGED if left else 0
