"""Columns of text: what every printed table is made of."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.display import width_of
from runbook.render import grid
from runbook.render.grid import TextColumn

TEXTS = st.text(alphabet="ab1 .-_=日é", max_size=30)
ESCAPE = re.compile(r"\x1b\[[0-9]+m")


def test_a_block_has_titles_a_rule_and_rows():
    """Numbers stand to the right, and nothing ends in spaces."""
    block = [
        (TextColumn("experiment", ["one", "日本"]), 10),
        (TextColumn("f1", ["0.5", "10"], is_numeric=True), 4),
        (TextColumn("note", ["", "x"]), 4),
    ]
    assert list(grid.block_lines(block)) == [
        "experiment    f1  note",
        "──────────────────────",
        "one          0.5",
        "日本          10  x",
    ]


def test_colours_change_no_place():
    """Titles are in bold type, statuses in their colours; without these it is the same text."""
    block = [
        (TextColumn("experiment", ["one", "two"]), 10),
        (TextColumn("status", ["completed", "failed (x)"], styles=["completed", "failed"]), 10),
        (TextColumn("took", ["1 s", "2 s"], is_numeric=True, styles=["bold", ""]), 5),
    ]
    lines = list(grid.block_lines(block, colour=True))
    assert "\x1b[1mexperiment\x1b[0m" in lines[0]
    assert "\x1b[32mcompleted\x1b[0m" in lines[2]
    assert "\x1b[31mfailed (x)\x1b[0m" in lines[3]
    assert [ESCAPE.sub("", line) for line in lines] == list(grid.block_lines(block))


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=6), st.integers(40, 120))
def test_a_table_fits_and_loses_nothing(rows, width):
    """Without a limit of lines every cell is there in full; only the label is repeated in each block."""
    columns = [
        TextColumn("#", ["#"] * len(rows)),
        TextColumn("", [row[0] for row in rows], lines=None),
        TextColumn("", [row[1] for row in rows], lines=None),
        TextColumn("", [row[2] for row in rows], is_list=True),
    ]
    lines = list(grid.table_lines(columns, width))
    assert max(map(width_of, lines)) <= width
    given_, shown = "".join(map("".join, rows)), "".join(lines)
    assert Counter(given_.replace(" ", "")) == Counter(re.sub("[ #─]", "", shown))


def test_a_list_breaks_between_its_items():
    """An item is broken only where it alone is too wide."""
    metrics = TextColumn("metrics", ["f1=0.91  n=3  val/loss=0.3  a_longer_one=0.1"], is_list=True)
    lines = list(grid.block_lines([(TextColumn("id", ["x"]), 2), (metrics, 14)]))
    assert lines[2:] == ["x   f1=0.91  n=3", "    val/loss=0.3", "    a_longer_one=", "    0.1"]


@pytest.mark.parametrize("width", [40, 80, 10**9])
def test_facts_stand_in_line(width):
    """A long name has a line of its own, a long value takes several, and a path to copy stays whole."""
    path = "/a/rather/long/path/that/somebody/copies/from/the/screen/into/a/command/experiments"
    facts = [("lr", "0.1"), ("folder", path), ("n" * 50, "value"), ("text", "word " * 20)]
    lines = list(grid.fact_lines(facts, width, whole=("folder",), styles={"lr": "failed"}))
    assert any(line.endswith(path) for line in lines)
    assert all(line.startswith("  ") and line == line.rstrip() for line in lines)
    assert lines[0].split() == ["lr", "\x1b[31m0.1\x1b[0m"]
    assert ("  " + "n" * 50 in lines) is (width < 200)
    assert max(width_of(line) for line in lines if path not in line and "n" * 50 not in line) <= width


def test_no_facts_are_no_lines():
    """An empty list of facts prints nothing."""
    assert list(grid.fact_lines([], 80)) == []
