"""The history of an experiment: metrics over steps.

While it runs each `log` call adds a line to `metrics/history.jsonl`, such as
`{"step": 10, "time": "2026-01-31T12:00:00.000000+00:00", "loss": 0.3}`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, cast

from runbook import errors
from runbook.messages import warn_once
from runbook.serialize import json_text
from runbook.serialize.flatten import NON_FINITE, flatten, restore_floats
from runbook.serialize.jsonable import numbers_of, to_plain
from runbook.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from runbook.record.layout import ExperimentLayout
    from runbook.typing import Json, JsonObject

RESERVED: Final = ("step", "time")
_NUL: Final = b"\0"
_LONG: Final = 2**63
_digits: Final = float.__repr__


class MetricLog:
    """The writing side: numbers the steps and makes the lines.

    Args:
        append: takes one line and puts it on disk.
    """

    def __init__(self, append: Callable[[bytes], None]) -> None:
        self._append = append
        self._lock = _open_lock()
        self._next_step: float = 0
        self._labels: dict[str, str] = {}
        self._second = 0, ""
        self.latest: dict[str, Json] = {}
        """The last value of each metric."""

    def log(self, metrics: Mapping[str, object], step: object) -> None:
        """Write one line.

        Args:
            metrics: names and values; nested ones get dotted names.
            step: where in the training; None counts up from the last one.

        Raises:
            OSError: if the line could not be written.
        """
        fields = self._plain_fields(metrics) if step is None or _is_short(step) else None
        # What the fast way has checked is taken as it is: `cast` would be a call more.
        values: Any = metrics if fields is not None else self._values(metrics)
        number: Any = step
        with self._lock:
            if fields is not None:
                if step is None:
                    number = self._next_step
                line = f'{{"step": {number!r}, "time": "{self._now()}"{fields}}}\n'.encode()
            else:
                number = self._number(step, values)
                line = _line({"step": number, "time": self._now(), **values})
                self._labels.update({name: f", {_text(name)}: " for name in values if name.isascii()})
            self._append(line)
            self._next_step = number + 1
            self.latest.update(values)

    def _plain_fields(self, metrics: Mapping[str, Any]) -> str | None:
        """Finite numbers under names that were logged before, as they stand in a line; None for anything else.

        Nearly every call brings the names of the one before and plain numbers. Making each of those plain, flat and
        JSON again takes three times as long as writing them does.
        """
        fields = ""
        for name, value in metrics.items():
            label = self._labels.get(name)
            if label is None:
                return None
            kind = type(value)
            if (kind is float or issubclass(kind, float)) and isfinite(value):
                # Also NumPy's float64, whose own repr is no JSON.
                fields = f"{fields}{label}{_digits(value)}"
            elif _is_short(value):
                fields = f"{fields}{label}{value!r}"
            else:
                return None
        return fields

    def _now(self) -> str:
        """This moment, as ISO 8601 in UTC."""
        second, rest = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second[0]:
            # All but the fraction is the same a second long; to format it anew took a third of a call's time.
            self._second = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        # The format ":06d" says the same and takes twice as long.
        return f"{self._second[1]}.{str(rest // 1000).zfill(6)}+00:00"

    def go_on(self, rows: list[JsonObject]) -> None:
        """Count steps up from, and take as the latest values, what an earlier attempt logged."""
        for row in rows:
            self.latest.update({name: value for name, value in row.items() if name not in RESERVED})
            if isinstance(step := row.get("step"), int | float):
                self._next_step = step + 1

    def forget_lock(self) -> None:
        """Start over with an open lock, in a forked child whose parent may have held it."""
        self._lock = _open_lock()

    def _values(self, metrics: Mapping[str, object]) -> JsonObject:
        plain = to_plain(metrics)
        return flatten(plain) if isinstance(plain, dict) else {"value": plain}

    def _number(self, step: object, values: JsonObject) -> float:
        if "time" in values:
            name = _free("time", values)
            warn_once("metric time", f'the metric "time" is logged as "{name}": "time" is when it was logged')
            values[name] = values.pop("time")
        given = values.pop("step", None)
        if step is None:
            step = given
        elif given is not None:
            values[_free("step", values)] = given
        if step is None:
            return self._next_step
        number = to_plain(step)
        if isinstance(number, int | float) and not isinstance(number, bool):
            return number
        warn_once(
            f"step {type(step).__name__}",
            f"a step of type {type(step).__name__} is no number; this line counts up from the one before instead",
        )
        return self._next_step


def _open_lock() -> AbstractContextManager[bool]:
    # A signal handler of the program may log in the midst of a `log` of the thread that it interrupted.
    return threading.RLock()


def _is_short(value: object) -> bool:
    # Not a bool, which is an int, nor an int too long to be written in digits.
    return type(value) is int and -_LONG < value < _LONG


def _text(data: Json) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False)


def _line(row: JsonObject) -> bytes:
    return _text(row).encode() + b"\n"


def _free(name: str, taken: JsonObject) -> str:
    while name in taken or name in RESERVED:
        name += "_"
    return name


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
    log = MetricLog(lambda _: None)
    with contextlib.suppress(OSError, errors.DamagedFileError):
        log.go_on(read_rows(folder.history))
    return numbers_of(log.latest)


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


def as_columns(history: object) -> JsonObject:
    """Any common form of a training history as plain columns.

    Args:
        history: a mapping of lists (Keras's own form), a list of mappings (one for each epoch), an object with
            such a mapping in its attribute `history` (a Keras `History`), or a data frame.

    Raises:
        TypeError: if it is none of these.
    """
    inner = getattr(history, "history", None)
    if isinstance(inner, dict):
        history = inner
    elif hasattr(history, "to_dict") and hasattr(history, "columns"):
        history = history.to_dict("list")
    plain = to_plain(history)
    if isinstance(plain, dict) and "__repr__" not in plain:
        return plain
    if isinstance(plain, list) and all(isinstance(row, dict) for row in plain):
        names = dict.fromkeys(name for row in plain if isinstance(row, dict) for name in row)
        return {name: [row.get(name) for row in plain if isinstance(row, dict)] for name in names}
    raise TypeError(
        f"a training history of type {type(history).__name__} is not understood; "
        "pass a dict of lists, a list of dicts or a Keras History"
    )
