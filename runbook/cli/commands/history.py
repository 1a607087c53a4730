"""`history`: the metrics of an experiment over its steps."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, Final

import click

from runbook import display, errors
from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NothingFoundError
from runbook.cli.options import completed_by, experiment_argument
from runbook.cli.plot import draw_chart
from runbook.display import width_of
from runbook.hints import suggest
from runbook.render import grid
from runbook.storage.history import RESERVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbook.read.view import ExperimentView

_SHOWN: Final = 6
_BESIDE: Final = 110
_GAP: Final = "    "
_WIDTH_IN_A_PIPE: Final = 100
_HEIGHT_OF_ONE: Final = 14
_HEIGHT_OF_SEVERAL: Final = 7


@command(
    "history",
    empty=[],
    json="an array of objects, one a line of the history, with step, time and each metric; null where it is missing.",
    example="runbook history latest\nrunbook history baseline loss val/loss --log\nrunbook history baseline --csv",
)
@experiment_argument(default="latest")
@click.argument("metrics", nargs=-1, metavar="[METRIC]...", shell_complete=completed_by("metrics"))
@click.option("--log", "is_log", is_flag=True, help="A logarithmic axis.")
@click.option("--csv", "is_csv", is_flag=True, help="Print the rows as comma-separated values.")
def history(context: Context, experiment: str, metrics: tuple[str, ...], *, is_log: bool, is_csv: bool) -> None:
    """Draw the metrics of an experiment over its steps."""
    view = context.experiment(experiment)
    columns = _read_columns(view)
    names = [name for name in columns if name not in RESERVED]
    if not names:
        raise NothingFoundError(f"{view.id} has logged nothing; exp.log(loss=…) does")
    for name in metrics:
        if name not in names:
            raise NothingFoundError(f"{view.id} has no metric {name!r}; {suggest(name, names)}")
    chosen = list(dict.fromkeys(metrics or names))
    if context.as_json or is_csv:
        _print_rows(context, {name: columns[name] for name in [*RESERVED, *chosen] if name in columns})
        return
    context.print(display.visible(view.id))
    for line in _draw_charts(context, columns, chosen[: len(metrics) or _SHOWN], is_log=is_log):
        context.print(line)
    if not metrics and len(names) > _SHOWN:
        context.print()
        for line in grid.paragraph_lines(
            f"and {len(names) - _SHOWN} more: {display.visible(', '.join(names[_SHOWN:]))}", context.width
        ):
            context.print(line)


def _read_columns(view: ExperimentView) -> dict[str, list[Any]]:
    """The logged metrics as columns; without them the training history that was saved as a whole (legacy API)."""
    columns = view.history()
    if any(name not in RESERVED for name in columns):
        return columns
    with contextlib.suppress(FileNotFoundError, errors.DamagedFileError):
        saved = {
            name: value for name, value in view.load_metrics("training_history").items() if isinstance(value, list)
        }
        length = max(map(len, saved.values()), default=0)
        filled = {name: [*values, *[None] * (length - len(values))] for name, values in saved.items()}
        return {"step": list(range(length)), **filled}
    return columns


def _print_rows(context: Context, columns: dict[str, list[Any]]) -> None:
    rows = list(zip(*columns.values(), strict=True))
    if context.as_json:
        context.print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    from runbook.render.tables import Cell, Column, Table, to_csv

    table = Table(tuple(Column(name) for name in columns), tuple(tuple(Cell(value) for value in row) for row in rows))
    context.write(to_csv(table))


def _draw_charts(context: Context, columns: dict[str, list[Any]], names: Sequence[str], *, is_log: bool) -> list[str]:
    width = context.width if context.is_terminal else _WIDTH_IN_A_PIPE
    per_row = 2 if len(names) > 1 and width >= _BESIDE else 1
    width_of_one = (width - len(_GAP) * (per_row - 1)) // per_row
    height = _HEIGHT_OF_ONE if len(names) == 1 else _HEIGHT_OF_SEVERAL
    blocks = [
        _draw_block(
            name, columns["step"], columns[name], width_of_one, height, is_log=is_log, is_unicode=context.is_unicode
        )
        for name in names
    ]
    lines = []
    for start in range(0, len(blocks), per_row):
        row = blocks[start : start + per_row]
        tallest = max(map(len, row))
        filled = [[*block, *[""] * (tallest - len(block))] for block in row]
        lines.append("")
        for parts in zip(*filled, strict=True):
            padded = [grid.fill(part, width_of_one) for part in parts]
            lines.append(_GAP.join(padded).rstrip())
    return lines


def _draw_block(
    name: str, steps: Sequence[Any], values: Sequence[Any], width: int, height: int, *, is_log: bool, is_unicode: bool
) -> list[str]:
    """The chart of one metric, below a line with its name, last, least and largest value."""
    present = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
    numbers = [
        (_choose_step(step, position), float(value))
        for position, (step, value) in enumerate(present)
        if _is_number(value)
    ]
    points = sorted((point for point in numbers if _is_drawn(point[1], is_log=is_log)), key=lambda point: point[0])
    ellipsis = "…" if is_unicode else "..."
    if not numbers:
        return [display.cut(f"{display.visible(name)}  no numbers", width, width_of, ellipsis)]
    finite = [value for _, value in numbers if math.isfinite(value)]
    title = f"{display.visible(name)}  last {display.number(numbers[-1][1])}"
    if finite:
        title += f"  min {display.number(min(finite))}  max {display.number(max(finite))}"
    lines = [display.cut(title, width, width_of, ellipsis)]
    if points:
        lines += draw_chart(points, width, height, is_log=is_log, is_unicode=is_unicode)
    left_out = len(numbers) - len(points)
    if left_out:
        kind = "not above 0, or not finite" if is_log else "not finite"
        position = next(step for step, value in numbers if not _is_drawn(value, is_log=is_log))
        text = f"not drawn: {left_out} {kind}, first at {display.number(position)}"
        lines.append(display.cut(text, width, width_of, ellipsis))
    return lines


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _choose_step(step: object, position: int) -> float:
    return float(step) if isinstance(step, int | float) and math.isfinite(step) else float(position)


def _is_drawn(value: float, *, is_log: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not is_log)
