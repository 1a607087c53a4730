"""All experiments of a base directory as a table in the terminal."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import attrs

from runbook import display
from runbook.display import visible
from runbook.record.status import Status
from runbook.render import colours, grid
from runbook.render.columns import GAP, LEAST_WIDTH
from runbook.render.entry_columns import NARROW, id_column, name_column, status_column, took_column
from runbook.render.grid import TextColumn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from runbook.typing import Json, JsonObject

_METRICS_SHOWN: Final = 4
_LEAST_METRIC: Final = 16
_WIDTH_WITHOUT_A_TERMINAL: Final = 120
"""People also read notebooks and logs of jobs, so that the width is limited there; only wide ids exceed it."""


def print_summary(entries: Sequence[JsonObject], base_dir: str) -> None:
    """Print a table of experiments to the standard output, newest last, as wide as the terminal.

    Args:
        entries: registry entries.
        base_dir: their base directory, as the user gave it.
    """
    lines = (
        [*_lay_out_table(entries), "", closing_line(entries, base_dir)]
        if entries
        else [closing_line(entries, base_dir)]
    )
    sys.stdout.write(display.encodable("".join(f"{line}\n" for line in lines), sys.stdout.encoding))
    sys.stdout.flush()


def closing_line(entries: Sequence[Mapping[str, Any]], base_dir: str) -> str:
    """The number of experiments, and of those with each status, as one line of harmless text."""
    if not entries:
        return visible(f"No experiments in {base_dir}.")
    counts = {status.value: 0 for status in Status}
    for entry in entries:
        counts[str(entry.get("status"))] = counts.get(str(entry.get("status")), 0) + 1
    parts = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    plural = "" if len(entries) == 1 else "s"
    return visible(f"{len(entries)} experiment{plural} in {base_dir}: {parts}")


def _lay_out_table(entries: Sequence[JsonObject]) -> Iterator[str]:
    is_terminal = sys.stdout.isatty()
    width = max(LEAST_WIDTH, shutil.get_terminal_size().columns) if is_terminal else _WIDTH_WITHOUT_A_TERMINAL
    is_narrow = width < NARROW
    columns = [
        id_column(entries),
        *([] if is_narrow else [attrs.evolve(name_column(entries), lines=None)]),
        status_column(entries, is_narrow=is_narrow),
        took_column(entries, datetime.now(UTC)),
        TextColumn(
            "metrics", [_format_metrics(entry.get("metrics")) for entry in entries], is_list=True, whole=_LEAST_METRIC
        ),
    ]
    if not is_terminal:
        columns[0] = attrs.evolve(columns[0], whole=columns[0].width)
        width = max(width, columns[0].width + GAP + max(column.least(is_first=False) for column in columns[1:]))
    return grid.table_lines(columns, width, colour=colours.are_wanted(sys.stdout))


def _format_metrics(metrics: Json) -> str:
    if not isinstance(metrics, dict):
        return ""
    shown = [f"{visible(name)}={display.number(value)}" for name, value in list(metrics.items())[:_METRICS_SHOWN]]
    if len(metrics) > _METRICS_SHOWN:
        shown.append(f"+{len(metrics) - _METRICS_SHOWN} more")
    return (" " * GAP).join(shown)
