"""A table as data, and as text, Markdown, LaTeX, CSV and HTML.

What stands in a table is the user's: names, settings, metrics. Each format escapes all of it, so that nothing in
it controls a terminal, opens a tag, ends a cell or starts a formula.
"""

from __future__ import annotations

import io
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

import attrs

from runbook import display
from runbook.errors import MissingExtraError
from runbook.render import colours, columns, escape
from runbook.typing import Json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pandas import DataFrame

_LINES: Final = 3
_LINES_IN_A_TITLE: Final = 4
_LEAST_LABEL: Final = 24
_LEAST_TEXT: Final = 12
_LEAST_TITLE: Final = 9

_BEST: Final = "*"


@attrs.frozen
class Column:
    """One column.

    Attributes:
        title: what stands over it.
        is_numeric: whether it is aligned to the right and its cells are never broken.
    """

    title: str
    is_numeric: bool = False


@attrs.frozen
class Cell:
    """One cell.

    Attributes:
        value: what CSV, JSON and data frames get.
        text: what people see; None: made from the value.
        is_best: whether it is marked as the best of its kind.
        style: a status, whose colour it has where there are colours; "" for none.
    """

    value: Json = None
    text: str | None = None
    is_best: bool = False
    style: str = ""

    @property
    def shown(self) -> str:
        """What people see, as one line of harmless text."""
        return display.one_line(self.value) if self.text is None else display.visible(self.text)


@attrs.frozen
class Table:
    """A table; the first column says what the row is about.

    Attributes:
        columns: at least one.
        rows: as many cells each as there are columns.
        caption: one sentence over it.
        notes: sentences under it.
        mark: what the mark of the best says, under a table that has one.

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
        """The notes where the mark is bold type."""
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

    What is too long folds, and after three lines ends in an ellipsis; the first column stays on one line, and
    numbers are never broken. Columns for which there is no room follow in blocks below.

    Args:
        table: the table.
        width: in columns of the terminal; 40 where it is less.
        colour: whether escape sequences for colours and bold type may be used.

    Returns:
        Lines of at most `width` columns, each ending in a newline.
    """
    from rich.cells import cell_len

    width = max(width, columns.LEAST_WIDTH)
    marked = {number for row in table.rows for number, cell in enumerate(row) if cell.is_best}
    texts = [
        [_marked(cell) if number in marked else cell.shown for number, cell in enumerate(row)] for row in table.rows
    ]
    naturals, minimums = [], []
    for number, column in enumerate(table.columns):
        content = max((cell_len(row[number]) for row in texts), default=0)
        title = cell_len(display.visible(column.title))
        naturals.append(max(content, title, 1))
        if column.is_numeric:
            minimums.append(max(content, min(title, _LEAST_TITLE), 1))
        else:
            whole = max((cell_len(texts[place][number]) for place in _numbers(table, number)), default=0)
            minimums.append(max(whole, min(naturals[-1], _LEAST_TEXT if number else _LEAST_LABEL)))
    parts = [] if table.caption is None else [_paragraph(table.caption, width, cell_len)]
    parts += [
        _block(table, texts, block, cell_len, has_styles=colour) for block in columns.blocks(naturals, minimums, width)
    ]
    notes = [*([f"* {table.mark}"] if marked else []), *table.notes]
    if notes:
        parts.append("".join(_paragraph(note, width, cell_len) for note in notes))
    return "\n".join(parts)


def _numbers(table: Table, column: int) -> list[int]:
    """The rows that have a number in a column of text, where it is not to be broken either."""
    return [place for place, row in enumerate(table.rows) if isinstance(row[column].value, (int, float))]


def _marked(cell: Cell) -> str:
    """The text of a cell with a mark that is also there without colours, or with a space, so that numbers line up."""
    return f"{cell.shown}{_BEST if cell.is_best else ' '}"


def _paragraph(text: str, width: int, measure: Callable[[str], int]) -> str:
    return "".join(f"{line}\n" for line in columns.fold(display.visible(text), width, measure))


def _block(
    table: Table,
    texts: list[list[str]],
    block: list[tuple[int, int]],
    measure: Callable[[str], int],
    *,
    has_styles: bool,
) -> str:
    """Some columns of the table, each in its width."""

    def aligned(number: int, width: int, lines: list[str]) -> list[str]:
        spaces = [" " * (width - measure(line)) for line in lines]
        if table.columns[number].is_numeric:
            return [space + line for space, line in zip(spaces, lines, strict=True)]
        return [line + space for space, line in zip(spaces, lines, strict=True)]

    def fitted(number: int, width: int, text: str) -> list[str]:
        if number == 0:
            return [columns.shorten(text, width, measure)]
        return columns.fold(text, width, measure, 1 if table.columns[number].is_numeric else _LINES)

    def beside(cells: list[list[str]], styles: list[str]) -> None:
        for row in zip_longest(*cells):
            filled = [" " * width if part is None else part for part, (_, width) in zip(row, block, strict=True)]
            if has_styles:
                filled = [_styled(part, style) for part, style in zip(filled, styles, strict=True)]
            lines.append((" " * columns.GAP).join(filled).rstrip())

    lines: list[str] = []
    titles = [
        aligned(
            number,
            width,
            columns.fold(display.visible(table.columns[number].title), width, measure, _LINES_IN_A_TITLE),
        )
        for number, width in block
    ]
    tallest = max(map(len, titles))
    # A title of one line stands directly over its column.
    beside(
        [[" " * width] * (tallest - len(title)) + title for title, (_, width) in zip(titles, block, strict=True)],
        ["bold"] * len(block),
    )
    lines.append("─" * (sum(width for _, width in block) + columns.GAP * (len(block) - 1)))
    for row, shown in zip(table.rows, texts, strict=True):
        beside(
            [aligned(number, width, fitted(number, width, shown[number])) for number, width in block],
            [
                "bold" if row[number].is_best else colours.STATUS_COLOURS.get(row[number].style, "")
                for number, _ in block
            ],
        )
    return "".join(f"{line}\n" for line in lines)


def _styled(text: str, style: str) -> str:
    from rich.color import ColorSystem
    from rich.style import Style

    bare = text.strip()
    if not (style and bare):
        return text
    return text.replace(bare, Style.parse(style).render(bare, color_system=ColorSystem.STANDARD))


def to_markdown(table: Table) -> str:
    """The table in GitHub-flavoured Markdown; the best in bold."""
    lines = [] if table.caption is None else [escape.markdown(table.caption), ""]
    lines.append(_markdown_row(escape.markdown(column.title) for column in table.columns))
    lines.append(_markdown_row("---:" if column.is_numeric else "---" for column in table.columns))
    lines += [_markdown_row(_bold(escape.markdown(cell.shown), cell, "**{}**") for cell in row) for row in table.rows]
    for note in table.notes_in_bold:
        lines += ["", escape.markdown(note)]
    return "\n".join([*lines, ""])


def to_latex(table: Table) -> str:
    r"""The table in LaTeX with the rules of the package booktabs; the best in bold.

    Letters beyond ASCII stay as they are: LuaLaTeX and XeLaTeX set them all, pdfLaTeX those of Europe.
    """
    aligned = "".join("r" if column.is_numeric else "l" for column in table.columns)
    lines = ["% needs \\usepackage{booktabs}", "\\begin{table}", "\\centering"]
    if table.caption is not None:
        lines.append(f"\\caption{{{escape.latex(table.caption)}}}")
    lines += [f"\\begin{{tabular}}{{{aligned}}}", "\\toprule"]
    lines += [" & ".join(escape.latex(column.title) for column in table.columns) + r" \\", "\\midrule"]
    for row in table.rows:
        lines.append(" & ".join(_bold(escape.latex(cell.shown), cell, r"\textbf{{{}}}") for cell in row) + r" \\")
    lines += ["\\bottomrule", "\\end{tabular}"]
    lines += [f"\\par {{\\footnotesize {escape.latex(note)}}}" for note in table.notes_in_bold]
    return "\n".join([*lines, "\\end{table}", ""])


def to_csv(table: Table) -> str:
    """The values as comma-separated values (RFC 4180), floats in full; without caption, marks and notes.

    Text that a spreadsheet would take for a formula gets an apostrophe before it.
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
        MissingExtraError: without pandas.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("pandas", "pandas", "a data frame is one of its") from error
    return pd.DataFrame([[cell.value for cell in row] for row in table.rows], columns=[c.title for c in table.columns])


def to_html(table: Table) -> str:
    """The table as one `<table>` element, everything in it escaped, without style of its own.

    The classes to hang a style on: `runbook-table`, `runbook-number`, `runbook-best` and `runbook-<status>`.
    """
    lines = ['<table class="runbook-table">']
    if table.caption is not None:
        lines.append(f"<caption>{escape.html(table.caption)}</caption>")
    titles = (f'<th scope="col"{_classes(column)}>{escape.html(column.title)}</th>' for column in table.columns)
    lines += ["<thead>", f"<tr>{''.join(titles)}</tr>", "</thead>", "<tbody>"]
    for row in table.rows:
        cells = (
            f"<td{_classes(column, cell)}>{_bold(escape.html(cell.shown), cell, '<strong>{}</strong>')}</td>"
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


def _bold(escaped: str, cell: Cell, form: str) -> str:
    return form.format(escaped) if cell.is_best and escaped else escaped


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _classes(column: Column, cell: Cell | None = None) -> str:
    names = ["runbook-number"] if column.is_numeric else []
    if cell is not None:
        names += ["runbook-best"] if cell.is_best else []
        names += [f"runbook-{cell.style}"] if cell.style in colours.STATUS_COLOURS else []
    return f' class="{" ".join(names)}"' if names else ""
