"""Thinning curves: `runbook/pages/report/downsample.py`."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from runbook.pages.report.downsample import SHORTEST, select_points

values_ = st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=400)
finite_ = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=400)
limits = st.integers(0, 120)


@given(values_, limits)
def test_the_result_is_ascending_within_the_curve_and_never_too_long(values, limit):
    """Positions ascend, each once, and there are at most as many as allowed."""
    chosen = select_points(values, limit)
    assert chosen == sorted(set(chosen))
    assert all(0 <= at < len(values) for at in chosen)
    assert len(chosen) <= max(limit, SHORTEST)


@given(values_, limits)
def test_the_first_and_the_last_point_stay(values, limit):
    """A thinned curve begins and ends where the whole one does."""
    chosen = select_points(values, limit)
    if values:
        assert (chosen[0], chosen[-1]) == (0, len(values) - 1)


@given(finite_, limits)
def test_the_highest_and_the_lowest_value_stay(values, limit):
    """No spike is lost, however short the curve becomes."""
    shown = [values[at] for at in select_points(values, limit)]
    assert (max(shown), min(shown)) == (max(values), min(values))


@given(values_, limits)
def test_finite_spikes_stay_beside_gaps(values, limit):
    """NaN and infinities neither push spikes out nor hide them."""
    finite = [value for value in values if math.isfinite(value)]
    shown = [values[at] for at in select_points(values, limit) if math.isfinite(values[at])]
    if finite:
        assert (max(shown), min(shown)) == (max(finite), min(finite))


def test_every_bucket_keeps_its_own_spikes():
    """A spike in each stretch stays, not only the largest of all."""
    values = [0.0] * 10_000
    spikes = {at: float(at % 7 + 1) * (-1 if at % 2 else 1) for at in range(500, 10_000, 1_000)}
    for at, height in spikes.items():
        values[at] = height
    assert set(spikes) <= set(select_points(values, 200))


def test_a_gap_stays_a_gap():
    """Where values were NaN, the thinned curve has a NaN too."""
    values = [1.0] * 1_000
    values[400:420] = [math.nan] * 20
    assert any(math.isnan(values[at]) for at in select_points(values, 100))


def test_a_short_curve_stays_whole():
    """Nothing is left out that fits."""
    assert select_points([1.0, 2.0, 3.0], 3) == [0, 1, 2]
    assert select_points([], 10) == []


@given(finite_, limits)
def test_a_band_keeps_the_extremes_of_both_edges(values, limit):
    """The lower edge keeps its lowest and the upper edge its highest point."""
    high = [value + abs(value) / 3 for value in values]
    if not all(map(math.isfinite, high)):
        return
    chosen = select_points(values, limit, high)
    assert min(values[at] for at in chosen) == min(values)
    assert max(high[at] for at in chosen) == max(high)
