"""Histories as curves: `runbook/pages/report/curves.py`."""

from __future__ import annotations

import base64
import json
import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.pages.report.curves import LIMITS, Curve, Packing, average_groups, build_curves, choose_limit, pack_numbers


def unpack(packed) -> list[float]:
    """The numbers as the page unpacks them."""
    if "count" in packed:
        return [packed["start"] + at * packed["stride"] for at in range(packed["count"])]
    return list(array(packed["type"], base64.b64decode(packed["base64"])))


@given(st.lists(st.floats(allow_nan=False)))
def test_packed_numbers_are_strict_json_and_as_exact_as_a_screen_can_show(values):
    """The unpacked numbers differ by less than a hundred-thousandth of the height of the curve."""
    packed = json.loads(json.dumps(pack_numbers(values), allow_nan=False))
    again = unpack(packed)
    assert len(again) == len(values)
    finite = [value for value in values if math.isfinite(value)]
    height = max(finite) - min(finite) if finite else 0
    for before, after in zip(values, again, strict=True):
        assert before == after or abs(before - after) <= max(1e-5 * height, 1e-9 * abs(before))


def test_numbers_that_a_short_float_cannot_tell_apart_stay_apart():
    """Two times of a clock that differ by a second are not the same number in the page."""
    values = [1.7e9, 1.7e9 + 1, 1.7e9 + 3]
    assert unpack(pack_numbers(values)) == values


def test_non_finite_values_survive():
    """NaN and infinities are in the page as they were logged."""
    again = unpack(pack_numbers([1.0, math.nan, math.inf, -math.inf]))
    assert [str(value) for value in again] == ["1.0", "nan", "inf", "-inf"]


def test_even_steps_take_no_room():
    """A million counted steps are three numbers."""
    assert pack_numbers([float(step) for step in range(1_000)]) == {"start": 0.0, "stride": 1.0, "count": 1_000}


def test_a_curve_has_the_points_where_its_metric_was_logged():
    """Lines without the metric are no points, and no gaps."""
    history = {"step": [0, 1, 2], "time": ["a", "b", "c"], "loss": [0.9, None, 0.3], "f1": [None, 0.5, None]}
    loss, f1 = build_curves(history, 4)
    assert (loss.metric, loss.owner, list(loss.steps), list(loss.values)) == ("loss", 4, [0.0, 2.0], [0.9, 0.3])
    assert (list(f1.steps), list(f1.values)) == ([1.0], [0.5])


def test_what_is_no_number_is_counted_and_left_out():
    """Texts, lists, integers too large for a float and rows without a step are counted and not drawn."""
    history = {"step": [0, 1, 2, 3, None, math.nan], "time": [""] * 6, "x": ["high", [1], 10**400, 4, 5, 6]}
    (curve,) = build_curves(history, 0)
    assert (list(curve.values), curve.left_out) == ([4.0], 5)


def test_a_group_has_mean_smallest_and_largest_of_those_that_got_there():
    """A member that stopped early counts up to where it stopped."""
    curves = [
        Curve("loss", 0, (0.0, 1.0, 2.0), (1.0, 2.0, 3.0)),
        Curve("loss", 1, (0.0, 1.0), (3.0, math.nan)),
        Curve("loss", 2, (0.0,), (100.0,)),
    ]
    (mean,) = average_groups(curves, [[0, 1]])
    assert list(mean.steps) == [0.0, 1.0, 2.0]
    assert list(mean.values) == [2.0, 2.0, 3.0]
    assert list(mean.low) == [1.0, 2.0, 3.0]
    assert list(mean.high) == [3.0, 2.0, 3.0]


def test_values_near_the_end_of_floats_have_no_mean_but_no_error_either():
    """An overflow is a gap."""
    curves = [Curve("loss", owner, (0.0,), (1.7e308,)) for owner in (0, 1)]
    (mean,) = average_groups(curves, [[0, 1]])
    assert not math.isfinite(mean.values[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "length"), [(1, 10), (1, 30_000), (50, 20_000), (250, 1_000), (3_000, 50), (3_000, 200)]
)
def test_curves_fit_whatever_their_number_and_length(count, length):
    """The packed curves take no more bytes than there are."""
    curves = [Curve("loss", 0, tuple(map(float, range(length))), tuple(math.sin(at) for at in range(length)))]
    curves *= count
    budget = 2_900_000
    limit = choose_limit(curves, budget)
    packing = Packing()
    one = len(json.dumps(packing.pack(curves[0], limit))) + len(json.dumps(packing.steps))
    assert one * count <= budget * 1.2
    assert limit == LIMITS[0] or length > limit or count * length < budget


def test_thinning_says_how_many_points_there_were():
    """The page can show how many points were left out."""
    curve = Curve("loss", 0, tuple(map(float, range(1_000))), tuple(map(float, range(1_000))))
    packed = Packing().pack(curve, 100)
    assert packed["logged"] == 1_000
    assert 50 <= packed["shown"] <= 100
