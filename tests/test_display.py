"""Values as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import display


@given(st.text())
def test_visible_text_takes_its_place_and_does_nothing_else(text):
    """No control, no format and no unassigned character is left; harmless text stays as it is."""
    shown = display.visible(text)
    assert shown.isprintable()
    assert display.visible(shown) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.912345678, "0.9123"),
        (12345.678, "1.235e+04"),
        (0.0, "0"),
        (-0.00001, "-1e-05"),
        (20, "20"),
        (2**64 - 1, "18446744073709551615"),
        (10**4000, "1.000e+4000"),
        (-(10**20), "-1.000e+20"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        ("NaN", "NaN"),
        (True, "True"),
        ("\x1b[2J", "\\x1b[2J"),
    ],
)
def test_numbers_have_four_significant_digits(value, shown):
    """Integers stay whole as long as they are readable; what is no number is harmless text."""
    assert display.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        ({"a": [1, 0.5, None]}, '{"a": [1, 0.5, null]}'),
        (["é", "\u202e"], '["é", "\\u202e"]'),
        ("text", "text"),
        (False, "False"),
    ],
)
def test_any_plain_value_is_one_line(value, shown):
    """What has parts is JSON."""
    assert display.one_line(value) == shown


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("learning", 8, "learning"),
        ("learning", 7, "learni…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("e\u0301" * 3, 3, "e\u0301" * 3),
        ("e\u0301" * 4, 3, "e\u0301e\u0301…"),
        ("ab", 0, "…"),
    ],
)
def test_what_is_cut_fits(text, most, shown):
    """A letter may take two columns of the terminal, or none."""
    assert display.cut(text, most, display.width_of) == shown


def test_signs_that_are_wider_together_than_one_by_one_fit_as_well():
    """How wide a heart with a variation selector is depends on the version of rich; what is cut fits in any."""
    text = "a\u2764\ufe0fb"
    for most in range(1, 6):
        shown = display.cut(text, most, display.width_of)
        assert display.width_of(shown) <= most
        assert shown == text or (display.width_of(text) > most and shown.endswith("…"))


@given(st.text(), st.integers(1, 30))
def test_what_is_cut_begins_as_it_did(text, most):
    """By characters, where nothing else is said; nothing is cut that fits."""
    shown = display.cut(text, most)
    assert shown == text if len(text) <= most else shown == f"{text[: most - 1]}…"
    assert display.width_of(display.cut(text, most, display.width_of)) <= most


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", "-- ?~"), ("latin-1", "-- ä~"), ("utf-8", "── ä…"), (None, "── ä…")]
)
def test_signs_of_ours_have_others_like_them(encoding, shown):
    """Where an encoding lacks them; what is the user's becomes a question mark."""
    assert display.encodable("── ä…", encoding) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0.0 s"), (0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1.0 min"), (7200, "2.0 h")]
)
def test_durations_are_for_people(seconds, shown):
    """Seconds, minutes or hours."""
    assert display.duration(seconds) == shown


@pytest.mark.parametrize(
    ("passed", "shown"),
    [
        (timedelta(), "just now"),
        (timedelta(seconds=0.9), "just now"),
        (timedelta(seconds=-59), "just now"),
        (timedelta(seconds=1), "1 s ago"),
        (timedelta(seconds=119), "1 min ago"),
        (timedelta(hours=23), "23 h ago"),
        (timedelta(days=400), "400 d ago"),
        (timedelta(hours=-2), "in 2 h"),
    ],
)
def test_ages_are_whole_units(passed, shown):
    """The clock of another machine may be a little ahead, which is not the future."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert display.age(now - passed, now) == shown
