"""`merge`: all experiments of another base directory, into this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import DAMAGED, NothingFoundError
from runbook.cli.outcomes import format_count
from runbook.cli.progress_bar import progress_bar
from runbook.display import visible

if TYPE_CHECKING:
    from runbook.transfer.merge import MergeReport


@command(
    "merge",
    json="an object with added, skipped, updated and annotated, arrays of ids; renamed, an object from ids there to "
    "ids here; damaged, an object from ids to what is wrong.",
    example="runbook merge /mnt/cluster/experiments\nrunbook --dir all merge ./experiments",
)
@click.argument("other", metavar="OTHER_DIR", type=click.Path(path_type=Path))
def merge(context: Context, other: Path) -> int:
    """Take in all experiments of another base directory.

    The other one is only read. It is safe in any order, and as often as you like. Of two states of one experiment the
    later one is kept, and the earlier one goes into the trash; different experiments of one id are both kept.
    """
    if not other.is_dir():
        raise NothingFoundError(f"there is no folder {other}")
    with progress_bar("merging") as progress:
        report = context.writing_manager().merge(other, progress=progress)
    if context.as_json:
        context.print_json(attrs.asdict(report))
    else:
        _print_report(context, report)
    return DAMAGED if report.damaged else 0


def _print_report(context: Context, report: MergeReport) -> None:
    context.print(f"{format_count(len(report.added) + len(report.renamed))} added")
    for before, now in report.renamed.items():
        context.print(f"  {visible(before)} as {visible(now)}")
    if report.updated:
        context.print(f"{format_count(len(report.updated))} brought up to date")
    if report.skipped:
        noted = f", {len(report.annotated)} of them with new notes or tags" if report.annotated else ""
        context.print(f"{format_count(len(report.skipped))} here already{noted}")
    if report.damaged:
        context.print(f"{format_count(len(report.damaged))} damaged")
    for experiment_id, problem in report.damaged.items():
        context.print(f"  {visible(experiment_id)}: {visible(problem)}")
