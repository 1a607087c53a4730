"""Values as people read them: text that is harmless anywhere, numbers, lengths of time, ages."""

from __future__ import annotations

import json
import math
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from runbook.typing import Json


_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86400
_LONG_INTEGER: Final = 10**20


def visible(text: str) -> str:
    """`text` without anything that could move a terminal's cursor or reorder its line: shown as escapes instead."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if is_harmless(char) else char.encode("unicode_escape").decode() for char in text)


def is_harmless(char: str) -> bool:
    """Whether a character takes a place on the line and does nothing else."""
    return char.isprintable() and unicodedata.category(char) != "Cf"


def number(value: Json) -> str:
    """A number with 4 significant digits, integers whole; anything else as its own harmless text.

    Example:
        >>> number(0.912345678), number(20), number(float("nan"))
        ('0.9123', '20', 'NaN')
    """
    if isinstance(value, float):
        if math.isfinite(value):
            return f"{value:.4g}"
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    if isinstance(value, int) and abs(value) >= _LONG_INTEGER:
        from decimal import Decimal  # an integer may be larger than any float

        return f"{Decimal(value):.4g}"
    return visible(str(value))


def one_line(value: Json) -> str:
    """Any plain value as one line of harmless text: nothing for None, compact JSON for what has parts."""
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return visible(json.dumps(value, ensure_ascii=False))
    return number(value)


def duration(seconds: float) -> str:
    """A length of time in seconds, minutes or hours, never less than nothing.

    Example:
        >>> duration(1.5), duration(90), duration(9000)
        ('1.5 s', '1.5 min', '2.5 h')
    """
    seconds = max(0.0, seconds)
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.1f} min"
    return f"{seconds / _HOUR_S:.1f} h"


def age(moment: datetime, now: datetime) -> str:
    """How long ago something was, in whole units; clocks that differ a little make it "just now".

    Args:
        moment: when it was, aware.
        now: the present, aware.

    Example:
        >>> from datetime import UTC, datetime
        >>> age(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, 5, tzinfo=UTC))
        '2 d ago'
    """
    seconds = (now - moment).total_seconds()
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min"), (1, "s")):
        count = int(abs(seconds) // unit_s)
        if count and seconds > 0:
            return f"{count} {unit} ago"
        if count and unit != "s":
            return f"in {count} {unit}"
    return "just now"
