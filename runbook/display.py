"""Values as people read them: text that is harmless anywhere and fits its place, numbers, lengths of time, ages."""

from __future__ import annotations

import json
import math
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from runbook.typing import Json


_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86400
_LONG_INTEGER: Final = 10**20
_IN_ASCII: Final = str.maketrans({"─": "-", "…": "~"})
"""The rule below titles and the ellipsis, each as wide as it was."""


def visible(text: str) -> str:
    """`text` without anything that could move a terminal's cursor or reorder its line: shown as escapes instead."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if is_harmless(char) else char.encode("unicode_escape").decode() for char in text)


def is_harmless(char: str) -> bool:
    """Whether a character takes a place on the line and does nothing else."""
    return char.isprintable() and unicodedata.category(char) != "Cf"


def width_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, most: int, measure: Callable[[str], int] = len, ellipsis: str = "…") -> str:
    """The text, or of one that is too long the beginning and an ellipsis.

    Args:
        text: harmless text, or any where characters are counted.
        most: how long it may be, with the ellipsis.
        measure: how long a text is: by default in characters; `width_of` for columns of a terminal. A character of
            ASCII is always 1 long.
        ellipsis: what follows the beginning.

    Example:
        >>> cut("learning_rate", 9), cut("learning_rate", 9, ellipsis="")
        ('learning…', 'learning_')
    """
    if measure(text) <= most:
        return text
    room = max(0, most - measure(ellipsis))
    kept = text[:room] if text.isascii() or measure is len else _beginning(text, room, measure)
    return kept + ellipsis


def _beginning(text: str, room: int, measure: Callable[[str], int]) -> str:
    """What fits of a text whose characters have different widths."""
    taken = 0
    kept = text
    for place, char in enumerate(text):
        taken += measure(char)
        if taken > room:
            kept = text[:place]
            break
    # Some characters are wider together than one by one: a heart, and the sign that makes it a picture.
    while kept and measure(kept) > room:
        kept = kept[:-1]
    return kept


def encodable(text: str, encoding: str | None) -> str:
    """The text with what an encoding does not have replaced: signs of ours by similar ones, all else by `?`.

    Args:
        text: what is to be written.
        encoding: that of the stream; None is UTF-8.
    """
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_IN_ASCII).encode(encoding, errors="replace").decode(encoding)
    return text


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
