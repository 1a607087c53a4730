"""`guide`: the pages that ship with runbook, for a machine without a network or a browser."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING, Final

import attrs
import click

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NothingFoundError, NotPossibleError, nearest_hint
from runbook.cli.options import completed_by

if TYPE_CHECKING:
    from collections.abc import Iterator

_ORDER: Final = (
    *("record", "query", "cli", "compare", "report", "maintain", "endings", "resume", "distributed", "secrets"),
    *("files", "promises", "costs", "legacy", "coming-from", "faq", "api"),
)
"""The order in which a newcomer reads the pages; a page that is not here comes after them."""

_COMMENT: Final = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)
_LINK_TO_PAGE: Final = re.compile(r"\[([^\]]+)\]\(([\w-]+)\.md(?:#[\w-]+)?\)")
_WIDEST: Final = 100
"""Longer lines of prose are hard to read, however wide the terminal is."""


@attrs.frozen
class Page:
    """One page of the guide.

    Args:
        topic: the name of its file, without the suffix.
        text: the page in Markdown.
    """

    topic: str
    text: str

    @property
    def summary(self) -> str:
        """What the page is about: the first line below its title."""
        return next((line for line in self.text.splitlines()[1:] if line.strip()), "")


@attrs.frozen
class FoundLine:
    """A line of a page that contains a word.

    Args:
        topic: the page.
        heading: the nearest heading above the line.
        line: the number of the line, from 1.
        text: the line.
    """

    topic: str
    heading: str
    line: int
    text: str


def topics() -> list[str]:
    """The topics of the guide, in the order in which a newcomer reads them."""
    pages = resources.files("runbook") / "guide"
    found = sorted(path.name.removesuffix(".md") for path in pages.iterdir() if path.name.endswith(".md"))
    return sorted(found, key=lambda topic: _ORDER.index(topic) if topic in _ORDER else len(_ORDER))


def load_page(topic: str) -> Page:
    """The page of a topic.

    Raises:
        NotPossibleError: if there is no such topic; the message names the nearest ones.
    """
    known = topics()
    if topic not in known:
        hint = nearest_hint(topic, known, "'runbook guide' lists them")
        raise NotPossibleError(f"the guide has no topic {topic!r}; {hint}")
    page = resources.files("runbook") / "guide" / f"{topic}.md"
    return Page(topic, page.read_text(encoding="utf-8"))


def find_lines(page: Page, word: str) -> Iterator[FoundLine]:
    """The lines of a page that contain a word, in upper or lower case."""
    heading, is_code = "", False
    for number, line in enumerate(page.text.splitlines(), start=1):
        if line.startswith("```"):
            is_code = not is_code
        elif line.startswith("#") and not is_code:
            heading = line.lstrip("#").strip()
        if word.casefold() in line.casefold() and not line.startswith("<!--"):
            yield FoundLine(page.topic, heading, number, line)


@command(
    "guide",
    json="an array of objects with topic and summary; for a TOPIC an object with topic and text; with --search an "
    "array of objects with topic, heading, line and text.",
    example="runbook guide\nrunbook guide query\nrunbook guide --search slurm\nrunbook guide files --search checksum",
    empty=[],
)
@click.argument("topic", required=False, shell_complete=completed_by("topics"))
@click.option("--search", "word", metavar="WORD", help="Find the lines that contain it, in all pages or in one.")
def guide(context: Context, topic: str | None, word: str | None) -> None:
    """Read the guide that ships with runbook.

    Without TOPIC it lists the topics.
    """
    if word is not None:
        _search(context, [topic] if topic else topics(), word)
    elif topic is not None:
        _print_page(context, load_page(topic))
    else:
        _print_topics(context)


def _print_topics(context: Context) -> None:
    pages = [load_page(topic) for topic in topics()]
    if context.as_json:
        context.print_json([{"topic": page.topic, "summary": page.summary} for page in pages])
        return
    width = max(len(page.topic) for page in pages)
    for page in pages:
        context.print(f"{page.topic:{width}}  {page.summary}")


def _print_page(context: Context, page: Page) -> None:
    if context.as_json:
        context.print_json({"topic": page.topic, "text": page.text})
    elif context.is_terminal:
        _print_rendered(context, page)
    else:
        context.write(page.text)


def _print_rendered(context: Context, page: Page) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    # A terminal cannot follow a link to a file; the command opens the same page.
    text = _LINK_TO_PAGE.sub(r"\1 (`runbook guide \2`)", _COMMENT.sub("", page.text))
    console = Console(
        width=min(context.width, _WIDEST),
        force_terminal=context.is_coloured,
        color_system="auto" if context.is_coloured else None,
    )
    console.print(Markdown(text, hyperlinks=False))


def _search(context: Context, among: list[str], word: str) -> None:
    if not word.strip():
        raise NotPossibleError("a search needs a word; 'runbook guide' lists the topics")
    found = [line for topic in among for line in find_lines(load_page(topic), word)]
    if not found:
        raise NothingFoundError(f"the guide has no line with {word!r}; 'runbook guide' lists the topics")
    if context.as_json:
        context.print_json([attrs.asdict(line) for line in found])
        return
    above = None
    for line in found:
        if (line.topic, line.heading) != above:
            if above is not None:
                context.print()
            title = f"{line.topic}: {line.heading}"
            context.print(click.style(title, bold=True) if context.is_coloured else title)
            above = line.topic, line.heading
        context.print(f"{line.line:5}  {line.text}")
