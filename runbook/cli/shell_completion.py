"""What the shell offers: what is on record in the base directory. It is silent, whatever goes wrong."""

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
    """Names and ids, the newest first, described by what became of them."""

    def offered(entries: list[Entry]) -> Iterator[tuple[str, str]]:
        yield identifiers.LATEST, "the newest"
        if incomplete.startswith("@"):
            yield from ((f"@{place}", entry["experiment_id"]) for place, entry in enumerate(entries, start=1))
        described = {entry["experiment_id"]: _description(entry) for entry in entries}
        # By a name its latest is meant.
        names = {entry["custom_name"]: entry for entry in reversed(entries) if entry["custom_name"]}
        yield from ((name, described[entry["experiment_id"]]) for name, entry in names.items())
        yield from described.items()

    return _items(ctx, incomplete, offered)


def metrics(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """The names of final metrics."""
    return _items(ctx, incomplete, lambda entries: ((name, "") for entry in entries for name in entry["metrics"]))


def tags(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Tags."""
    return _items(ctx, incomplete, lambda entries: ((tag, "") for entry in entries for tag in entry["tags"]))


def names(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Names of experiments."""
    return _items(ctx, incomplete, lambda entries: ((entry["custom_name"] or "", "") for entry in entries))


def fields(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Fields; of several with commas between them, the last."""
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

    return _items(ctx, incomplete, offered)


def topics(ctx: click.Context, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001 - as click has it
    """The topics of the guide, each with what its page is about."""
    from runbook.cli import guide_pages

    return [
        CompletionItem(topic, help=guide_pages.load_page(topic).summary)
        for topic in guide_pages.topics()
        if topic.startswith(incomplete)
    ]


def _description(entry: Entry) -> str:
    parts = [
        str(entry["status"]),
        *(f"{name}={display.one_line(value)}" for name, value in islice(entry["metrics"].items(), 2)),
    ]
    return display.visible(" ".join(parts))


def _items(
    ctx: click.Context, incomplete: str, offered: Callable[[list[Entry]], Iterable[tuple[str, str]]]
) -> list[CompletionItem]:
    """What begins with what was typed, each once."""
    # A warning would end up in the midst of what is being typed.
    logging.getLogger("runbook").disabled = True
    found: dict[str, CompletionItem] = {}
    # Whatever is wrong with the base directory, the person at the keyboard has asked for something else.
    with contextlib.suppress(Exception):
        context = ctx.find_object(Context) or Context()
        for value, description in offered(context.entries[::-1]):
            # What would break the line of the shell cannot be typed either.
            if value.startswith(incomplete) and value not in found and display.visible(value) == value:
                found[value] = CompletionItem(value, help=description or None)
            if len(found) >= _OFFERED:
                break
    return list(found.values())
