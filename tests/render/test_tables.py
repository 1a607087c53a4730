"""Tables as text, Markdown, LaTeX, CSV and HTML, whatever the user's names do."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from runbook.render import tables
from runbook.render.tables import Cell, Column, Table

HOSTILE = [
    "\x1b[2J\x1b[Hcleared",
    "\x1b]0;title\x07",
    "\x9b31mred",
    "\r overwritten",
    "a\nb",
    "back\b\b",
    "\u202etxt.exe",
    "zero\u200bwidth",
    "\u2028line",
    "[bold red]x[/bold red]",
    "a | b",
    "`code`",
    "**bold** _it_ ~~no~~",
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "https://evil.example www.evil.example me@evil.example",
    "\\input{/etc/passwd}",
    "100% $x$ #1 a_b {c} ~ ^ & \\",
    "[1ex] -- '' ,, \"q\" <x> *",
    "=cmd|'/c calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    '"quoted", with; both',
    "",
]
FIRST = "20261123_092910_digits_lr0.0001_de786415"


def ladder(columns, rows=3):
    """A table of experiments with a given number of metrics."""
    return Table(
        (Column("experiment"), *(Column(f"metrics.value_{n}", is_numeric=True) for n in range(columns))),
        tuple((Cell(FIRST), *(Cell(-1.23456e-105 * (n + row + 1)) for n in range(columns))) for row in range(rows)),
    )


@pytest.mark.parametrize("width", [40, 41, 57, 80, 200])
@pytest.mark.parametrize("columns", [1, 2, 7, 30])
def test_text_fits_and_numbers_stay_whole(width, columns):
    """Where there is no room beside, the table goes on below; each block begins with the id again."""
    table = ladder(columns)
    lines = tables.to_text(table, width=width).splitlines()
    assert max(map(cell_len, lines)) <= width
    words = " ".join(lines).split()
    for row in table.rows:
        assert all(cell.shown in words for cell in row[1:])
    assert all(line.startswith(FIRST[:14]) for line in lines if line.startswith("2026"))


def test_text_looks_like_this():
    """The best has a mark that is there without colours, and the numbers stand in line."""
    table = Table(
        (Column("name"), Column("f1", is_numeric=True), Column("status")),
        (
            (Cell("base"), Cell(0.91234, is_best=True), Cell("completed", style="completed")),
            (Cell("tiny"), Cell(0.5), Cell("failed", style="failed")),
        ),
        caption="Two.",
        notes=("A note.",),
    )
    assert tables.to_text(table, width=80).splitlines() == [
        "Two.",
        "",
        "name       f1  status",
        "────────────────────────",
        "base  0.9123*  completed",
        "tiny     0.5   failed",
        "",
        "* the best of its kind",
        "A note.",
    ]
    coloured = tables.to_text(table, width=80, colour=True)
    assert "\x1b[31mfailed" in coloured
    assert "\x1b[1m0.9123*" in coloured


def test_colour_is_a_matter_of_the_argument_alone(monkeypatch):
    """The caller has already read the terminal's state and NO_COLOR."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM"):
        monkeypatch.setenv(name, "dumb")
    table = Table((Column("a"),), ((Cell("x", style="failed"),),))
    assert "\x1b[31m" in tables.to_text(table, width=80, colour=True)
    assert "\x1b" not in tables.to_text(table, width=80)


def test_long_text_folds_and_ends_in_an_ellipsis():
    """Three lines are enough to know a setting; the label of a row stays on one."""
    table = Table((Column("name"), Column("prompt")), ((Cell("n" * 300), Cell("w" * 300)),))
    lines = tables.to_text(table, width=60).splitlines()
    assert len(lines) == 2 + 3
    assert "n…n" in lines[2].split()[0]
    assert lines[4].endswith("w…")


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
@pytest.mark.parametrize("width", [40, 80])
def test_hostile_text_never_reaches_the_terminal(text, width):
    """In titles, cells, captions and notes."""
    table = Table((Column(text), Column(text, is_numeric=True)), ((Cell(text), Cell(1, text=text)),), text, (text,))
    out = tables.to_text(table, width=width)
    assert out.replace("\n", "").isprintable()
    assert max(map(cell_len, out.splitlines())) <= width


@given(
    st.lists(st.lists(st.text(max_size=50) | st.floats() | st.integers() | st.none(), min_size=3, max_size=3)),
    st.integers(min_value=40, max_value=200),
)
def test_text_fits_whatever_is_in_it(rows, width):
    """Letters of two columns, of none, and signs that control are measured as they are shown."""
    table = Table(
        (Column("a"), Column("b", is_numeric=True), Column("c")), tuple(tuple(Cell(v) for v in row) for row in rows)
    )
    out = tables.to_text(table, width=width)
    assert out.replace("\n", "").isprintable()
    assert max(map(cell_len, out.splitlines())) <= width


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_markdown_cells_stay_cells(text):
    """A bar, a line break, a backtick, a tag and a link are text."""
    out = tables.to_markdown(Table((Column("a"), Column("b")), ((Cell(text), Cell("end")),)))
    _, _, row, *rest = out.split("\n")
    assert rest == [""]
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 3
    assert re.search(r"<|(?<!\\)(?:\\\\)*[`*\[$]|[^\\]://|www\.|[^\\]@", row) is None
    assert row.replace("\n", "").isprintable()


def test_names_of_metrics_stay_readable_in_markdown():
    """An underscore within a word does nothing; at its edge it would make italics."""
    out = tables.to_markdown(Table((Column("test_f1_macro"), Column("_x_")), ()))
    assert out.startswith("| test_f1_macro | \\_x\\_ |\n")


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_latex_is_escaped(text):
    """Each special sign is a command or in braces, and no row begins with an argument."""
    out = tables.to_latex(Table((Column("a"), Column("b")), ((Cell(text), Cell("end")),), notes=(text,)))
    assert out.replace("\n", "").isprintable()
    (row,) = re.findall(r"\\midrule\n(.*)\n\\bottomrule", out)
    cell, end = row.removesuffix(r" \\").rsplit(" & ", 1)
    assert end == "end"
    rest = re.sub(r"\\text[a-z]+\{\}|\\char34\{\}|\\[{}$&#_%]|\{[][*]\}|\$-\$|(?<=[-,'])\{\}", "x", cell)
    assert re.search(r"[\\{}$&#_%~^<>|\"`\[*]|--|''|,,", rest) is None


def test_latex_is_a_table_of_booktabs():
    """With a caption and the best in bold; a minus is a minus and no hyphen."""
    table = Table(
        (Column("name"), Column("f1_macro", is_numeric=True)),
        ((Cell("a-b"), Cell(-0.5, is_best=True)), (Cell("c"), Cell(1e-05))),
        caption="Two & more",
        notes=("100%",),
    )
    assert tables.to_latex(table).splitlines() == [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        r"\caption{Two \& more}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"name & f1\_macro \\",
        r"\midrule",
        r"a-b & \textbf{$-$0.5} \\",
        r"c & 1e$-$05 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par {\footnotesize Bold: the best of its kind.}",
        r"\par {\footnotesize 100\%}",
        r"\end{table}",
    ]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_csv_can_be_read_back_and_starts_no_formula(text):
    """RFC 4180; an apostrophe before what a spreadsheet would compute."""
    out = tables.to_csv(Table((Column("a"), Column("b")), ((Cell(text), Cell("end")),)))
    assert out.startswith("a,b\r\n")
    _, (cell, end) = csv.reader(io.StringIO(out, newline=""))
    assert end == "end"
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u200b]", cell) is None
    if text.isprintable() and not text.startswith(tuple("=+-@")):
        assert cell == text


def test_numbers_in_csv_are_numbers_in_full():
    """A negative number is no formula, and no digit is lost."""
    values = (-0.1234567890123, 10**30, float("nan"), float("-inf"), True, None, [1, "a"])
    out = tables.to_csv(Table(tuple(Column(str(n)) for n in range(7)), (tuple(Cell(v, text="x") for v in values),)))
    assert out.split("\r\n")[1] == f'-0.1234567890123,{10**30},NaN,-Infinity,True,,"[1, ""a""]"'


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_html_is_one_table_and_nothing_of_it_is_the_users(text):
    """The tags are ours, whatever stands in titles, cells, styles, captions and notes."""
    table = Table((Column(text), Column(text)), ((Cell(text, style=text), Cell("x")),), text, (text,))
    parser = Tags()
    parser.feed(tables.to_html(table))
    assert [tag for tag, _ in parser.tags] == ("table caption thead tr th th tbody tr td td tfoot tr td".split())
    assert all(name in {"class", "scope", "colspan"} for _, attrs in parser.tags for name, _ in attrs)
    assert "".join(parser.text).replace("\n", "").isprintable()


def test_html_marks_the_best_and_the_status():
    """By classes, for whoever has a style sheet, and in bold for everybody."""
    table = Table((Column("f1", is_numeric=True),), ((Cell(0.5, is_best=True),), (Cell("x", style="failed"),)))
    out = tables.to_html(table)
    assert '<td class="runbook-number runbook-best"><strong>0.5</strong></td>' in out
    assert '<td class="runbook-number runbook-failed">x</td>' in out


def test_a_number_within_a_text_is_not_broken_either():
    """After the sign of a number, or before its decimals, the rest would be another number."""
    table = Table(
        (Column("a"), Column("b")),
        ((Cell("label"), Cell("-0.25, lr=-1.5e-05 and beta=0.999 " * 9)),),
        notes=("x" * 37 + " -0.125",),
    )
    out = tables.to_text(table, width=40)
    assert set(re.findall(r"[-+.e0-9]*[0-9][-+.e0-9]*", out)) == {"-0.25", "-1.5e-05", "0.999", "-0.125"}


def test_the_mark_can_say_something_else():
    """In every format that has one."""
    table = Table((Column("p", is_numeric=True),), ((Cell(0.01, is_best=True),),), mark="not noise")
    assert "* not noise" in tables.to_text(table, width=80)
    for form in (tables.to_markdown, tables.to_latex, tables.to_html):
        assert "Bold: not noise." in form(table)


def test_numbers_among_texts_stay_whole():
    """A column of a comparison holds all kinds of values."""
    columns = tuple(Column(name) for name in "abcd")
    table = Table(columns, ((Cell("seed"), *[Cell(2**64 - 1)] * 3), (Cell("note"), *[Cell("w " * 50)] * 3)))
    for width in (40, 60, 80):
        assert tables.to_text(table, width=width).count(str(2**64 - 1)) == 3


def test_an_empty_table_has_its_titles():
    """In every format."""
    table = Table((Column("a"), Column("b")), ())
    assert tables.to_text(table, width=80).split() == ["a", "b", "────"]
    assert tables.to_markdown(table) == "| a | b |\n| --- | --- |\n"
    assert tables.to_csv(table) == "a,b\r\n"
    assert "<th" in tables.to_html(table)
    assert "a & b" in tables.to_latex(table)


def test_a_row_has_a_cell_for_each_column():
    """The caller passes an empty cell for a missing value."""
    with pytest.raises(ValueError, match="row 1 has 1 cells for 2 columns"):
        Table((Column("a"), Column("b")), ((Cell(1), Cell(2)), (Cell(1),)))
