"""Reads the history of an experiment, its metrics over steps, even where a power cut has left a torn last line.

`runbook.storage.metric_log` writes it.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any, Final, cast

from runbook import errors
from runbook.serialize import json_text
from runbook.serialize.flatten import NON_FINITE, restore_floats
from runbook.serialize.jsonable import numbers_of
from runbook.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runbook.record.layout import ExperimentLayout
    from runbook.typing import Json, JsonObject

RESERVED: Final = ("step", "time")
_NUL: Final = b"\0"


def read_rows(path: Path) -> list[JsonObject]:
    """The rows of a live history, oldest first; an empty list if nothing was logged.

    A last line that is torn or full of NULs is left out: a power cut leaves such lines.

    Raises:
        DamagedFileError: if any other line cannot be understood; the message has its number.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    *lines, torn = raw.split(b"\n")
    with contextlib.suppress(errors.DamagedFileError):
        # One call for all lines takes half the time; only where it fails are the lines decoded one by one.
        rows = cast("list[Json]", json_text.decode_part(b"[" + b",".join(lines) + b"]", path, len(raw)))
        if len(rows) == len(lines) and all(type(row) is dict for row in rows):
            return cast("list[JsonObject]", rows)
    return _decode_lines(lines, torn, path)


def _decode_lines(lines: list[bytes], torn: bytes, path: Path) -> list[JsonObject]:
    rows: list[JsonObject] = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json_text.decode_object(line, path))
        except errors.DamagedFileError as error:
            if number == len(lines) and (not torn.strip(_NUL)) and not line.strip(_NUL):
                break
            raise errors.DamagedFileError(path, f"line {number}: {error.problem}") from error
    return rows


def mend(path: Path) -> int:
    """Cut off a torn last line of a live history, so that another attempt can append to it.

    Returns:
        How many lines it has.
    """
    files.drop_torn_line(path)
    return path.read_bytes().count(b"\n") if path.exists() else 0


def without_rewound(rows: list[JsonObject], starts: Iterable[int]) -> list[JsonObject]:
    """The rows of one curve: an attempt that went back to an earlier step replaces the rows from that step on.

    Args:
        rows: all rows, oldest first.
        starts: for each attempt after the first, the number of rows when it began.
    """
    bounds = [0, *starts, len(rows)]
    clean: list[JsonObject] = []
    for begin, end in itertools.pairwise(bounds):
        attempt = rows[begin:end]
        steps = [step for row in attempt if isinstance(step := row.get("step"), int | float)]
        if clean and steps:
            first = min(steps)
            clean = [row for row in clean if not isinstance(step := row.get("step"), int | float) or step < first]
        clean += attempt
    return clean


def read_final_metrics(folder: ExperimentLayout) -> dict[str, Json]:
    """The final metrics by the files of an experiment: those that it saved, or else the last values that it logged."""
    with contextlib.suppress(OSError, errors.DamagedFileError):
        return numbers_of(json_text.decode_object(folder.final_summary.read_bytes(), folder.final_summary))
    with contextlib.suppress(OSError, errors.DamagedFileError):
        return numbers_of(latest_values(read_rows(folder.history)))
    return {}


def latest_values(rows: Iterable[JsonObject]) -> dict[str, Json]:
    """The last value of each metric.

    Args:
        rows: oldest first.
    """
    return {name: value for row in rows for name, value in row.items() if name not in RESERVED}


def columns(rows: list[JsonObject]) -> dict[str, list[Any]]:
    """The rows as columns: `step`, `time`, then each metric, with None where a row does not have it.

    Most values are numbers; other logged values are as they were written.
    """
    names = dict.fromkeys([*RESERVED, *(name for row in rows for name in row)])
    return {name: _restore_column([row.get(name) for row in rows]) for name in names}


def _restore_column(values: list[Json]) -> list[Any]:
    # Most columns hold nothing but numbers and need no change.
    if {*map(type, values)} <= {int, float, type(None)}:
        return values
    return [restore_floats(value) if type(value) is not str else NON_FINITE.get(value, value) for value in values]
