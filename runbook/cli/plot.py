"""A curve in the terminal: dots of Braille, eight to a character, or stars where there is only ASCII."""

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


def chart(
    points: Sequence[tuple[float, float]], width: int, height: int, *, is_log: bool = False, is_unicode: bool = True
) -> list[str]:
    """Lines of at most `width` columns: `height` of the curve with its axis, and one with the ends of the steps.

    Where more points fall together than there is room for, all from the least to the largest is drawn, so that no
    spike is lost.

    Args:
        points: step and value, both finite, in the order of the steps; the values above 0 for a logarithmic axis.
        width: of the whole, in columns.
        height: of the curve, in lines.
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
    spans = _spans(
        [_place(step, min(steps), max(steps), grid.width) for step in steps],
        [grid.height - 1 - _place(value, low, high, grid.height) for value in values],
    )
    grid.draw(spans)
    marked = {0: labels[0], height // 2: labels[1], height - 1: labels[2]} if height > 2 else {0: labels[0]}  # noqa: PLR2004
    if low == high:
        # One value stands at the foot of the chart.
        marked = {height - 1: labels[2]}
    axis = "│" if is_unicode else "|"
    rows = grid.braille() if is_unicode else grid.stars()
    lines = [f"{marked.get(number, ''):>{margin}} {axis}{row}".rstrip() for number, row in enumerate(rows)]
    first, last = display.number(min(steps)), display.number(max(steps))
    ends = first if first == last else f"{first}{last:>{max(1, columns - len(first))}}"
    return [*lines, f"{' ' * margin}  {ends}"]


def _place(value: float, low: float, high: float, size: int) -> int:
    if high == low:
        return 0
    # Halved, because the difference of two floats may be infinite.
    return round((value / 2 - low / 2) / (high / 2 - low / 2) * (size - 1))


def _spans(columns: Sequence[int], rows: Sequence[int]) -> dict[int, list[int]]:
    """For each column the rows at which the curve comes in and goes out, and between which it moves."""
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
        """Each column from its least to its largest, and a line from where one is left to where the next begins."""
        before: tuple[int, int] | None = None
        for column in sorted(spans):
            first, last, least, largest = spans[column]
            self._dots |= {(column, row) for row in range(least, largest + 1)}
            if before is not None:
                self._line(*before, column, first)
            before = (column, last)

    def _line(self, column: int, row: int, to_column: int, to_row: int) -> None:
        across = to_column - column
        at = row
        for place in range(1, across + 1):
            now = round(row + (to_row - row) * place / across)
            step = 1 if now >= at else -1
            begin = at if now == at else at + step
            self._dots |= {(column + place, between) for between in range(begin, now + step, step)}
            at = now

    def braille(self) -> list[str]:
        """Two columns and four rows to a character."""
        return [
            "".join(self._pattern(column, row) for column in range(0, self.width, 2))
            for row in range(0, self.height, 4)
        ]

    def _pattern(self, column: int, row: int) -> str:
        bits = sum(
            bit
            for down, line in enumerate(_DOTS)
            for right, bit in enumerate(line)
            if (column + right, row + down) in self._dots
        )
        return chr(_BRAILLE + bits) if bits else " "

    def stars(self) -> list[str]:
        """One to a character."""
        return [
            "".join("*" if (column, row) in self._dots else " " for column in range(self.width))
            for row in range(self.height)
        ]
