"""The curves of a report: histories as numbers, the means of groups, and a compact form for the page."""

from __future__ import annotations

import base64
import math
import statistics
import sys
from array import array
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import attrs

from runbook.pages.report import downsample

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runbook.typing import JsonObject

LIMITS: Final = (10_000, 7_000, 5_000, 3_500, 2_500, 2_000, 1_500, 1_000, 700, 500, 350, 250, 150, 100, 50, 25, 8)
"""The numbers of points that a curve may have; a report uses the first with which all curves fit."""

_PRECISION: Final = 1e-5
"""The greatest error, as a part of the curve's height, for which 4 bytes a number are enough; no screen shows it."""

_BASE64: Final = 4 / 3
_NO_METRICS: Final = ("step", "time", "attempt")


def _as_array(values: Iterable[float]) -> array[float]:
    return values if isinstance(values, array) else array("d", values)


@attrs.frozen
class Curve:
    """One metric of one experiment, or the mean and the band of one group.

    Args:
        metric: its name.
        owner: the position of the experiment or group.
        steps: the steps, in the order in which they were logged.
        values: the values at these steps; for a group the means.
        low: the lower edge of the band; None for an experiment.
        high: the upper edge of the band; None for an experiment.
        left_out: the number of logged values that are no numbers.
    """

    metric: str
    owner: int
    # Arrays take a quarter of the memory of other sequences, and there may be many millions of points.
    steps: array[float] = attrs.field(converter=_as_array)
    values: array[float] = attrs.field(converter=_as_array)
    low: array[float] | None = attrs.field(default=None, converter=attrs.converters.optional(_as_array))
    high: array[float] | None = attrs.field(default=None, converter=attrs.converters.optional(_as_array))
    left_out: int = 0

    @property
    def gaps(self) -> int:
        """The number of values that are NaN or infinite."""
        return sum(not math.isfinite(value) for value in self.values)

    def weight(self) -> tuple[int, int, int]:
        """The number of points, the bytes of each point's values, and the bytes of its step."""
        edges = [self.values] if self.low is None or self.high is None else [self.values, self.low, self.high]
        return len(self.values), sum(_measure_item(values) for values in edges), _measure_item(self.steps)

    def thin(self, limit: int) -> Curve:
        """The curve with at most `limit` points, which include its spikes."""
        if len(self.values) <= limit:
            return self
        chosen = downsample.select_points(self.values if self.low is None else self.low, limit, self.high)

        def select(values: array[float]) -> list[float]:
            return [values[at] for at in chosen]

        steps, values = select(self.steps), select(self.values)
        if self.low is None or self.high is None:
            return attrs.evolve(self, steps=steps, values=values)
        return attrs.evolve(self, steps=steps, values=values, low=select(self.low), high=select(self.high))


def build_curves(history: Mapping[str, Sequence[Any]], owner: int) -> list[Curve]:
    """The curves of one experiment, one a metric, in the order in which metrics were first logged.

    Args:
        history: the columns from `ExperimentView.history`.
        owner: the position of the experiment in the report.
    """
    steps = [_keep_finite(_to_float(step)) for step in history.get("step", ())]
    curves = []
    for metric, column in history.items():
        if metric in _NO_METRICS:
            continue
        points = [
            (step, number)
            for step, value in zip(steps, column, strict=True)
            if value is not None and step is not None and (number := _to_float(value)) is not None
        ]
        logged = sum(value is not None for value in column)
        if logged:
            xs, ys = zip(*points, strict=True) if points else ((), ())
            curves.append(Curve(metric, owner, xs, ys, left_out=logged - len(points)))
    return curves


def average_groups(curves: Iterable[Curve], groups: Sequence[Sequence[int]]) -> list[Curve]:
    """The mean of each group at each step, with the smallest and the largest value of its members as a band.

    Members without a finite value at a step do not count there.

    Args:
        curves: the curves of the experiments.
        groups: for each group the positions of its members.
    """
    group_of = {member: group for group, members in enumerate(groups) for member in members}
    together: dict[tuple[str, int], list[Curve]] = {}
    for curve in curves:
        if curve.owner in group_of:
            together.setdefault((curve.metric, group_of[curve.owner]), []).append(curve)
    return [_average(members, group) for (_, group), members in together.items()]


def _average(members: Sequence[Curve], group: int) -> Curve:
    values_at: dict[float, list[float]] = {}
    for curve in members:
        for step, value in zip(curve.steps, curve.values, strict=True):
            if math.isfinite(value):
                values_at.setdefault(step, []).append(value)
    steps = sorted(values_at)
    columns = [values_at[step] for step in steps]
    return Curve(members[0].metric, group, steps, map(_compute_mean, columns), map(min, columns), map(max, columns))


def _compute_mean(values: list[float]) -> float:
    try:
        return statistics.fmean(values)
    except OverflowError:
        return math.nan


def _to_float(value: object) -> float | None:
    if not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _keep_finite(step: float | None) -> float | None:
    return step if step is not None and math.isfinite(step) else None


def choose_limit(curves: Sequence[Curve], budget: float) -> int:
    """The number of points that a curve may have so that all curves fit.

    Args:
        curves: all curves.
        budget: the bytes for all curves in the page.
    """
    weights = [curve.weight() for curve in curves]
    for limit in LIMITS:
        # Whole curves of an experiment share their steps; each thinned curve has steps of its own.
        numbers = sum(
            length * values if length <= limit else limit * (values + steps) for length, values, steps in weights
        )
        if numbers * _BASE64 <= budget:
            return limit
    return LIMITS[-1]


class Packing:
    """Packs curves as JSON; curves with the same steps share them."""

    def __init__(self) -> None:
        self.steps: list[JsonObject] = []
        self._known: dict[bytes, int] = {}

    def pack(self, curve: Curve, limit: int) -> JsonObject:
        """The curve in the form that the page reads.

        Args:
            curve: the curve.
            limit: the most points that it may have.
        """
        thinned = curve.thin(limit)
        packed: JsonObject = {
            "metric": curve.metric,
            "owner": curve.owner,
            "steps": self._add_steps(thinned.steps),
            "values": pack_numbers(thinned.values),
            "logged": len(curve.values),
            "shown": len(thinned.values),
            "gaps": curve.gaps,
            "left_out": curve.left_out,
        }
        if thinned.low is not None and thinned.high is not None:
            packed |= {"low": pack_numbers(thinned.low), "high": pack_numbers(thinned.high)}
        return packed

    def _add_steps(self, steps: array[float]) -> int:
        key = steps.tobytes()
        if key not in self._known:
            self._known[key] = len(self.steps)
            self.steps.append(pack_numbers(steps))
        return self._known[key]


def pack_numbers(values: Sequence[float]) -> JsonObject:
    """Numbers as little-endian bytes in base64, or as start, stride and count where they are evenly spaced.

    Example:
        >>> pack_numbers([0.0, 10.0, 20.0])
        {'start': 0.0, 'stride': 10.0, 'count': 3}
    """
    if len(values) > 1 and math.isfinite(values[0]):
        stride = values[1] - values[0]
        if math.isfinite(stride) and all(after - before == stride for before, after in pairwise(values)):
            return {"start": values[0], "stride": stride, "count": len(values)}
    numbers = array("f" if _fits_single(values) else "d", values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return {"type": numbers.typecode, "base64": base64.b64encode(numbers.tobytes()).decode("ascii")}


def _measure_item(values: Sequence[float]) -> int:
    return array("f" if _fits_single(values) else "d").itemsize


def _fits_single(values: Sequence[float]) -> bool:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return True
    height = max(finite) - min(finite)
    rounded = array("f", finite)
    loss = max(abs(value - single) for value, single in zip(finite, rounded, strict=True))
    return math.isfinite(loss) and loss <= _PRECISION * height
