"""Charts in the terminal: Braille dots, eight a character, or stars where only ASCII can be printed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from runbook import display

if TYPE_CHECKING:
    from collections.abc import Sequence

_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot in a Braille pattern, by row and column (The Unicode Standard, block 2800-28FF)."""

_BRAILLE: Final = 0x2800
_LEAST_PLOT: Final = 10


def draw_chart(
    points: Sequence[tuple[float, float]], width: int, height: int, *, is_log: bool = False, is_unicode: bool = True
) -> list[str]:
    """A chart as lines of at most `width` columns: `height` lines of the curve, and one with the ends of the steps.

    Where several points fall into one column, the line goes from the least to the largest, so that no spike is lost.

    Args:
        points: step and value, both finite, in the order of the steps; the values above 0 for a logarithmic axis.
        width: the width of the chart, in columns.
        height: the height of the curve, in lines.
        is_log: whether the axis of the values is logarithmic.
        is_unicode: whether Braille can be printed.
    """
    steps = [step for step, _ in points]
    values = [math.log10(value) if is_log else value for _, value in points]
    low, high = min(values), max(values)
    labels = [display.number(float(10**end if is_log else end)) for end in (high, (high + low) / 2, low)]
    margin = max(map(len, labels))
    columns = max(_LEAST_PLOT, width - margin - 2)
    across, down = (2, 4) if is_unicode else (1, 1)
    grid = _Grid(columns * across, height * down)
    spans = _find_spans(
        [_scale(step, min(steps), max(steps), grid.width) for step in steps],
        [grid.height - 1 - _scale(value, low, high, grid.height) for value in values],
    )
    grid.draw(spans)
    marked = {0: labels[0], height // 2: labels[1], height - 1: labels[2]} if height > 2 else {0: labels[0]}  # noqa: PLR2004
    if low == high:
        # A constant is drawn in the lowest line.
        marked = {height - 1: labels[2]}
    axis = "│" if is_unicode else "|"
    rows = grid.braille() if is_unicode else grid.stars()
    lines = [f"{marked.get(number, ''):>{margin}} {axis}{row}".rstrip() for number, row in enumerate(rows)]
    first, last = display.number(min(steps)), display.number(max(steps))
    ends = first if first == last else f"{first}{last:>{max(1, columns - len(first))}}"
    return [*lines, f"{' ' * margin}  {ends}"]


def _scale(value: float, low: float, high: float, size: int) -> int:
    if high == low:
        return 0
    # Halved, because the difference of two large floats overflows.
    return round((value / 2 - low / 2) / (high / 2 - low / 2) * (size - 1))


def _find_spans(columns: Sequence[int], rows: Sequence[int]) -> dict[int, list[int]]:
    """For each column the first and the last row of the curve, and the least and the largest row."""
    spans: dict[int, list[int]] = {}
    for column, row in zip(columns, rows, strict=True):
        span = spans.setdefault(column, [row, row, row, row])
        span[1] = row
        span[2], span[3] = min(span[2], row), max(span[3], row)
    return spans


class _Grid:
    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._dots: set[tuple[int, int]] = set()

    def draw(self, spans: dict[int, list[int]]) -> None:
        """Draw each column from its least to its largest row, and lines between neighbouring columns."""
        before: tuple[int, int] | None = None
        for column in sorted(spans):
            first, last, least, largest = spans[column]
            self._dots |= {(column, row) for row in range(least, largest + 1)}
            if before is not None:
                self._draw_line(*before, column, first)
            before = (column, last)

    def _draw_line(self, column: int, row: int, to_column: int, to_row: int) -> None:
        across = to_column - column
        at = row
        for offset in range(1, across + 1):
            now = round(row + (to_row - row) * offset / across)
            step = 1 if now >= at else -1
            begin = at if now == at else at + step
            self._dots |= {(column + offset, between) for between in range(begin, now + step, step)}
            at = now

    def braille(self) -> list[str]:
        """The lines in Braille, with two columns and four rows a character."""
        return [
            "".join(self._build_pattern(column, row) for column in range(0, self.width, 2))
            for row in range(0, self.height, 4)
        ]

    def _build_pattern(self, column: int, row: int) -> str:
        bits = sum(
            bit
            for down, line in enumerate(_DOTS)
            for right, bit in enumerate(line)
            if (column + right, row + down) in self._dots
        )
        return chr(_BRAILLE + bits) if bits else " "

    def stars(self) -> list[str]:
        """The lines in stars, one dot a character."""
        return [
            "".join("*" if (column, row) in self._dots else " " for column in range(self.width))
            for row in range(self.height)
        ]
