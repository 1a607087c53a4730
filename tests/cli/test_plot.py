"""Curves in a terminal: every size, every value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.cli.plot import draw_chart

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(
    points=st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=30).map(sorted),
    width=st.integers(40, 200),
    height=st.integers(1, 20),
    is_unicode=st.booleans(),
)
def test_any_curve_fits_any_size(points, width, height, is_unicode):
    """Whatever the numbers, there is a line for each row and one for the steps, and none is too wide."""
    lines = draw_chart(points, width, height, is_unicode=is_unicode)
    assert len(lines) == height + 1
    assert max(map(len, lines)) <= width
    assert is_unicode or all(line.isascii() for line in lines)


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(1e-300, 1e300)), min_size=1, max_size=30).map(sorted))
def test_a_logarithmic_axis_takes_every_size(points):
    """From the smallest to the largest."""
    assert len(draw_chart(points, 60, 8, is_log=True)) == 9


def test_a_line_is_a_line():
    """In stars, from the lower left to the upper right."""
    lines = draw_chart([(step, step) for step in range(20)], 24, 20, is_unicode=False)
    columns = [line.find("*") for line in lines[:-1]]
    assert columns == sorted(columns, reverse=True)
    assert lines[0].strip().startswith("19 |")
    assert lines[-2].strip().startswith("0 |*")
    assert lines[-1].split() == ["0", "19"]


@pytest.mark.slow
def test_no_spike_is_lost():
    """One point in ten thousand is seen at any width."""
    points = [(step, 100.0 if step == 5678 else 0.0) for step in range(10_000)]
    top = draw_chart(points, 40, 6)[0]
    assert top.partition("│")[2].strip()


def test_a_logarithmic_axis_is_straight_for_a_power():
    """Ten times as much is as far everywhere."""
    lines = draw_chart([(step, 10.0**step) for step in range(11)], 18, 11, is_log=True, is_unicode=False)
    assert [line.count("*") for line in lines[:-1]] == [1] * 11


@pytest.mark.parametrize("points", [[(0, 5)], [(0, 5), (1, 5)], [(3, 5), (3, 5)]])
def test_one_value_stands_at_the_foot(points):
    """And has one label."""
    lines = draw_chart(points, 40, 5)
    assert sum("5" in line.partition("│")[0] for line in lines[:-1]) == 1
