"""All experiments of a base directory as a table in the terminal."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Final

import attrs

from runbook import display
from runbook.display import visible
from runbook.record.status import Status
from runbook.render import colours, grid
from runbook.render.columns import GAP, LEAST_WIDTH
from runbook.render.entry_columns import NARROW, id_column, name_column, status_column, took_column
from runbook.render.grid import TextColumn
from runbook.serialize import timestamps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from runbook.typing import Json, JsonObject

_METRICS_SHOWN: Final = 4
_LEAST_METRIC: Final = 16
_WIDTH_WITHOUT_A_TERMINAL: Final = 120
"""A notebook and the log of a job are read by people; ids that are wider stay whole all the same."""


def print_summary(entries: Sequence[JsonObject], base_dir: str) -> None:
    """Print a table of experiments to the standard output, newest last, as wide as the terminal.

    Args:
        entries: lines of the registry.
        base_dir: where they are from.
    """
    lines = (
        [*_table_lines(entries), "", closing_line(entries, base_dir)] if entries else [closing_line(entries, base_dir)]
    )
    sys.stdout.write(display.encodable("".join(f"{line}\n" for line in lines), sys.stdout.encoding))
    sys.stdout.flush()


def closing_line(entries: Sequence[Mapping[str, Any]], base_dir: str) -> str:
    """How many experiments there are, and how many of each status, in one line of harmless text."""
    if not entries:
        return visible(f"No experiments in {base_dir}.")
    counts = {status.value: 0 for status in Status}
    for entry in entries:
        counts[str(entry.get("status"))] = counts.get(str(entry.get("status")), 0) + 1
    parts = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    plural = "" if len(entries) == 1 else "s"
    return visible(f"{len(entries)} experiment{plural} in {base_dir}: {parts}")


def _table_lines(entries: Sequence[JsonObject]) -> Iterator[str]:
    is_terminal = sys.stdout.isatty()
    width = max(LEAST_WIDTH, shutil.get_terminal_size().columns) if is_terminal else _WIDTH_WITHOUT_A_TERMINAL
    is_narrow = width < NARROW
    columns = [
        id_column(entries),
        *([] if is_narrow else [attrs.evolve(name_column(entries), lines=None)]),
        status_column(entries, is_narrow=is_narrow),
        took_column(entries, timestamps.now_utc()),
        TextColumn("metrics", [_metrics(entry.get("metrics")) for entry in entries], is_list=True, whole=_LEAST_METRIC),
    ]
    if not is_terminal:
        columns[0] = attrs.evolve(columns[0], whole=columns[0].width)
        width = max(width, columns[0].width + GAP + max(column.least(is_first=False) for column in columns[1:]))
    return grid.table_lines(columns, width, colour=colours.are_wanted(sys.stdout))


def _metrics(metrics: Json) -> str:
    if not isinstance(metrics, dict):
        return ""
    shown = [f"{visible(name)}={display.number(value)}" for name, value in list(metrics.items())[:_METRICS_SHOWN]]
    if len(metrics) > _METRICS_SHOWN:
        shown.append(f"+{len(metrics) - _METRICS_SHOWN} more")
    return (" " * GAP).join(shown)
