"""The layout of a table in a given width: the width of each column, further blocks, and where text folds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from runbook.display import cut, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP: Final = 2
"""Columns of space between two columns of the table."""

LEAST_WIDTH: Final = 40
"""The least width of a layout; a narrower terminal wraps the lines itself."""

_LEAST_LABEL: Final = 16
"""The width of the time of start at the beginning of an id, and the ellipsis."""

_HASH: Final = 8
_TIME_AND_HASH: Final = 24

_BREAKS_AFTER: Final = frozenset("_./-,:;=")
_WITHIN_A_NUMBER: Final = re.compile(r"[-.,0-9][.,0-9]")
_IN_A_NUMBER: Final = re.compile(r"[-.,][0-9]")


def blocks(naturals: Sequence[int], minimums: Sequence[int], width: int) -> list[list[tuple[int, int]]]:
    """The columns of each block, as pairs of the column's number and its width.

    Columns that do not fit beside each other go into further blocks below, because narrower columns would break
    numbers in two. Each block begins with the first column.

    Args:
        naturals: the width in which each column needs no folding.
        minimums: the width below which each column becomes wrong or unreadable.
        width: the width of the whole table.
    """
    if len(naturals) == 1:
        return [[(0, min(naturals[0], width))]]
    label = min(minimums[0], _LEAST_LABEL)
    others = [min(minimum, width - GAP - label) for minimum in minimums[1:]]
    minimums = [min(minimums[0], width - GAP - max(others)), *others]
    found: list[list[int]] = [[0]]
    for column in range(1, len(naturals)):
        if len(found[-1]) > 1 and _sum_widths([minimums[other] for other in [*found[-1], column]]) > width:
            found.append([0])
        found[-1].append(column)
    return [list(zip(block, _share_width(block, naturals, minimums, width), strict=True)) for block in found]


def _share_width(block: Sequence[int], naturals: Sequence[int], minimums: Sequence[int], width: int) -> list[int]:
    """The widths of a block's columns: each its minimum, and the rest in equal parts for those that need more."""
    widths = [min(minimums[column], naturals[column]) for column in block]
    room = width - _sum_widths(widths)
    wanting = [position for position, column in enumerate(block) if naturals[column] > widths[position]]
    while room > 0 and wanting:
        share = max(1, room // len(wanting))
        for position in list(wanting):
            added = min(share, naturals[block[position]] - widths[position], room)
            widths[position] += added
            room -= added
            if widths[position] == naturals[block[position]]:
                wanting.remove(position)
    return widths


def _sum_widths(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def fold(text: str, width: int, most: int | None = None) -> list[str]:
    """The text as lines of at most `width`; a number is broken only if it alone is wider.

    Args:
        text: text without line breaks.
        width: in columns of the terminal, at least 2.
        most: the greatest number of lines; text that needs more ends in an ellipsis. None for no limit.

    Example:
        >>> fold("learning_rate", 10), fold("learning_rate", 10, most=1)
        (['learning_', 'rate'], ['learning_…'])
    """
    if width_of(text) <= width:
        return [text]
    # No line begins or ends with a space: a break may take one space more than fits, and spaces make no line.
    text = text.strip()
    lines: list[str] = []
    while width_of(text) > width:
        if most is not None and len(lines) == most - 1:
            end = _count_fitting(text, width - 1)
            if _WITHIN_A_NUMBER.match(text, end - 1):
                end = _find_break(text, end)
            return [*lines, text[:end].rstrip() + "…"]
        end = _find_break(text, _count_fitting(text, width))
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return [*lines, text]


def fold_list(text: str, width: int) -> list[str]:
    """A list as lines of at most `width`; an item is broken only if it alone is wider.

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


def _count_fitting(text: str, width: int) -> int:
    """The number of characters that fit, at least one."""
    return max(1, len(cut(text, width, width_of, ellipsis="")))


def _find_break(text: str, fits: int) -> int:
    """Where to break a text of which `fits` characters fit: at a space, else after a sign, else after them all."""
    space = text.rfind(" ", 0, fits + 1)
    # A break after a sign within a number, or before its digits, would show another number.
    sign = next(
        (end for end in range(fits, 0, -1) if text[end - 1] in _BREAKS_AFTER and not _IN_A_NUMBER.match(text, end - 1)),
        0,
    )
    end = space + 1 if space * 2 > fits else max(space + 1, sign)
    return min(end, fits + 1) if end * 3 > fits else fits


def shorten(text: str, width: int) -> str:
    """A label on one line; if it is too long, its beginning, and its end where there is room for both.

    Ids of experiments begin with the time and end with a hash; the part between them is most often the same.

    Example:
        >>> shorten("20261123_092910_digits_lr0.0001_de786415", 24)
        '20261123_092910…de786415'
    """
    if width_of(text) <= width:
        return text
    end = text[-_HASH:] if width >= _TIME_AND_HASH else ""
    return cut(text, width, width_of, ellipsis=f"…{end}" if width_of(end) <= _HASH else "…")
