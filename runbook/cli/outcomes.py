"""The results of a command for several experiments, and questions before something is deleted."""

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
    """The results for several arguments, of which each is tried: errors are printed and determine the exit code.

    Args:
        failed: the arguments that failed, each with its error, for `--json`.
        code: the worst exit code so far.
    """

    failed: list[dict[str, str]] = attrs.field(factory=list)
    code: int = 0

    @contextlib.contextmanager
    def each(self, given: str) -> Iterator[None]:
        """A block for one argument, whose error is printed and kept.

        Args:
            given: the argument as it was given on the command line.
        """
        try:
            yield
        except BrokenPipeError:
            # The reader of the output is gone, which is no failure of this argument.
            raise
        except (click.ClickException, errors.RunbookError, OSError) as problem:
            error: Exception = problem
            if isinstance(problem, OSError):
                shown_dir = click.get_current_context().obj.shown_dir
                error = exit_codes.not_writable(problem, shown_dir) or problem
            message = exit_codes.message_of(error)
            exit_codes.print_error_text(f"runbook: {message}")
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


def check_given(given: tuple[str, ...], missing: str) -> None:
    """Refuse a command without arguments.

    Raises:
        UsageError: if no argument is given.
    """
    if not given:
        raise click.UsageError(f"name {missing}", click.get_current_context(silent=True))


def confirm(action: str, listed: Iterable[str], *, is_agreed: bool) -> bool:
    """Ask whether to delete something; True for yes.

    Args:
        action: what would be done, as harmless text that begins with a verb.
        listed: what would be deleted, one a line, as any text.
        is_agreed: whether `--yes` was given, so that nobody is asked.

    Raises:
        NotPossibleError: if the input is no terminal.
    """
    if is_agreed:
        return True
    for line in listed:
        click.echo(f"  {visible(line)}", err=True)
    if not sys.stdin.isatty():
        raise exit_codes.NotPossibleError(f"nothing was done: there is nobody to ask whether to {action}; pass --yes")
    return click.confirm(f"{action[0].upper()}{action[1:]}?", err=True)


def format_size(count: int) -> str:
    """A number of bytes in a readable unit."""
    amount, unit = float(count), 0
    while amount >= _KIB and unit < len(_UNITS) - 1:
        amount, unit = amount / _KIB, unit + 1
    return f"{count} bytes" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def format_count(count: int, noun: str = "experiment") -> str:
    """A number with a noun in the singular or the plural.

    Example:
        >>> format_count(1), format_count(2)
        ('1 experiment', '2 experiments')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def fields_of(view: ExperimentView) -> dict[str, Any]:
    """The fields of an experiment that every list of a command has."""
    return {"experiment_id": view.id, "custom_name": view.name, "status": view.status.value}
