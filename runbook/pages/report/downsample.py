"""Thinning long curves without losing their spikes.

A curve is divided into buckets of equal length, of which only the smallest and the largest value stay: min-max
decimation, which does not change the picture of a line that has more points than the screen has pixels
(Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014, https://doi.org/10.14778/2732951.2732953).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORTEST: Final = 8
"""The least number of points; a smaller limit counts as this one."""


def select_points(low: Sequence[float], limit: int, high: Sequence[float] | None = None) -> list[int]:
    """The positions of the points of a curve that stay.

    The first and the last point stay, and of each bucket between them the smallest and the largest finite value and
    the first one that is not finite, so that a gap stays a gap.

    Args:
        low: the values of a curve, in order; for a band its lower edge.
        limit: the most points that may stay; less than `SHORTEST` counts as `SHORTEST`.
        high: the upper edge of a band; None for a curve.

    Returns:
        Ascending positions, at most `limit`; all positions if the curve is short enough.

    Example:
        >>> select_points([0, 0, 0, 9, 0, 0, 0, -5, 0, 0], 8)
        [0, 1, 3, 4, 7, 9]
    """
    high = low if high is None else high
    length, limit = len(low), max(limit, SHORTEST)
    if length <= limit:
        return list(range(length))
    has_gaps = not all(math.isfinite(value) for values in (low, high) for value in values)
    buckets = (limit - 2) // (3 if has_gaps else 2)
    chosen = {0, length - 1}
    for bucket in range(buckets):
        start, end = (1 + (length - 2) * edge // buckets for edge in (bucket, bucket + 1))
        finite = [at for at in range(start, end) if math.isfinite(low[at]) and math.isfinite(high[at])]
        if finite:
            chosen |= {min(finite, key=low.__getitem__), max(finite, key=high.__getitem__)}
        if len(finite) < end - start:
            chosen.add(next(at for at in range(start, end) if not (math.isfinite(low[at]) and math.isfinite(high[at]))))
    return sorted(chosen)
