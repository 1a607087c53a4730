"""`diff`: what differs between two experiments."""

from __future__ import annotations

from runbook.cli.context import Context, command
from runbook.cli.differences import differences, side
from runbook.cli.exit_codes import DIFFERENT
from runbook.cli.options import experiment_argument
from runbook.render.tables import Cell, Column, Table, to_text


@command(
    "diff",
    json="an object with experiments (the two ids), config, environment and metrics: {key: {experiment_id: value}}, "
    "each with only the keys that differ.",
    example="runbook diff baseline @1\nrunbook diff @2 @1 --json",
)
@experiment_argument("first")
@experiment_argument("second")
def diff(context: Context, first: str, second: str) -> int | None:
    """Show what differs between two experiments.

    Config, environment (git, packages, interpreter, command line) and metrics.

    The exit code is 0 if nothing differs, 1 if something does.
    """
    views = (context.experiment(first), context.experiment(second))
    found = differences(*views)
    code = DIFFERENT if any(found.values()) else None
    ids = [view.id for view in views]
    if context.as_json:
        context.print_json({"experiments": ids, **found})
        return code
    if code is None:
        context.print("no differences")
    shown = [part for part, keys in found.items() if keys]
    for position, part in enumerate(shown):
        rows = tuple(
            (Cell(key), *(Cell(values.get(owner), text=side(values, owner)) for owner in ids))
            for key, values in found[part].items()
        )
        table = Table((Column(part), *(Column(owner) for owner in ids)), rows)
        context.write(to_text(table, width=context.width, colour=context.is_coloured))
        if position < len(shown) - 1:
            context.print()
    return code
