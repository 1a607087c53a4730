"""Rows of text in columns, for lists that must be quick: thousands of lines without a table library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

GAP: Final = "  "


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
            " " * (width - width_of(cell)) + cell if place in right else cell + " " * (width - width_of(cell))
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]


def pairs(items: Sequence[tuple[str, str]], *, indent: str = "  ") -> list[str]:
    """Names and values below each other, the values in line."""
    if not items:
        return []
    width = max(width_of(name) for name, _ in items)
    return [f"{indent}{name}{' ' * (width - width_of(name))}{GAP}{value}".rstrip() for name, value in items]
