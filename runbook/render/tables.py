"""A table as data, and as text, Markdown, LaTeX, CSV and HTML.

The texts in a table come from the user: names, settings, metrics. Each format escapes all of them, so that no text
controls a terminal, opens a tag, ends a cell or starts a formula.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import attrs

from runbook import display
from runbook.display import width_of
from runbook.errors import MissingExtraError
from runbook.render import colours, escape, grid
from runbook.render.columns import LEAST_WIDTH
from runbook.render.grid import TextColumn
from runbook.typing import Json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pandas import DataFrame

_BEST: Final = "*"


@attrs.frozen
class Column:
    """One column.

    Attributes:
        title: the text over the column.
        is_numeric: whether it is aligned to the right and its cells are never broken.
    """

    title: str
    is_numeric: bool = False


@attrs.frozen
class Cell:
    """One cell.

    Attributes:
        value: the value for CSV, JSON and data frames.
        text: the text for people; None to make it from the value.
        is_best: whether it is marked as the best of its kind.
        style: a status, in whose colour the cell is printed; "" for no colour.
    """

    value: Json = None
    text: str | None = None
    is_best: bool = False
    style: str = ""

    @property
    def shown(self) -> str:
        """The text for people, as one line of harmless text."""
        return display.one_line(self.value) if self.text is None else display.visible(self.text)


@attrs.frozen
class Table:
    """A table; the first column is the label of the row.

    Attributes:
        columns: at least one.
        rows: the rows, each with one cell for each column.
        caption: one sentence over the table.
        notes: sentences under the table.
        mark: the meaning of the mark, which stands under a table with marked cells.

    Raises:
        ValueError: if a row has another number of cells.

    Example:
        >>> table = Table((Column("name"), Column("f1", is_numeric=True)), ((Cell("base"), Cell(0.91234)),))
        >>> print(to_markdown(table))
        | name | f1 |
        | --- | ---: |
        | base | 0.9123 |
        <BLANKLINE>
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str | None = None
    notes: tuple[str, ...] = ()
    mark: str = "the best of its kind"

    @property
    def notes_in_bold(self) -> tuple[str, ...]:
        """The notes for a format that marks the best in bold type."""
        return (f"Bold: {self.mark}.", *self.notes) if self.has_best else self.notes

    @property
    def has_best(self) -> bool:
        """Whether any cell is marked."""
        return any(cell.is_best for row in self.rows for cell in row)

    def __attrs_post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"row {number} has {len(row)} cells for {len(self.columns)} columns")


def to_text(table: Table, *, width: int, colour: bool = False) -> str:
    """The table for a terminal.

    Long text is folded, and after three lines ends in an ellipsis; the first column stays on one line, and numbers
    are never broken. Columns for which there is no room follow in blocks below.

    Args:
        table: the table.
        width: in columns of the terminal; less than 40 counts as 40.
        colour: whether escape sequences for colours and bold type may be used.

    Returns:
        Lines of at most `width` columns, each ending in a newline.
    """
    width = max(width, LEAST_WIDTH)
    marked = {number for row in table.rows for number, cell in enumerate(row) if cell.is_best}
    parts = [] if table.caption is None else [grid.paragraph_lines(display.visible(table.caption), width)]
    shown = [_build_text_column(table, number, has_marks=number in marked) for number in range(len(table.columns))]
    parts.append(list(grid.table_lines(shown, width, colour=colour)))
    notes = [*([f"{_BEST} {table.mark}"] if marked else []), *table.notes]
    if notes:
        parts.append([line for note in notes for line in grid.paragraph_lines(display.visible(note), width)])
    return "\n".join("".join(f"{line}\n" for line in lines) for lines in parts)


def _build_text_column(table: Table, number: int, *, has_marks: bool) -> TextColumn:
    """A column of a table in the form for `grid`."""
    column = table.columns[number]
    cells = [row[number] for row in table.rows]
    # A star, because colours may be off; a space in cells without a star, so that numbers line up.
    texts = [f"{cell.shown}{_BEST if cell.is_best else ' '}" if has_marks else cell.shown for cell in cells]
    # A broken number would read as another one, also in a column of text.
    numbers = (width_of(text) for text, cell in zip(texts, cells, strict=True) if isinstance(cell.value, (int, float)))
    return TextColumn(
        display.visible(column.title),
        texts,
        is_numeric=column.is_numeric,
        styles=[colours.BOLD if cell.is_best else cell.style for cell in cells],
        whole=max(numbers, default=0),
    )


def to_markdown(table: Table) -> str:
    """The table in GitHub-flavoured Markdown, the best cells in bold."""
    lines = [] if table.caption is None else [escape.markdown(table.caption), ""]
    lines.append(_build_markdown_row(escape.markdown(column.title) for column in table.columns))
    lines.append(_build_markdown_row("---:" if column.is_numeric else "---" for column in table.columns))
    lines += [
        _build_markdown_row(_mark_best(escape.markdown(cell.shown), cell, "**{}**") for cell in row)
        for row in table.rows
    ]
    for note in table.notes_in_bold:
        lines += ["", escape.markdown(note)]
    return "\n".join([*lines, ""])


def to_latex(table: Table) -> str:
    r"""The table in LaTeX with the rules of the package booktabs, the best cells in bold.

    Letters beyond ASCII stay as they are: LuaLaTeX and XeLaTeX typeset them all, pdfLaTeX those of Europe.
    """
    aligned = "".join("r" if column.is_numeric else "l" for column in table.columns)
    lines = ["% needs \\usepackage{booktabs}", "\\begin{table}", "\\centering"]
    if table.caption is not None:
        lines.append(f"\\caption{{{escape.latex(table.caption)}}}")
    lines += [f"\\begin{{tabular}}{{{aligned}}}", "\\toprule"]
    lines += [" & ".join(escape.latex(column.title) for column in table.columns) + r" \\", "\\midrule"]
    for row in table.rows:
        lines.append(" & ".join(_mark_best(escape.latex(cell.shown), cell, r"\textbf{{{}}}") for cell in row) + r" \\")
    lines += ["\\bottomrule", "\\end{tabular}"]
    lines += [f"\\par {{\\footnotesize {escape.latex(note)}}}" for note in table.notes_in_bold]
    return "\n".join([*lines, "\\end{table}", ""])


def to_csv(table: Table) -> str:
    """The values as comma-separated values (RFC 4180), floats in full; without caption, marks and notes.

    A text that a spreadsheet would read as a formula gets an apostrophe before it.
    """
    import csv

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([escape.csv(column.title) for column in table.columns])
    writer.writerows([escape.csv(cell.value) for cell in row] for row in table.rows)
    return buffer.getvalue()


def to_dataframe(table: Table) -> DataFrame:
    """The values as a pandas data frame with the titles of the columns, without caption, marks and notes.

    Raises:
        MissingExtraError: if pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("pandas", "pandas", "a data frame is one of its") from error
    return pd.DataFrame([[cell.value for cell in row] for row in table.rows], columns=[c.title for c in table.columns])


def to_html(table: Table) -> str:
    """The table as one `<table>` element with all text escaped and without a style.

    The classes for a style sheet: `runbook-table`, `runbook-number`, `runbook-best` and `runbook-<status>`.
    """
    lines = ['<table class="runbook-table">']
    if table.caption is not None:
        lines.append(f"<caption>{escape.html(table.caption)}</caption>")
    titles = (f'<th scope="col"{_classes_of(column)}>{escape.html(column.title)}</th>' for column in table.columns)
    lines += ["<thead>", f"<tr>{''.join(titles)}</tr>", "</thead>", "<tbody>"]
    for row in table.rows:
        cells = (
            f"<td{_classes_of(column, cell)}>{_mark_best(escape.html(cell.shown), cell, '<strong>{}</strong>')}</td>"
            for column, cell in zip(table.columns, row, strict=True)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines.append("</tbody>")
    if table.notes_in_bold:
        notes = (
            f'<tr><td colspan="{len(table.columns)}">{escape.html(note)}</td></tr>' for note in table.notes_in_bold
        )
        lines += ["<tfoot>", *notes, "</tfoot>"]
    return "\n".join([*lines, "</table>", ""])


def _mark_best(escaped: str, cell: Cell, form: str) -> str:
    return form.format(escaped) if cell.is_best and escaped else escaped


def _build_markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _classes_of(column: Column, cell: Cell | None = None) -> str:
    names = ["runbook-number"] if column.is_numeric else []
    if cell is not None:
        names += ["runbook-best"] if cell.is_best else []
        names += [f"runbook-{cell.style}"] if cell.style in colours.STATUS_COLOURS else []
    return f' class="{" ".join(names)}"' if names else ""
