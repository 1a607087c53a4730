"""Rows of text in columns, for lists that must be quick: thousands of lines without a table library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

GAP: Final = "  "
_LEAST_NAME: Final = 12
_LEAST_VALUE: Final = 20
_MOST_LINES: Final = 4


def width_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """The beginning of a text that is too long, and an ellipsis."""
    if width_of(text) <= width:
        return text
    kept = text[: max(0, width - len(ellipsis))]
    while kept and width_of(kept) > width - len(ellipsis):
        kept = kept[:-1]
    return kept + ellipsis


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[list[str]]:
    """Cells filled up with spaces, so that those of a column have one width.

    Args:
        rows: as many cells each; harmless text.
        right: the columns that are aligned to the right.
    """
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    return [
        [
            filled(cell, width, is_right=place in right)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]


def filled(text: str, width: int, *, is_right: bool = False) -> str:
    """A text with spaces behind it, or before it, up to a width."""
    if text.isascii():
        return text.rjust(width) if is_right else text.ljust(width)
    spaces = " " * (width - width_of(text))
    return spaces + text if is_right else text + spaces


def folded(text: str, width: int) -> list[str]:
    """A sentence in as many lines as it takes."""
    from runbook.render import columns

    return columns.fold(text, max(_LEAST_VALUE, width), width_of)


def pairs(
    items: Sequence[tuple[str, str]], width: int, *, indent: str = "  ", whole: Collection[str] = ()
) -> list[str]:
    """Names and values below each other, the values in line; a long value takes a few lines, and ends in an ellipsis.

    Args:
        items: harmless text; a name that is very long stands on a line of its own.
        width: of the whole.
        indent: before each name.
        whole: the names whose values stay on one line, as a path does that is to be copied.
    """
    if not items:
        return []
    from runbook.render import columns

    most = max(_LEAST_NAME, width // 3)
    column = max((width_of(name) for name, _ in items if width_of(name) <= most), default=0)
    room = max(_LEAST_VALUE, width - len(indent) - column - len(GAP))
    lines = []
    for name, value in items:
        first, *others = [value] if name in whole else columns.fold(value, room, width_of, _MOST_LINES)
        if width_of(name) > column:
            lines.append(f"{indent}{name}")
            name = ""  # noqa: PLW2901 - it has been said
        lines.append(f"{indent}{filled(name, column)}{GAP}{first}".rstrip())
        lines += [f"{indent}{' ' * column}{GAP}{other}" for other in others]
    return lines
