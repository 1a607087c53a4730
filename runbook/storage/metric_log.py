"""The writing side of the live history: numbers the steps and makes the lines, at the cost of a bare write.

A line of `metrics/history.jsonl` looks like `{"step": 10, "time": "2026-01-31T12:00:00.000000+00:00", "loss": 0.3}`.
"""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from runbook.messages import warn_once
from runbook.serialize.flatten import flatten
from runbook.serialize.jsonable import to_jsonable
from runbook.storage.history import RESERVED, latest_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from runbook.typing import Json, JsonObject

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
        self.latest.update(latest_values(rows))
        for row in rows:
            if isinstance(step := row.get("step"), int | float):
                self._next_step = step + 1

    def forget_lock(self) -> None:
        """Start over with an open lock, in a forked child whose parent may have held it."""
        self._lock = _open_lock()

    def _values(self, metrics: Mapping[str, object]) -> JsonObject:
        plain = to_jsonable(metrics)
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
        number = to_jsonable(step)
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
