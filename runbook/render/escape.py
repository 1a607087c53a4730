"""Escaping the user's text, so that Markdown, LaTeX, HTML and CSV show it as text."""

from __future__ import annotations

import html as html_library
import math
import re
from typing import TYPE_CHECKING, Final

from runbook import display

if TYPE_CHECKING:
    from runbook.typing import Json

_MARKDOWN_SPECIAL: Final = re.compile(r"[\\`*\[\]|~#!${}@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=[wW])\.")
"""Not an underscore within a word, which has no meaning and is frequent in names of metrics; `www.`, `://` and `@`
make links."""

_HTML_IN_MARKDOWN: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})

_LATEX: Final = str.maketrans(
    {char: f"\\{char}" for char in "{}$&#_%"}
    | {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
        ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\char34{}", "`": r"\textasciigrave{}",
        # After `\\` LaTeX takes a bracket or a star for its argument.
        "[": "{[}", "]": "{]}", "*": "{*}",
    }
)  # fmt: skip
_LATEX_DOUBLE: Final = re.compile(r"([-,'])(?=\1)")
"""LaTeX makes a long dash or a quotation mark of two of these."""

_LATEX_MINUS: Final = re.compile(r"(?<![\w.)}-])-(?=\d)|(?<=\de)-(?=\d)")

_STARTS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The beginnings of a formula; some spreadsheets read the full-width forms of the first four in the same way."""


def markdown(text: str) -> str:
    """The text for a cell or a paragraph of GitHub-flavoured Markdown, without markup of its own."""
    escaped = _MARKDOWN_SPECIAL.sub(lambda found: f"\\{found[0]}", display.visible(text))
    return escaped.translate(_HTML_IN_MARKDOWN)


def latex(text: str) -> str:
    """The text for a cell or a paragraph of LaTeX, without commands; a hyphen before a number becomes a minus."""
    escaped = _LATEX_DOUBLE.sub(r"\1{}", display.visible(text).translate(_LATEX))
    return _LATEX_MINUS.sub("$-$", escaped)


def html(text: str) -> str:
    """The text for the content of an HTML element or for an attribute in quotes."""
    return html_library.escape(display.visible(text))


def csv(value: Json) -> str:
    """The value for a CSV cell, before the writer quotes it: floats in full, and no text that is a formula."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else display.number(value)
    if isinstance(value, (bool, int)):
        return str(value)
    text = value if isinstance(value, str) else display.one_line(value)
    # Line breaks and tabs are data in CSV; other control characters could still reach a terminal.
    text = "".join(char if char in "\n\t" else display.visible(char) for char in text)
    return f"'{text}" if text.startswith(_STARTS_A_FORMULA) else text
