"""`best`: the experiments with the best value of a metric."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import click

from runbook.cli.context import Context, command
from runbook.cli.entry_table import print_table
from runbook.cli.exit_codes import NothingFoundError, print_error_text
from runbook.cli.options import Filters, completed_by, filters, where_argument
from runbook.compare.directions import direction_of, is_number
from runbook.hints import suggest
from runbook.record.status import Status

if TYPE_CHECKING:
    from typing import Unpack

_SHOWN: Final = 5


@command(
    "best",
    json="an object with metric, direction (min or max) and experiments: objects with rank, value and the fields of "
    "the registry, the best first.",
    example="runbook best --metric test_f1\nrunbook best --metric val/loss --tag hate -n 3\n"
    "runbook best --metric temperature --minimize 'config.epochs >= 10'",
)
@where_argument
@click.option(
    "--metric", required=True, metavar="METRIC", shell_complete=completed_by("metrics"), help="A final metric."
)
@click.option("--minimize/--maximize", default=None, help="Which way is better, where the metric's name does not say.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    default=_SHOWN,
    show_default=True,
    help="How many, 0 for all.",
)
@filters
def best(
    context: Context,
    where: str | None,
    *,
    metric: str,
    minimize: bool | None,
    limit: int,
    **chosen: Unpack[Filters],
) -> int | None:
    """List the experiments with the best values of a metric.

    Only completed ones take part, unless --status says otherwise; a value that is not finite is never best.
    """
    chosen["status"] = chosen["status"] or (Status.COMPLETED.value,)
    found = context.manager.find(where, **chosen)
    if not found:
        raise NothingFoundError(context.no_match())
    name = metric.removeprefix("metrics.") if not any(metric in entry["metrics"] for entry in found) else metric
    valued = [entry for entry in found if is_finite(entry["metrics"].get(name))]
    if not valued:
        names = [name for entry in found for name in entry["metrics"]]
        hint = suggest(name, names) if names else "no metric of them is on record"
        raise NothingFoundError(f"no experiment of {len(found)} has a finite {metric!r}; {hint}")
    direction = _choose_direction(metric, minimize)
    sign = 1 if direction == "min" else -1
    # The sort is stable, so that equal values stay in the order of `find`, newest first.
    ranked = sorted(valued, key=lambda entry: sign * entry["metrics"][name])
    shown = ranked[: limit or None]
    if context.as_json:
        experiments = [{"rank": 1 + ranked.index(entry), "value": entry["metrics"][name], **entry} for entry in shown]
        context.print_json({"metric": name, "direction": direction, "experiments": experiments})
        return None
    how = "lowest" if direction == "min" else "highest"
    reason = "its name says so" if minimize is None else "as given"
    print_error_text(f"{how} {name} first ({reason}); {len(valued)} of {len(found)} experiments have it")
    print_table(context, shown, [(name, lambda entry: entry["metrics"].get(name))])
    return None


def _choose_direction(metric: str, minimize: bool | None) -> str:
    if minimize is not None:
        return "min" if minimize else "max"
    direction = direction_of(metric)
    if direction is None:
        raise click.UsageError(
            f"the name {metric!r} does not say whether higher or lower is better; add --minimize or --maximize"
        )
    return direction


def is_finite(value: Any) -> bool:
    """Whether a value is a finite number."""
    # `isfinite` raises for an integer that is too large for a float.
    return is_number(value) and (isinstance(value, int) or math.isfinite(value))
