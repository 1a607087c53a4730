"""Text of the user's that is to be nothing but text in Markdown, LaTeX, HTML and CSV."""

from __future__ import annotations

import html as html_library
import math
import re
from typing import TYPE_CHECKING, Final

from runbook import display

if TYPE_CHECKING:
    from runbook.typing import Json

_MARKDOWN_SPECIAL: Final = re.compile(r"[\\`*\[\]|~#!${}@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=[wW])\.")
"""An underscore within a word does nothing, and names of metrics are full of them; `www.`, `://` and `@` make links."""

_HTML_IN_MARKDOWN: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})

_LATEX: Final = str.maketrans(
    {char: f"\\{char}" for char in "{}$&#_%"}
    | {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
        ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\char34{}", "`": r"\textasciigrave{}",
        # After `\\` a bracket or a star would be taken for its argument.
        "[": "{[}", "]": "{]}", "*": "{*}",
    }
)  # fmt: skip
_LATEX_DOUBLE: Final = re.compile(r"([-,'])(?=\1)")
"""Two of a kind would become one long dash, or a quotation mark."""

_LATEX_MINUS: Final = re.compile(r"(?<![\w.)}-])-(?=\d)|(?<=\de)-(?=\d)")

_STARTS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""With the full-width forms of the first four, which some spreadsheets read as the same."""


def markdown(text: str) -> str:
    """For a cell or a paragraph of GitHub-flavoured Markdown: no code, emphasis, link, tag, formula or further cell."""
    escaped = _MARKDOWN_SPECIAL.sub(lambda found: f"\\{found[0]}", display.visible(text))
    return escaped.translate(_HTML_IN_MARKDOWN)


def latex(text: str) -> str:
    """For a cell or a paragraph of LaTeX: no command, and a minus before a number is one."""
    escaped = _LATEX_DOUBLE.sub(r"\1{}", display.visible(text).translate(_LATEX))
    return _LATEX_MINUS.sub("$-$", escaped)


def html(text: str) -> str:
    """For the content of an element or of an attribute in quotes."""
    return html_library.escape(display.visible(text))


def csv(value: Json) -> str:
    """A value for a cell of a CSV file, before the writer quotes it: floats in full, no formula among texts."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else display.number(value)
    if isinstance(value, (bool, int)):
        return str(value)
    text = value if isinstance(value, str) else display.one_line(value)
    # Line breaks and tabs are data here; whatever else has no place on a line may meet a terminal all the same.
    text = "".join(char if char in "\n\t" else display.visible(char) for char in text)
    return f"'{text}" if text.startswith(_STARTS_A_FORMULA) else text
