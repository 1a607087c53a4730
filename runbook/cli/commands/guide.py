"""`guide`: the pages that ship with runbook, for a machine without a network or a browser."""

from __future__ import annotations

import re
from typing import Final

import attrs
import click

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NothingFoundError, NotPossibleError
from runbook.cli.guide_pages import Page, find_lines, list_topics, load_page
from runbook.cli.options import completed_by

_COMMENT: Final = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)
_LINK_TO_PAGE: Final = re.compile(r"\[([^\]]+)\]\(([\w-]+)\.md(?:#[\w-]+)?\)")
_WIDEST: Final = 100
"""Longer lines of prose are hard to read, however wide the terminal is."""


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
        _print_found(context, [topic] if topic else list_topics(), word)
    elif topic is not None:
        _print_page(context, load_page(topic))
    else:
        _print_topics(context)


def _print_topics(context: Context) -> None:
    pages = [load_page(topic) for topic in list_topics()]
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


def _print_found(context: Context, among: list[str], word: str) -> None:
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
