"""The pages of the guide, which ship with the package: their order, their text, and the lines that contain a word."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final

import attrs

from runbook.cli.exit_codes import NotPossibleError
from runbook.hints import suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDER: Final = (
    *("record", "query", "cli", "compare", "report", "maintain", "endings", "resume", "distributed", "secrets"),
    *("files", "promises", "costs", "legacy", "coming-from", "faq", "api"),
)
"""The order in which a newcomer reads the pages; a page that is not here comes after them."""


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


def list_topics() -> list[str]:
    """The topics of the guide, in the order in which a newcomer reads them."""
    pages = resources.files("runbook") / "guide"
    found = sorted(path.name.removesuffix(".md") for path in pages.iterdir() if path.name.endswith(".md"))
    return sorted(found, key=lambda topic: ORDER.index(topic) if topic in ORDER else len(ORDER))


def load_page(topic: str) -> Page:
    """The page of a topic.

    Raises:
        NotPossibleError: if there is no such topic; the message names the nearest ones.
    """
    known = list_topics()
    if topic not in known:
        hint = suggest(topic, known, "'runbook guide' lists them")
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
