"""The progress of an experiment: `{"done": 30, "total": 100, "time": …, "begun_with": 0, "begun_at": …}`.

It is for people who watch a training. The small file is replaced as a whole and is not made durable, so that a report
takes a training next to no time; a reader who finds it missing or damaged takes the progress as not known.
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
    """How much of its work an experiment has done.

    Attributes:
        done: the amount that is done, in the experiment's own unit.
        total: the amount that there is to do; None if it is not known.
        time: when the experiment reported this, in UTC.
        begun_with: the amount that was done when this count began: more than 0 in an attempt that resumes.
        begun_at: when this count began, in UTC.
    """

    done: float
    total: float | None
    time: datetime
    begun_with: float
    begun_at: datetime

    @property
    def fraction(self) -> float | None:
        """The part of the whole that is done, from 0 to 1; None if the total is not known."""
        return None if self.total is None else min(1.0, self.done / self.total)

    @property
    def rate(self) -> float | None:
        """The amount done in a second, on average since this count began; None if it cannot be computed yet."""
        seconds = (self.time - self.begun_at).total_seconds()
        return (self.done - self.begun_with) / seconds if seconds > 0 and self.done > self.begun_with else None

    @property
    def remaining_s(self) -> float | None:
        """The seconds that the rest takes at that rate, from `time` on; None without a total or a rate."""
        if self.total is None or self.rate is None:
            return None
        return max(0.0, self.total - self.done) / self.rate


class ProgressLog:
    """Takes the reports of an experiment, checks their numbers, and writes the file at most twice a second.

    Args:
        write: takes the new content of the file and replaces the file.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._lock = _open_lock()
        self._next_write = 0.0
        self._begun: tuple[float, datetime] | None = None
        self._reported: tuple[float, float | None] = (0, None)
        self._is_written = True

    def report(self, done: object, total: object) -> None:
        """Note the progress, and write it unless the last write is less than half a second ago.

        Args:
            done: a number; for anything else there is one warning, and the report is ignored.
            total: a number above 0, or None.

        Raises:
            OSError: if it could not be written.
        """
        amounts = _check_amounts(done, total)
        if amounts is None:
            return
        if self._begun is None or amounts[0] < self._reported[0]:
            self._begun = (amounts[0], datetime.now(UTC))
        self._reported, self._is_written = amounts, False
        if amounts[0] == amounts[1] or time.monotonic() >= self._next_write:
            self.flush()

    def flush(self) -> None:
        """Write the last report, unless it is written already.

        Raises:
            OSError: if it could not be written.
        """
        with self._lock:
            if self._is_written or self._begun is None:
                return
            # Before the write: after an error of the disk the next report must not try again at once.
            self._next_write, self._is_written = time.monotonic() + _PAUSE_S, True
            (done, total), (begun_with, begun_at) = self._reported, self._begun
            data: dict[str, Json] = {"done": done, "total": total, "time": timestamps.format_time(datetime.now(UTC))}
            data |= {"begun_with": begun_with, "begun_at": timestamps.format_time(begun_at)}
            self._write(json_text.encode(data, indent=None))

    def forget_lock(self) -> None:
        """Replace the lock in a forked child: another thread of the parent may have held it during the fork."""
        self._lock = _open_lock()


def read(path: Path) -> Progress | None:
    """The last progress that an experiment reported; None if it is not known."""
    try:
        data = json_text.decode_object(path.read_bytes(), path)
        reported_at, begun_at = (timestamps.parse_time(str(data.get(key))) for key in ("time", "begun_at"))
    except (OSError, ValueError, OverflowError, errors.DamagedFileError):
        return None
    amounts = _to_amounts(data.get("done"), data.get("total"))
    begun_with = _to_number(data.get("begun_with"))
    if amounts is None or begun_with is None:
        return None
    return Progress(amounts[0], amounts[1], reported_at, begun_with, begun_at)


def _check_amounts(done: object, total: object) -> tuple[float, float | None] | None:
    amounts = _to_amounts(done, total)
    if amounts is None:
        # Not the values themselves: a value that is no number may be very large.
        shown = ", ".join(str(value) if isinstance(value, float) else type(value).__name__ for value in (done, total))
        warn_once(
            f"progress {shown}",
            f"exp.progress() got ({shown}), which says nothing; "
            "pass how much is done, from 0 up, and how much there is to do, above 0",
        )
    return amounts


def _to_amounts(done: object, total: object) -> tuple[float, float | None] | None:
    amount = _to_number(done)
    if amount is None or amount < 0:
        return None
    if total is None:
        return amount, None
    whole = _to_number(total)
    return None if whole is None or whole <= 0 else (amount, whole)


def _to_number(value: object) -> float | None:
    """The value as an int or a float, if it is a finite number of any library; None for anything else."""
    if isinstance(value, str | bytes):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except Exception:
        # Objects of other libraries may raise any exception.
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def _open_lock() -> AbstractContextManager[bool]:
    # Not a plain lock: a signal handler of the program may report during a report of the thread that it interrupted.
    return threading.RLock()
