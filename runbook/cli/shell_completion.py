"""Completions for the shell, from the base directory; errors give no completions and print nothing."""

from __future__ import annotations

import contextlib
import logging
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from click.shell_completion import CompletionItem

from runbook import display
from runbook.cli.context import Context
from runbook.query.fields import OWN
from runbook.record import identifiers
from runbook.serialize.flatten import flatten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import click

    Entry = dict[str, Any]

_OFFERED: Final = 200


def experiments(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Names and ids, newest first, each with status and metrics."""

    def offered(entries: list[Entry]) -> Iterator[tuple[str, str]]:
        yield identifiers.LATEST, "the newest"
        if incomplete.startswith("@"):
            yield from ((f"@{position}", entry["experiment_id"]) for position, entry in enumerate(entries, start=1))
        described = {entry["experiment_id"]: _describe(entry) for entry in entries}
        # A name stands for its latest experiment.
        names = {entry["custom_name"]: entry for entry in reversed(entries) if entry["custom_name"]}
        yield from ((name, described[entry["experiment_id"]]) for name, entry in names.items())
        yield from described.items()

    return _select_items(ctx, incomplete, offered)


def metrics(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """The names of final metrics."""
    return _select_items(
        ctx, incomplete, lambda entries: ((name, "") for entry in entries for name in entry["metrics"])
    )


def tags(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """The tags of experiments."""
    return _select_items(ctx, incomplete, lambda entries: ((tag, "") for entry in entries for tag in entry["tags"]))


def names(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """The names of experiments."""
    return _select_items(ctx, incomplete, lambda entries: ((entry["custom_name"] or "", "") for entry in entries))


def fields(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """The names of fields; in a list with commas it completes the last one."""
    before, comma, last = incomplete.rpartition(",")
    sign = "-" if last.startswith("-") else ""

    def offered(entries: list[Entry]) -> Iterator[tuple[str, str]]:
        own = (name for name in OWN if name not in {"config", "metrics"})
        recorded = (
            f"{section}.{name}"
            for entry in entries
            for section in ("config", "metrics")
            for name in flatten(entry[section])
        )
        yield from ((f"{before}{comma}{sign}{name}", "") for name in (*own, *dict.fromkeys(recorded)))

    return _select_items(ctx, incomplete, offered)


def topics(ctx: click.Context, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001 - as click has it
    """The topics of the guide, each with the summary of its page."""
    from runbook.cli import guide_pages

    return [
        CompletionItem(topic, help=guide_pages.load_page(topic).summary)
        for topic in guide_pages.list_topics()
        if topic.startswith(incomplete)
    ]


def _describe(entry: Entry) -> str:
    parts = [
        str(entry["status"]),
        *(f"{name}={display.one_line(value)}" for name, value in islice(entry["metrics"].items(), 2)),
    ]
    return display.visible(" ".join(parts))


def _select_items(
    ctx: click.Context, incomplete: str, offered: Callable[[list[Entry]], Iterable[tuple[str, str]]]
) -> list[CompletionItem]:
    """The values that begin with the typed text, each once."""
    # A warning would appear within the line that is being typed.
    logging.getLogger("runbook").disabled = True
    found: dict[str, CompletionItem] = {}
    # An error of the base directory must not disturb the line that is being typed.
    with contextlib.suppress(Exception):
        context = ctx.find_object(Context) or Context()
        for value, description in offered(context.entries[::-1]):
            # Control characters would break the line, and cannot be typed.
            if value.startswith(incomplete) and value not in found and display.visible(value) == value:
                found[value] = CompletionItem(value, help=description or None)
            if len(found) >= _OFFERED:
                break
    return list(found.values())
