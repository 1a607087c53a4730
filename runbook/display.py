"""Values as people read them: harmless text of a given width, numbers, lengths of time, ages."""

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
"""ASCII of the same width for the rule below titles and for the ellipsis."""


def visible(text: str) -> str:
    """The text with escapes instead of characters that could move a terminal's cursor or reorder its line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if is_harmless(char) else char.encode("unicode_escape").decode() for char in text)


def is_harmless(char: str) -> bool:
    """Whether a character is only printed, and does not control or reorder anything."""
    return char.isprintable() and unicodedata.category(char) != "Cf"


def width_of(text: str) -> int:
    """The number of terminal columns that a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, most: int, measure: Callable[[str], int] = len, ellipsis: str = "…") -> str:
    """The text; if it is too long, its beginning and an ellipsis.

    Args:
        text: harmless text, or any text where `measure` counts characters.
        most: the greatest length of the result, with the ellipsis.
        measure: gives the length of a text: by default in characters; `width_of` for terminal columns. An ASCII
            character is always 1 long.
        ellipsis: the text after the beginning.

    Example:
        >>> cut("learning_rate", 9), cut("learning_rate", 9, ellipsis="")
        ('learning…', 'learning_')
    """
    if measure(text) <= most:
        return text
    room = max(0, most - measure(ellipsis))
    kept = text[:room] if text.isascii() or measure is len else _cut_to_width(text, room, measure)
    return kept + ellipsis


def _cut_to_width(text: str, room: int, measure: Callable[[str], int]) -> str:
    """The beginning that fits, of a text whose characters have different widths."""
    taken = 0
    kept = text
    for position, char in enumerate(text):
        taken += measure(char)
        if taken > room:
            kept = text[:position]
            break
    # A sequence may be wider than its characters one by one: a heart and the selector that makes it an emoji.
    while kept and measure(kept) > room:
        kept = kept[:-1]
    return kept


def encodable(text: str, encoding: str | None) -> str:
    """The text with replacements for characters that an encoding lacks: similar ASCII for our own signs, else `?`.

    Args:
        text: the text to write.
        encoding: the encoding of the stream; None for UTF-8.
    """
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_IN_ASCII).encode(encoding, errors="replace").decode(encoding)
    return text


def number(value: Json) -> str:
    """A number with 4 significant digits, an integer in full; any other value as harmless text.

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
    """A JSON-compatible value as one line of harmless text: empty for None, JSON for lists and objects."""
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return visible(json.dumps(value, ensure_ascii=False))
    return number(value)


def duration(seconds: float) -> str:
    """A length of time in seconds, minutes or hours; a negative one counts as 0.

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
    """The time since a moment, in whole units; "just now" below one second, or if clocks differ a little.

    Args:
        moment: the moment, aware.
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
