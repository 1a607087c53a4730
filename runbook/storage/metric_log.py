"""Writes the live history: gives each call of `log` a step and a time, and appends it as one line.

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
    """Turns calls of `log` into lines of the live history.

    Args:
        append: takes one line and writes it to the disk.
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
            step: the step of the training; None counts up from the last one.

        Raises:
            OSError: if the line could not be written.
        """
        fields = self._format_fields(metrics) if step is None or _is_short(step) else None
        # `Any`, because `cast` would be one more call.
        values: Any = metrics if fields is not None else self._flatten_metrics(metrics)
        number: Any = step
        with self._lock:
            if fields is not None:
                if step is None:
                    number = self._next_step
                line = f'{{"step": {number!r}, "time": "{self._now()}"{fields}}}\n'.encode()
            else:
                number = self._choose_step(step, values)
                line = _encode_row({"step": number, "time": self._now(), **values})
                self._labels.update({name: f", {_to_text(name)}: " for name in values if name.isascii()})
            self._append(line)
            self._next_step = number + 1
            self.latest.update(values)

    def _format_fields(self, metrics: Mapping[str, Any]) -> str | None:
        """The fields of a line as text, for finite numbers under names that were logged before; None for anything else.

        Nearly every call logs numbers under the names of the call before. Converting, flattening and encoding them
        in the general way takes three times as long as writing them.
        """
        fields = ""
        for name, value in metrics.items():
            label = self._labels.get(name)
            if label is None:
                return None
            kind = type(value)
            if (kind is float or issubclass(kind, float)) and isfinite(value):
                # Not `repr(value)`: that of NumPy's float64 is no JSON.
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
            # Only the fraction changes within a second; formatting the rest for each call took a third of its time.
            self._second = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        # The format ":06d" gives the same and takes twice as long.
        return f"{self._second[1]}.{str(rest // 1000).zfill(6)}+00:00"

    def continue_from(self, rows: list[JsonObject]) -> None:
        """Continue the steps and the latest values of an earlier attempt.

        Args:
            rows: what it logged, oldest first.
        """
        self.latest.update(latest_values(rows))
        for row in rows:
            if isinstance(step := row.get("step"), int | float):
                self._next_step = step + 1

    def forget_lock(self) -> None:
        """Replace the lock in a forked child: another thread of the parent may have held it during the fork."""
        self._lock = _open_lock()

    def _flatten_metrics(self, metrics: Mapping[str, object]) -> JsonObject:
        data = to_jsonable(metrics)
        return flatten(data) if isinstance(data, dict) else {"value": data}

    def _choose_step(self, step: object, values: JsonObject) -> float:
        if "time" in values:
            name = _find_free_name("time", values)
            warn_once("metric time", f'the metric "time" is logged as "{name}": "time" is when it was logged')
            values[name] = values.pop("time")
        given = values.pop("step", None)
        if step is None:
            step = given
        elif given is not None:
            values[_find_free_name("step", values)] = given
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
    # Not a plain lock: a signal handler of the program may call `log` during a `log` of the thread that it interrupted.
    return threading.RLock()


def _is_short(value: object) -> bool:
    # Not a bool, whose class is a subclass of int, and not an int that is too long to be written in digits.
    return type(value) is int and -_LONG < value < _LONG


def _to_text(data: Json) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False)


def _encode_row(row: JsonObject) -> bytes:
    return _to_text(row).encode() + b"\n"


def _find_free_name(name: str, taken: JsonObject) -> str:
    while name in taken or name in RESERVED:
        name += "_"
    return name
