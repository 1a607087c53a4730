"""Escaped text, read back by parsers of the formats."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import display
from runbook.render import escape, tables
from runbook.render.tables import Cell, Column, Table

SPECIAL = st.text(alphabet="\\`*_{}[]()<>#|~!&$@:/.^%-+='\"\n\t aw1é;", max_size=30)


def cells_of(markdown):
    """What a reader of Markdown finds in the cells: the kinds of its parts, and the text."""
    markdown_it = pytest.importorskip("markdown_it")
    parser = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
    inlines = [token for token in parser.parse(markdown) if token.type == "inline"]
    return [
        ({part.type for part in token.children}, "".join(part.content for part in token.children)) for token in inlines
    ]


@given(SPECIAL)
def test_markdown_is_nothing_but_the_text(text):
    """A reader of Markdown finds the two cells, with the text and no other thing in them."""
    markdown = tables.to_markdown(Table((Column("a"), Column("b")), ((Cell(text), Cell("end")),)))
    found = cells_of(markdown)
    assert [content for _, content in found] == ["a", "b", display.visible(text).strip(), "end"]
    assert set().union(*(kinds for kinds, _ in found)) <= {"text", "text_special"}


@given(SPECIAL)
def test_markdown_notes_and_captions_are_text_as_well(text):
    """A paragraph can be mistaken for more than a cell can: a heading, a list, a rule."""
    markdown = tables.to_markdown(Table((Column("a"),), (), caption=f"c {text}", notes=(f"n {text}",)))
    kinds = [kinds for kinds, _ in cells_of(markdown)]
    assert set().union(*kinds) <= {"text", "text_special"}


@given(SPECIAL)
def test_latex_has_no_command_of_the_users(text):
    """Each backslash begins a command of ours, and the braces close."""
    escaped = escape.latex(text)
    assert re.sub(r"\\(text[a-z]+|char34)\{\}|\\[{}$&#_%]|\$-\$", "", escaped).count("\\") == 0
    bare = re.sub(r"\\[{}]", "", escaped)
    assert bare.count("{") == bare.count("}")
    assert re.sub(r"\\[&#%$_]|\$-\$", "", escaped).count("%") == 0
    assert not re.search(r"(?<!\\)[&#_]", escaped)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("-0.5", "$-$0.5"),
        ("1e-05", "1e$-$05"),
        ("-0.1 to -0.05", "$-$0.1 to $-$0.05"),
        ("2026-01-02", "2026-01-02"),
        ("a-1", "a-1"),
        ("--help", "-{}-help"),
        ("''x''", "'{}'x'{}'"),
        ("été", "été"),
    ],
)
def test_a_minus_is_a_minus_and_a_hyphen_a_hyphen(text, escaped):
    """Names keep their hyphens, two of which would become a dash."""
    assert escape.latex(text) == escaped


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201"])
def test_a_spreadsheet_computes_nothing(text):
    """What would begin a formula has an apostrophe before it."""
    assert escape.csv(text) == f"'{text}"


@given(st.text())
def test_html_can_be_read_back(text):
    """Unescaped HTML is the visible text."""
    import html

    escaped = escape.html(text)
    assert html.unescape(escaped) == display.visible(text)
    assert not set("<>\"'") & set(escaped)
