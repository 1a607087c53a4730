"""`compare`: experiments side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NothingFoundError
from runbook.cli.options import Filters, completed_by, experiment_argument, filters
from runbook.record.status import Status

if TYPE_CHECKING:
    from typing import Unpack

_TWO: Final = 2
_FORMS: Final = ("text", "markdown", "latex", "csv", "json")


@command(
    "compare",
    json="an object with experiments, config_diff, metrics, directions and best; with --group-by an object with the "
    "groups, their statistics and tests.",
    example="runbook compare baseline @1\nrunbook compare --tag hate --since 2d --format markdown\n"
    "runbook compare --group-by config --name 'sweep*' --maximize test_f1",
)
@experiment_argument("experiments", several=True)
@click.option("--where", metavar="WHERE", help="Those that an expression fits, instead of naming them.")
@filters
@click.option(
    "--group-by",
    metavar="KEY",
    shell_complete=completed_by("fields"),
    help="Groups of runs: 'config' (all but the seed), or a field of it.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    shell_complete=completed_by("metrics"),
    metavar="METRIC",
    help="With --group-by: only these.",
)
@click.option("--predictions", metavar="FILE", help="With --group-by: predictions in results/ for a paired bootstrap.")
@click.option("--allow-pickle", is_flag=True, help="Let the predictions be a pickle, which runs code.")
@click.option(
    "--minimize",
    multiple=True,
    shell_complete=completed_by("metrics"),
    metavar="METRIC",
    help="A metric that is better when lower.",
)
@click.option(
    "--maximize",
    multiple=True,
    shell_complete=completed_by("metrics"),
    metavar="METRIC",
    help="A metric that is better when higher.",
)
@click.option(
    "--format", "form", type=click.Choice(_FORMS), default="text", show_default=True,
    help="How to print it.",
)  # fmt: skip
def compare(
    context: Context,
    experiments: tuple[str, ...],
    *,
    where: str | None,
    group_by: str | None,
    metrics: tuple[str, ...],
    predictions: str | None,
    allow_pickle: bool,
    minimize: tuple[str, ...],
    maximize: tuple[str, ...],
    form: str,
    **chosen: Unpack[Filters],
) -> None:
    """Compare experiments side by side.

    The settings that differ, the final metrics, and the best of each marked.

    Experiments are named, or chosen by --where, --status, --tag, --name, --since and --until.
    """
    if group_by is None and (metrics or predictions):
        raise click.UsageError("--metric and --predictions belong to --group-by; add it, or leave them out")
    context.as_json |= form == "json"
    ids = _choose_ids(context, experiments, where, chosen, is_grouped=group_by is not None)
    if group_by is None:
        compared: Any = context.manager.compare_experiments(ids, minimize=minimize, maximize=maximize)
    else:
        compared = context.manager.compare_groups(
            group_by.split(","),
            ids,
            status=chosen["status"] or Status.COMPLETED,
            metrics=metrics or None,
            minimize=minimize,
            maximize=maximize,
            predictions=predictions,
            allow_pickle=allow_pickle,
        )
    if context.as_json:
        context.print_json_text(compared.to_json())
    elif form == "text":
        context.write(compared.to_text(context.width, colour=context.is_coloured))
    else:
        context.write({"markdown": compared.to_markdown, "latex": compared.to_latex, "csv": compared.to_csv}[form]())


def _choose_ids(
    context: Context, experiments: tuple[str, ...], where: str | None, chosen: Filters, *, is_grouped: bool
) -> list[str]:
    """The ids of the experiments to compare, the oldest first where they are not named."""
    is_filtered = where is not None or any(chosen.values())
    if experiments and is_filtered:
        raise click.UsageError("name the experiments, or choose them by options, not both")
    if experiments:
        ids = [context.experiment(wanted).id for wanted in experiments]
    elif is_filtered or is_grouped:
        ids = [entry["experiment_id"] for entry in reversed(context.manager.find(where, **chosen))]
        if not ids:
            raise NothingFoundError(context.no_match())
    else:
        raise click.UsageError("name two experiments or more, or choose them by --where, --tag, --name and so on")
    if len(set(ids)) < _TWO:
        raise click.UsageError(f"comparing takes two experiments, and this is one: {ids[0]}")
    return list(dict.fromkeys(ids))
