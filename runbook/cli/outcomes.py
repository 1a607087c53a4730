"""What becomes of several things done one after the other, and asking before something is taken away."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final

import attrs
import click

from runbook import errors
from runbook.cli import exit_codes
from runbook.display import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from runbook.cli.context import Context
    from runbook.read.view import ExperimentView

_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")
_KIB: Final = 1024


@attrs.define
class Outcomes:
    """Of several things, each is tried: what fails is said, and the exit code tells.

    Args:
        failed: for the JSON: what was given, and why it failed.
        code: the worst exit code so far.
    """

    failed: list[dict[str, str]] = attrs.field(factory=list)
    code: int = 0

    @contextlib.contextmanager
    def each(self, given: str) -> Iterator[None]:
        """A block for one of them.

        Args:
            given: as it was given on the command line.
        """
        try:
            yield
        except BrokenPipeError:
            # Nobody reads what is printed any more, which is no failure of this one.
            raise
        except (click.ClickException, errors.RunbookError, OSError) as problem:
            error: Exception = problem
            if isinstance(problem, OSError):
                shown_dir = click.get_current_context().obj.shown_dir
                error = exit_codes.not_writable(problem, shown_dir) or problem
            message = exit_codes.message_of(error)
            exit_codes.say(f"runbook: {message}")
            self.failed.append({"given": given, "error": message})
            self.code = max(self.code, exit_codes.code_of(error))

    def experiments(self, context: Context, given: Iterable[str]) -> list[ExperimentView]:
        """The experiments that some words stand for, each once, all of them looked up before any is changed."""
        found: dict[str, ExperimentView] = {}
        for wanted in given:
            with self.each(wanted):
                view = context.experiment(wanted)
                found[view.id] = view
        return list(found.values())


def required(given: tuple[str, ...], what: str) -> None:
    """Refuse a command that was given nothing to work on.

    Raises:
        UsageError: if there is nothing.
    """
    if not given:
        raise click.UsageError(f"name {what}", click.get_current_context(silent=True))


def confirm(action: str, listed: Iterable[str], *, is_agreed: bool) -> bool:
    """Whether to go on with taking something away.

    Args:
        action: what would be done, in harmless text that begins with a verb.
        listed: what would go, a line each; may hold anything.
        is_agreed: whether `--yes` was given; then nobody is asked.

    Raises:
        NotPossibleError: if there is nobody to ask.
    """
    if is_agreed:
        return True
    for line in listed:
        click.echo(f"  {visible(line)}", err=True)
    if not sys.stdin.isatty():
        raise exit_codes.NotPossibleError(f"nothing was done: there is nobody to ask whether to {action}; pass --yes")
    return click.confirm(f"{action[0].upper()}{action[1:]}?", err=True)


def size(count: int) -> str:
    """A number of bytes in the unit that suits it."""
    amount, unit = float(count), 0
    while amount >= _KIB and unit < len(_UNITS) - 1:
        amount, unit = amount / _KIB, unit + 1
    return f"{count} bytes" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def counted(count: int, noun: str = "experiment") -> str:
    """A number of things in words.

    Example:
        >>> counted(1), counted(2)
        ('1 experiment', '2 experiments')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def fields_of(view: ExperimentView) -> dict[str, Any]:
    """What every list here says of an experiment."""
    return {"experiment_id": view.id, "custom_name": view.name, "status": view.status.value}
