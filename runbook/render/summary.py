"""Experiments as a table in the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from runbook import display
from runbook.display import visible
from runbook.record import registry_entry
from runbook.record.status import Status
from runbook.render import colours
from runbook.serialize import timestamps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from rich.table import Table

    from runbook.typing import Json, JsonObject

_METRICS_SHOWN: Final = 4
_WIDTH_WITHOUT_A_TERMINAL: Final = 120
_WIDTH_FOR_NAMES: Final = 110
_NARROW_ID: Final = 36


def print_summary(entries: Sequence[JsonObject], base_dir: str) -> None:
    """Print a table of experiments to the standard output, newest last, as wide as the terminal.

    Args:
        entries: lines of the registry.
        base_dir: where they are from.
    """
    from rich.console import Console

    console = Console(
        file=sys.stdout, width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_A_TERMINAL, emoji=False, markup=False
    )
    with console.capture() as capture:
        if entries:
            console.print(_table(entries, console.width))
        console.print(closing_line(entries, base_dir), highlight=False)
    # A terminal or a pipe that knows fewer characters shows the others as question marks.
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(capture.get().encode(encoding, errors="replace").decode(encoding))
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


def _table(entries: Sequence[JsonObject], width: int) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    # Where there is little room the name goes first, of which the id has most, and then the end of long ids: the
    # beginning is enough to ask for an experiment.
    is_narrow = width < _WIDTH_FOR_NAMES
    table.add_column("experiment", no_wrap=True, max_width=_NARROW_ID if is_narrow else None)
    if not is_narrow:
        table.add_column("name", overflow="fold")
    table.add_column("status", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("metrics", overflow="ellipsis" if is_narrow else "fold")
    for entry in entries:
        status = str(entry.get("status"))
        reason = entry.get("end_reason")
        shown = f"{status} ({reason})" if status in {Status.FAILED, Status.INTERRUPTED} and reason else status
        name = [] if is_narrow else [Text(visible(str(entry.get("custom_name") or "")))]
        table.add_row(
            Text(visible(str(entry["experiment_id"]))),
            *name,
            Text(visible(status if is_narrow else shown), style=colours.STATUS_COLOURS.get(status, "")),
            Text(_duration(entry)),
            Text(_metrics(entry.get("metrics"), "\n" if is_narrow else "  ")),
        )
    return table


def _metrics(metrics: Json, between: str) -> str:
    if not isinstance(metrics, dict):
        return ""
    shown = [f"{visible(name)}={display.number(value)}" for name, value in list(metrics.items())[:_METRICS_SHOWN]]
    if len(metrics) > _METRICS_SHOWN:
        shown.append(f"+{len(metrics) - _METRICS_SHOWN} more")
    return between.join(shown)


def _duration(entry: JsonObject) -> str:
    seconds = registry_entry.duration_of(entry, timestamps.now_utc())
    return "" if seconds is None else display.duration(seconds)
