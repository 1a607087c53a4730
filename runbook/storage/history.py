"""The history of an experiment, metrics over steps: reading it, also where a power cut has left a torn line.

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
    """The lines of a live history, oldest first; none if nothing was logged.

    The last line is forgiven when it is torn or full of NULs, which is what a power cut leaves.

    Raises:
        DamagedFileError: if any other line cannot be understood, naming it.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    *lines, torn = raw.split(b"\n")
    with contextlib.suppress(errors.DamagedFileError):
        # All at once, which takes half the time; where that fails, the line that is to blame is looked for.
        rows = cast("list[Json]", json_text.decode_part(b"[" + b",".join(lines) + b"]", path, len(raw)))
        if len(rows) == len(lines) and all(type(row) is dict for row in rows):
            return cast("list[JsonObject]", rows)
    return _rows_one_by_one(lines, torn, path)


def _rows_one_by_one(lines: list[bytes], torn: bytes, path: Path) -> list[JsonObject]:
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
    """Make a live history fit for another attempt to append to.

    Returns:
        How many lines it has.
    """
    files.drop_torn_line(path)
    return path.read_bytes().count(b"\n") if path.exists() else 0


def without_rewound(rows: list[JsonObject], starts: Iterable[int]) -> list[JsonObject]:
    """One clean curve: an attempt that went back to an earlier step replaces what was logged from that step on.

    Args:
        rows: all lines, oldest first.
        starts: for each attempt after the first, how many lines there were when it began.
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


def metrics_left_behind(folder: ExperimentLayout) -> dict[str, Json]:
    """What an experiment's own files say of its final metrics: those it saved, else the last that it logged."""
    with contextlib.suppress(OSError, errors.DamagedFileError):
        return numbers_of(json_text.decode_object(folder.final_summary.read_bytes(), folder.final_summary))
    with contextlib.suppress(OSError, errors.DamagedFileError):
        return numbers_of(latest_values(read_rows(folder.history)))
    return {}


def latest_values(rows: Iterable[JsonObject]) -> dict[str, Json]:
    """The last value of each metric in some lines, oldest first."""
    return {name: value for row in rows for name, value in row.items() if name not in RESERVED}


def columns(rows: list[JsonObject]) -> dict[str, list[Any]]:
    """Rows as columns: `step`, `time`, then each metric, with None where a row lacks it.

    The values are numbers, as a rule; whatever else was logged is there as it was written.
    """
    names = dict.fromkeys([*RESERVED, *(name for row in rows for name in row)])
    return {name: _column([row.get(name) for row in rows]) for name in names}


def _column(values: list[Json]) -> list[Any]:
    # Nearly every column is all numbers, or all times.
    if {*map(type, values)} <= {int, float, type(None)}:
        return values
    return [restore_floats(value) if type(value) is not str else NON_FINITE.get(value, value) for value in values]
