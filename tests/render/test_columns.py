"""The layout of a table in a given width."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runbook.display import width_of
from runbook.render import columns

WIDTHS = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=30)


@given(WIDTHS, st.integers(40, 200))
def test_every_column_is_in_one_block_and_every_block_fits(wanted, width):
    """The first column is in all of them."""
    naturals, minimums = [max(pair) for pair in wanted], [min(pair) for pair in wanted]
    blocks = columns.blocks(naturals, minimums, width)
    others = [column for block in blocks for column, _ in block[1:]]
    assert others == list(range(1, len(wanted)))
    for block in blocks:
        assert block[0][0] == 0
        assert sum(w for _, w in block) + columns.GAP * (len(block) - 1) <= width
        assert all(1 <= w <= naturals[column] for column, w in block)


@given(WIDTHS, st.integers(40, 200))
def test_what_is_left_over_goes_to_those_that_want_it(wanted, width):
    """Either each column has its natural width, or the line is full."""
    naturals, minimums = [max(pair) for pair in wanted], [min(pair) for pair in wanted]
    for block in columns.blocks(naturals, minimums, width):
        is_full = sum(w for _, w in block) + columns.GAP * (len(block) - 1) == width
        assert is_full or all(w == naturals[column] for column, w in block)


@given(st.text(alphabet="ab1 .-_=日"), st.integers(4, 20))
@example("     ", 4)
@example("abcd ", 4)
def test_folding_loses_nothing_but_spaces(text, width):
    """Each line fits the width."""
    lines = columns.fold(text, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(width_of(line) <= width for line in lines)
    assert len(lines) == 1 or all(line.strip() for line in lines)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("learning_rate", ["learning_", "rate"]),
        ("one two three", ["one two", "three"]),
        ("abcdefghijklmnop", ["abcdefghij", "klmnop"]),
        ("gap is -0.0125", ["gap is", "-0.0125"]),
        ("optlr=0.1234", ["optlr=", "0.1234"]),
    ],
)
def test_lines_end_where_a_reader_would_end_them(text, lines):
    """At a space, after a sign, and never within a number that fits on a line."""
    assert columns.fold(text, 10) == lines


def test_a_label_keeps_its_end_where_there_is_room():
    """Experiments of one sweep begin alike."""
    label = "20261123_092910_digits_lr0.0001_de786415"
    assert columns.shorten(label, 40) == label
    assert columns.shorten(label, 24) == "20261123_092910…de786415"
    assert columns.shorten(label, 16) == "20261123_092910…"
