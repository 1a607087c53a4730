"""The words by which a command chooses experiments, the same as those of `ExperimentManager.find`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from runbook.cli.context import completed_by
from runbook.record.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    F = TypeVar("F", bound=Callable[..., Any])


class Filters(TypedDict):
    """What a command with `filters` gets."""

    status: tuple[str, ...]
    tag: tuple[str, ...]
    name: str | None
    since: str | None
    until: str | None


def filters(function: F) -> F:
    """Add the options that choose experiments."""
    options = (
        click.option(
            "--status", multiple=True, metavar="STATUS", type=click.Choice([status.value for status in Status]),
            help="Only those of this status: completed, failed, interrupted, running or unknown; may be repeated.",
        ),
        click.option("--tag", multiple=True, metavar="TAG", shell_complete=completed_by("tags"),
            help="Only those with this tag; repeated, with them all."),
        click.option("--name", metavar="PATTERN", shell_complete=completed_by("names"),
            help="Only those whose name fits a pattern such as 'baseline*'."),
        click.option("--since", metavar="WHEN", help="Only those started since: 45m, 3h, 2d, 1w, or a date or time."),
        click.option("--until", metavar="WHEN", help="Only those started before."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


where_argument = click.argument("where", required=False, metavar="[WHERE]")
"""An expression over the fields, such as `config.lr < 1e-4 and metrics.test_f1 > 0.8`."""
