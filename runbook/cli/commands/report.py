"""`report`: one HTML file about one experiment, several, or all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runbook import display
from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NothingFoundError
from runbook.cli.options import Filters, experiment_argument, filters
from runbook.cli.progress_bar import progress_bar

if TYPE_CHECKING:
    from typing import Unpack


@command(
    "report",
    json="an object with path and experiments (the ids; null for all).",
    example="runbook report -o report.html\nrunbook report baseline @1 -o two.html\n"
    "runbook report --since 7d --tag hate -o week.html",
)
@experiment_argument("experiments", several=True)
@click.option("--where", metavar="WHERE", help="Those that an expression fits, instead of naming them.")
@filters
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), default="report.html",
    show_default=True, help="The file to make or to replace.",
)  # fmt: skip
def report(
    context: Context, experiments: tuple[str, ...], *, where: str | None, output: Path, **chosen: Unpack[Filters]
) -> None:
    """Write a report as one HTML file.

    Of the experiments given or chosen, or of all. The file needs no network.
    """
    is_filtered = where is not None or any(chosen.values())
    if experiments and is_filtered:
        raise click.UsageError("name the experiments, or choose them by options, not both")
    ids: list[str] | None = None
    if experiments:
        ids = list(dict.fromkeys(context.experiment(wanted).id for wanted in experiments))
    elif is_filtered:
        ids = [entry["experiment_id"] for entry in reversed(context.manager.find(where, **chosen))]
    if ids == [] or not context.entries:
        raise NothingFoundError(context.no_match())

    from runbook.pages.report import write_report

    with progress_bar("writing the report") as progress:
        path = write_report(context.manager, ids, output, progress=progress)
    if context.as_json:
        context.print_json({"path": str(path), "experiments": ids})
    else:
        context.print(display.visible(str(path)))
