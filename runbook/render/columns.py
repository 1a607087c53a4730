"""A table in the width there is: how wide each column may be, what goes into a block of its own, where text folds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from runbook.display import cut, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP: Final = 2
"""Columns of space between two columns of the table."""

LEAST_WIDTH: Final = 40
"""Nothing is laid out for less; a terminal that is narrower wraps the lines itself."""

_LEAST_LABEL: Final = 16
"""The beginning of an id that says when it was started, and the ellipsis."""

_HASH: Final = 8
_TIME_AND_HASH: Final = 24

_BREAKS_AFTER: Final = frozenset("_./-,:;=")
_WITHIN_A_NUMBER: Final = re.compile(r"[-.,0-9][.,0-9]")
_IN_A_NUMBER: Final = re.compile(r"[-.,][0-9]")


def blocks(naturals: Sequence[int], minimums: Sequence[int], width: int) -> list[list[tuple[int, int]]]:
    """The columns of each block, as pairs of the column's number and its width.

    Where the columns do not fit beside each other, the table goes on in further blocks below, each of which begins
    with the first column again: narrower columns would break numbers in two.

    Args:
        naturals: the width that each column would like to have.
        minimums: the width below which it becomes wrong or unreadable.
        width: of the whole table.
    """
    if len(naturals) == 1:
        return [[(0, min(naturals[0], width))]]
    label = min(minimums[0], _LEAST_LABEL)
    others = [min(minimum, width - GAP - label) for minimum in minimums[1:]]
    minimums = [min(minimums[0], width - GAP - max(others)), *others]
    found: list[list[int]] = [[0]]
    for column in range(1, len(naturals)):
        if len(found[-1]) > 1 and _total([minimums[other] for other in [*found[-1], column]]) > width:
            found.append([0])
        found[-1].append(column)
    return [list(zip(block, _widths(block, naturals, minimums, width), strict=True)) for block in found]


def _widths(block: Sequence[int], naturals: Sequence[int], minimums: Sequence[int], width: int) -> list[int]:
    """The least each needs, and what is left over in equal parts to those that want more."""
    widths = [min(minimums[column], naturals[column]) for column in block]
    room = width - _total(widths)
    wanting = [place for place, column in enumerate(block) if naturals[column] > widths[place]]
    while room > 0 and wanting:
        share = max(1, room // len(wanting))
        for place in list(wanting):
            given = min(share, naturals[block[place]] - widths[place], room)
            widths[place] += given
            room -= given
            if widths[place] == naturals[block[place]]:
                wanting.remove(place)
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def fold(text: str, width: int, most: int | None = None) -> list[str]:
    """One line of text as several that are at most `width` wide; a number is broken only where it alone is wider.

    Args:
        text: without line breaks.
        width: in columns of the terminal, at least 2.
        most: so many lines at most, of which the last then ends in an ellipsis.

    Example:
        >>> fold("learning_rate", 10), fold("learning_rate", 10, most=1)
        (['learning_', 'rate'], ['learning_…'])
    """
    if width_of(text) <= width:
        return [text]
    # Each piece begins and ends with a letter: spaces alone, of which one more may be taken than fit, make no line.
    text = text.strip()
    lines: list[str] = []
    while width_of(text) > width:
        if most is not None and len(lines) == most - 1:
            end = _fitting(text, width - 1)
            if _WITHIN_A_NUMBER.match(text, end - 1):
                end = _last_break(text, end)
            return [*lines, text[:end].rstrip() + "…"]
        end = _last_break(text, _fitting(text, width))
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return [*lines, text]


def fold_list(text: str, width: int) -> list[str]:
    """A list on one line as several lines; one of its items is broken only where it alone is wider.

    Args:
        text: items with a gap of `GAP` spaces between them.
        width: in columns of the terminal, at least 2.

    Example:
        >>> fold_list("f1=0.91  val/loss=0.3  n=3", 20)
        ['f1=0.91', 'val/loss=0.3  n=3']
    """
    gap = " " * GAP
    lines: list[str] = []
    for item in text.split(gap):
        if lines and width_of(lines[-1]) + GAP + width_of(item) <= width:
            lines[-1] += gap + item
        else:
            lines += fold(item, width)
    return lines


def _fitting(text: str, width: int) -> int:
    """How many characters fit, at least one."""
    return max(1, len(cut(text, width, width_of, ellipsis="")))


def _last_break(text: str, fits: int) -> int:
    """Where to break a text of which `fits` characters fit: at a space, else after a sign, else anywhere."""
    space = text.rfind(" ", 0, fits + 1)
    # After a sign in the middle of a number, or before its digits, the rest would be another number.
    sign = next(
        (end for end in range(fits, 0, -1) if text[end - 1] in _BREAKS_AFTER and not _IN_A_NUMBER.match(text, end - 1)),
        0,
    )
    end = space + 1 if space * 2 > fits else max(space + 1, sign)
    return min(end, fits + 1) if end * 3 > fits else fits


def shorten(text: str, width: int) -> str:
    """A label on one line: of one that is too long the beginning, and the end where there is room for both.

    Ids of experiments begin with the time and end in a hash, and what lies between is most often the same.

    Example:
        >>> shorten("20261123_092910_digits_lr0.0001_de786415", 24)
        '20261123_092910…de786415'
    """
    if width_of(text) <= width:
        return text
    end = text[-_HASH:] if width >= _TIME_AND_HASH else ""
    return cut(text, width, width_of, ellipsis=f"…{end}" if width_of(end) <= _HASH else "…")
