"""How far an experiment has come: `{"done": 30, "total": 100, "time": …, "begun_with": 0, "begun_at": …}`.

It is a hint for those who watch. It stands in a small file that is replaced whole and never made durable, so that
saying it costs a training nothing; whoever cannot read it knows nothing, and that is all.
"""

from __future__ import annotations

import math
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import attrs

from runbook import errors
from runbook.messages import warn_once
from runbook.serialize import json_text, timestamps

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from runbook.typing import Json

_PAUSE_S: Final = 0.5


@attrs.frozen
class Progress:
    """How far an experiment has come.

    Attributes:
        done: how much is done, in the experiment's own unit.
        total: how much there is to do; None where nobody knows.
        time: when it said so, in UTC.
        begun_with: how much was done when this count began: more than 0 in an attempt that goes on.
        begun_at: when this count began, in UTC.
    """

    done: float
    total: float | None
    time: datetime
    begun_with: float
    begun_at: datetime

    @property
    def fraction(self) -> float | None:
        """How much of the whole is done, from 0 to 1; None where nobody knows."""
        return None if self.total is None else min(1.0, self.done / self.total)

    @property
    def rate(self) -> float | None:
        """How much was done in a second, on average since this count began; None where that cannot be said yet."""
        seconds = (self.time - self.begun_at).total_seconds()
        return (self.done - self.begun_with) / seconds if seconds > 0 and self.done > self.begun_with else None

    @property
    def remaining_s(self) -> float | None:
        """How many seconds the rest takes at that rate, from `time` on; None where that cannot be said."""
        if self.total is None or self.rate is None:
            return None
        return max(0.0, self.total - self.done) / self.rate


class ProgressLog:
    """The writing side: checks the numbers, and writes no more often than anybody looks.

    Args:
        write: takes the content of the file and replaces it.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._lock = _open_lock()
        self._next_write = 0.0
        self._begun: tuple[float, datetime] | None = None
        self._said: tuple[float, float | None] = (0, None)
        self._is_written = True

    def report(self, done: object, total: object) -> None:
        """Take how far it has come.

        Args:
            done: a number; one that is none is said once and passed over.
            total: a number above 0, or None.

        Raises:
            OSError: if it could not be written.
        """
        amounts = _amounts(done, total)
        if amounts is None:
            return
        if self._begun is None or amounts[0] < self._said[0]:
            self._begun = (amounts[0], datetime.now(UTC))
        self._said, self._is_written = amounts, False
        if amounts[0] == amounts[1] or time.monotonic() >= self._next_write:
            self.flush()

    def flush(self) -> None:
        """Write what was said last, unless that is written.

        Raises:
            OSError: if it could not be written.
        """
        with self._lock:
            if self._is_written or self._begun is None:
                return
            # First, so that a disk that refuses is not asked again at once.
            self._next_write, self._is_written = time.monotonic() + _PAUSE_S, True
            (done, total), (begun_with, begun_at) = self._said, self._begun
            data: dict[str, Json] = {"done": done, "total": total, "time": timestamps.format_time(datetime.now(UTC))}
            data |= {"begun_with": begun_with, "begun_at": timestamps.format_time(begun_at)}
            self._write(json_text.encode(data, indent=None))

    def forget_lock(self) -> None:
        """Start over with an open lock, in a forked child whose parent may have held it."""
        self._lock = _open_lock()


def read(path: Path) -> Progress | None:
    """How far an experiment had come when it last said so; None where that is not known."""
    try:
        data = json_text.decode_object(path.read_bytes(), path)
        said, begun_at = (timestamps.parse_time(str(data.get(key))) for key in ("time", "begun_at"))
    except (OSError, ValueError, OverflowError, errors.DamagedFileError):
        return None
    amounts = _numbers(data.get("done"), data.get("total"))
    begun_with = _number(data.get("begun_with"))
    if amounts is None or begun_with is None:
        return None
    return Progress(amounts[0], amounts[1], said, begun_with, begun_at)


def _amounts(done: object, total: object) -> tuple[float, float | None] | None:
    amounts = _numbers(done, total)
    if amounts is None:
        # Not the values themselves: what is no number may be anything, and large.
        shown = ", ".join(str(value) if isinstance(value, float) else type(value).__name__ for value in (done, total))
        warn_once(
            f"progress {shown}",
            f"exp.progress() got ({shown}), which says nothing; "
            "pass how much is done, from 0 up, and how much there is to do, above 0",
        )
    return amounts


def _numbers(done: object, total: object) -> tuple[float, float | None] | None:
    amount = _number(done)
    if amount is None or amount < 0:
        return None
    if total is None:
        return amount, None
    whole = _number(total)
    return None if whole is None or whole <= 0 else (amount, whole)


def _number(value: object) -> float | None:
    """A finite number of any library; None for anything else."""
    if isinstance(value, str | bytes):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except Exception:
        # The objects of other libraries raise what they like.
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def _open_lock() -> AbstractContextManager[bool]:
    # A signal handler of the program may report in the midst of a report of the thread that it interrupted.
    return threading.RLock()
