"""Text in columns: every table and every list of facts that is printed is laid out here.

It is quick enough for a listing of many thousand lines, and loads no table library.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

import attrs

from runbook.display import width_of
from runbook.render import colours
from runbook.render.columns import GAP, blocks, fold, fold_list, shorten

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

_SPACE: Final = " " * GAP
_INDENT: Final = "  "
_LINES: Final = 3
_LINES_IN_A_TITLE: Final = 4
_LINES_OF_A_FACT: Final = 4
_LEAST_LABEL: Final = 24
_LEAST_TEXT: Final = 12
_LEAST_TITLE: Final = 9
_LEAST_NAME: Final = 12
_LEAST_FACT: Final = 20


@attrs.frozen
class TextColumn:
    """One column of a table, all of it harmless text.

    Attributes:
        title: what stands over it.
        cells: one for each row.
        is_numeric: whether it is aligned to the right and its cells are never broken.
        styles: for each row a style as `colours.paint` takes it; None where there are none.
        lines: in how many lines the text of a cell may be folded, before it ends in an ellipsis; None for all it takes.
        is_list: whether its cells are lists as `columns.fold_list` takes them, and are folded in that way.
        whole: the width below which its cells, or those that are not to be broken, do not fit.
    """

    title: str
    cells: Sequence[str]
    is_numeric: bool = False
    styles: Sequence[str] | None = None
    lines: int | None = _LINES
    is_list: bool = False
    whole: int = 0

    @functools.cached_property
    def content(self) -> int:
        """The width of the widest cell."""
        return max(map(width_of, self.cells), default=0)

    @functools.cached_property
    def width(self) -> int:
        """The width in which title and cells stand on one line."""
        return max(self.content, width_of(self.title), 1)

    def least(self, *, is_first: bool) -> int:
        """The width below which it becomes wrong or unreadable."""
        if self.is_numeric:
            return max(self.content, min(width_of(self.title), _LEAST_TITLE), 1)
        return max(self.whole, min(self.width, _LEAST_LABEL if is_first else _LEAST_TEXT))


def table_lines(columns: Sequence[TextColumn], width: int, *, colour: bool = False) -> Iterator[str]:
    """A table in the width there is; columns for which there is no room follow in blocks below.

    Args:
        columns: at least one; the first says what the row is about, and is in each block.
        width: in columns of the terminal, at least `columns.LEAST_WIDTH`.
        colour: whether escape sequences for colours and bold type may be used.
    """
    naturals = [column.width for column in columns]
    leasts = [column.least(is_first=place == 0) for place, column in enumerate(columns)]
    for place, block in enumerate(blocks(naturals, leasts, width)):
        if place:
            yield ""
        yield from block_lines([(columns[number], own) for number, own in block], colour=colour)


def block_lines(block: Sequence[tuple[TextColumn, int]], *, colour: bool = False) -> Iterator[str]:
    """Columns beside each other, each in its own width: titles, a rule, rows.

    What is too long folds; the first column stays on one line, and numbers are never broken.

    Args:
        block: columns and how wide each is to be.
        colour: whether escape sequences for colours and bold type may be used.
    """
    titles = [fold(column.title, width, most=_LINES_IN_A_TITLE) for column, width in block]
    tallest = max(map(len, titles))
    # A title of one line stands directly over its column.
    titles = [[""] * (tallest - len(title)) + title for title in titles]
    style = colours.BOLD if colour else ""
    for parts in zip(*titles, strict=True):
        yield _line(
            fill(part, width, style, is_right=column.is_numeric)
            for part, (column, width) in zip(parts, block, strict=True)
        )
    yield "─" * (sum(width for _, width in block) + GAP * (len(block) - 1))
    cells = [_cells(column, width, is_first=place == 0, colour=colour) for place, (column, width) in enumerate(block)]
    if all(column.content <= width for column, width in block):
        yield from map(_line, zip(*cells, strict=True))
        return
    blanks = [" " * width for _, width in block]
    for row in zip(*cells, strict=True):
        for parts in zip_longest(*(cell.split("\n") for cell in row)):
            yield _line(blank if part is None else part for part, blank in zip(parts, blanks, strict=True))


def _line(parts: Iterable[str]) -> str:
    return _SPACE.join(parts).rstrip()


def _cells(column: TextColumn, width: int, *, is_first: bool, colour: bool) -> list[str]:
    """The cells as wide as the column, with a line break where one folds."""
    styles = column.styles if colour else None
    if column.content <= width and styles is None and "".join(column.cells).isascii():
        # Most columns of a long listing are of this kind.
        return [cell.rjust(width) if column.is_numeric else cell.ljust(width) for cell in column.cells]
    return [
        "\n".join(
            fill(line, width, style, is_right=column.is_numeric)
            for line in _folded(column, cell, width, is_first=is_first)
        )
        for cell, style in zip(column.cells, styles or [""] * len(column.cells), strict=True)
    ]


def _folded(column: TextColumn, cell: str, width: int, *, is_first: bool) -> list[str]:
    if is_first:
        return [shorten(cell, width)]
    if column.is_list:
        return fold_list(cell, width)
    return fold(cell, width, most=1 if column.is_numeric else column.lines)


def fill(text: str, width: int, style: str = "", *, is_right: bool = False) -> str:
    """A text in its style, with spaces before it or behind it up to a width."""
    spaces = " " * (width - width_of(text))
    painted = colours.paint(text, style)
    return spaces + painted if is_right else painted + spaces


def fact_lines(
    facts: Sequence[tuple[str, str]],
    width: int,
    *,
    whole: Collection[str] = (),
    styles: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Names and values below each other, the values in line; a long value takes a few lines, and ends in an ellipsis.

    Args:
        facts: harmless text; a name that is very long stands on a line of its own.
        width: of the whole.
        whole: the names whose values stay on one line, as a path does that is to be copied.
        styles: by the name, in which style a value is.
    """
    most = max(_LEAST_NAME, width // 3)
    column = max((width_of(name) for name, _ in facts if width_of(name) <= most), default=0)
    room = max(_LEAST_FACT, width - len(_INDENT) - column - GAP)
    for name, value in facts:
        lines = [value] if name in whole else fold(value, room, most=_LINES_OF_A_FACT)
        label = name
        if width_of(name) > column:
            yield f"{_INDENT}{name}"
            label = ""
        for line in lines:
            yield f"{_INDENT}{fill(label, column)}{_SPACE}{colours.paint(line, (styles or {}).get(name, ''))}".rstrip()
            label = ""


def paragraph_lines(text: str, width: int) -> list[str]:
    """A sentence of harmless text in as many lines as it takes."""
    return fold(text, max(_LEAST_FACT, width))
