"""The options and arguments that several commands share, and the completions of the shell for them.

The options that choose experiments are the arguments of `ExperimentManager.find`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from runbook.record.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    F = TypeVar("F", bound=Callable[..., Any])


class Filters(TypedDict):
    """The options that `filters` adds to a command."""

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


def removal_options(function: F) -> F:
    """Add the options of a command that deletes something."""
    options = (
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done."),
    )
    for option in reversed(options):
        function = option(function)
    return function


where_argument = click.argument("where", required=False, metavar="[WHERE]")
"""An expression over the fields, such as `config.lr < 1e-4 and metrics.test_f1 > 0.8`."""


def completed_by(source: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """A function that gives the completions of a parameter.

    Args:
        source: the name of a function in `runbook.cli.shell_completion`, which is imported only for a completion.
    """

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from runbook.cli import shell_completion

        items: list[CompletionItem] = getattr(shell_completion, source)(ctx, incomplete)
        return items

    return complete


def experiment_argument(
    name: str = "experiment", *, default: str | None = None, several: bool = False
) -> Callable[[F], F]:
    """A decorator that adds an argument for an experiment, or for several.

    Args:
        name: the name of the parameter.
        default: the value if the argument is missing; None if it must be given.
        several: whether any number may be given; the parameter is then a tuple.
    """
    complete = completed_by("experiments")
    if several:
        return click.argument(name, nargs=-1, metavar="[EXPERIMENT]...", shell_complete=complete)
    if default is None:
        return click.argument(name, metavar="EXPERIMENT", shell_complete=complete)
    return click.argument(name, default=default, metavar="[EXPERIMENT]", shell_complete=complete)
