"""Text in columns: the layout of every printed table and every printed list of facts.

It is quick enough for a listing of many thousand lines, and imports no table library.
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
        title: the text over the column.
        cells: one for each row.
        is_numeric: whether it is aligned to the right and its cells are never broken.
        styles: for each row a style for `colours.paint`; None for no styles.
        lines: the most lines into which a cell is folded, before it ends in an ellipsis; None for no limit.
        is_list: whether its cells are lists for `columns.fold_list`, which folds them between their items.
        whole: the width that cells need which must not be broken.
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
    """The lines of a table in a given width; columns for which there is no room follow in blocks below.

    Args:
        columns: at least one; the first is the label of the row and is in each block.
        width: in columns of the terminal, at least `columns.LEAST_WIDTH`.
        colour: whether escape sequences for colours and bold type may be used.
    """
    naturals = [column.width for column in columns]
    leasts = [column.least(is_first=position == 0) for position, column in enumerate(columns)]
    for position, block in enumerate(blocks(naturals, leasts, width)):
        if position:
            yield ""
        yield from block_lines([(columns[number], own) for number, own in block], colour=colour)


def block_lines(block: Sequence[tuple[TextColumn, int]], *, colour: bool = False) -> Iterator[str]:
    """The lines of columns beside each other, each in its own width: titles, a rule, rows.

    Text that is too long is folded; the first column stays on one line, and numbers are never broken.

    Args:
        block: the columns and the width of each.
        colour: whether escape sequences for colours and bold type may be used.
    """
    titles = [fold(column.title, width, most=_LINES_IN_A_TITLE) for column, width in block]
    tallest = max(map(len, titles))
    # Short titles stand directly over their columns, with the empty lines above them.
    titles = [[""] * (tallest - len(title)) + title for title in titles]
    style = colours.BOLD if colour else ""
    for parts in zip(*titles, strict=True):
        yield _join(
            fill(part, width, style, is_right=column.is_numeric)
            for part, (column, width) in zip(parts, block, strict=True)
        )
    yield "─" * (sum(width for _, width in block) + GAP * (len(block) - 1))
    cells = [
        _fill_cells(column, width, is_first=position == 0, colour=colour)
        for position, (column, width) in enumerate(block)
    ]
    if all(column.content <= width for column, width in block):
        yield from map(_join, zip(*cells, strict=True))
        return
    blanks = [" " * width for _, width in block]
    for row in zip(*cells, strict=True):
        for parts in zip_longest(*(cell.split("\n") for cell in row)):
            yield _join(blank if part is None else part for part, blank in zip(parts, blanks, strict=True))


def _join(parts: Iterable[str]) -> str:
    return _SPACE.join(parts).rstrip()


def _fill_cells(column: TextColumn, width: int, *, is_first: bool, colour: bool) -> list[str]:
    """The cells, filled to the width of the column, with line breaks where they are folded."""
    styles = column.styles if colour else None
    if column.content <= width and styles is None and "".join(column.cells).isascii():
        # Most columns of a long listing need neither folding nor styles.
        return [cell.rjust(width) if column.is_numeric else cell.ljust(width) for cell in column.cells]
    return [
        "\n".join(
            fill(line, width, style, is_right=column.is_numeric)
            for line in _fold_cell(column, cell, width, is_first=is_first)
        )
        for cell, style in zip(column.cells, styles or [""] * len(column.cells), strict=True)
    ]


def _fold_cell(column: TextColumn, cell: str, width: int, *, is_first: bool) -> list[str]:
    if is_first:
        return [shorten(cell, width)]
    if column.is_list:
        return fold_list(cell, width)
    return fold(cell, width, most=1 if column.is_numeric else column.lines)


def fill(text: str, width: int, style: str = "", *, is_right: bool = False) -> str:
    """The text in a style, filled with spaces up to a width."""
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
    """Lines of names and values in two columns; a long value is folded into a few lines and ends in an ellipsis.

    Args:
        facts: pairs of name and value, harmless text; a very long name has a line of its own.
        width: the width of both columns.
        whole: the names whose values stay on one line, such as paths, which people copy.
        styles: the styles of values, by name.
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
    """Harmless text folded into as many lines as it needs."""
    return fold(text, max(_LEAST_FACT, width))
