"""The context of every command: the base directory, how to print, and how to find an experiment."""

from __future__ import annotations

import functools
import json
import re
import sys
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

import attrs
import click

from runbook import display, errors
from runbook.cli.exit_codes import NothingFoundError, not_writable
from runbook.display import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from runbook.api.manager import ExperimentManager
    from runbook.read.view import ExperimentView
    from runbook.typing import Json

    P = ParamSpec("P")
    F = TypeVar("F", bound="Callable[..., Any]")

_WIDTH_IN_A_PIPE: Final = 10**9
"""Wide enough that nothing is cut or folded for a program that reads the output."""


@attrs.define(slots=False)
class Context:
    """The options that all commands share, and what follows from them.

    Args:
        base_dir: the value of `--dir`; None for `RUNBOOK_DIR`, else `./experiments`.
        as_json: whether `--json` was given.
        colour: True for `--color`, False for `--no-color`, None if neither was given.
        empty: the data that `--json` prints if nothing is found.
    """

    base_dir: str | None = None
    as_json: bool = False
    colour: bool | None = None
    empty: object = None

    @functools.cached_property
    def shown_dir(self) -> str:
        """The base directory as it was given."""
        from runbook import environ

        return environ.base_dir(self.base_dir)

    @functools.cached_property
    def manager(self) -> ExperimentManager:
        """The manager of an existing base directory; a command that only reads never makes one.

        Raises:
            NothingFoundError: if there is no base directory.
        """
        from pathlib import Path

        if not Path(self.shown_dir).exists():
            raise NothingFoundError(self.no_experiments())
        return self.writing_manager()

    def writing_manager(self) -> ExperimentManager:
        """The manager of the base directory, which is made if it is missing."""
        from runbook.api.manager import ExperimentManager

        return ExperimentManager(self.shown_dir)

    @functools.cached_property
    def entries(self) -> list[dict[str, Any]]:
        """All experiments from `list_experiments`, oldest first."""
        return self.manager.list_experiments()

    def no_experiments(self) -> str:
        """The message that there are no experiments, and what to do."""
        return f"no experiments in {self.shown_dir}; choose another base directory with --dir or RUNBOOK_DIR"

    def no_match(self) -> str:
        """The message that no experiment matches, and what to do."""
        count = len(self.entries)
        if not count:
            return self.no_experiments()
        return f"none of the {count} experiments in {self.shown_dir} is like that; 'runbook ls -n 0' lists them all"

    def experiment(self, wanted: str) -> ExperimentView:
        """The experiment that a word on the command line stands for.

        Raises:
            NothingFoundError: if there are no experiments.
            ExperimentNotFoundError: if the word stands for none of them.
            AmbiguousExperimentError: if several ids begin with the word.
        """
        try:
            return self.manager.get_experiment(wanted)
        except errors.ExperimentNotFoundError as error:
            if not self.entries:
                raise NothingFoundError(self.no_experiments()) from error
            raise

    @property
    def is_terminal(self) -> bool:
        """Whether the output goes to a terminal, not to a file or a program."""
        return sys.stdout.isatty()

    @property
    def width(self) -> int:
        """The width of the output in columns."""
        if not self.is_terminal:
            return _WIDTH_IN_A_PIPE
        import shutil

        return shutil.get_terminal_size((80, 24)).columns

    @property
    def is_coloured(self) -> bool:
        """Whether to print in colours: by the option, else on a terminal for which `NO_COLOR` is not set."""
        from runbook.render import colours

        return colours.are_wanted(sys.stdout) if self.colour is None else self.colour

    @property
    def is_unicode(self) -> bool:
        """Whether the output can hold more than ASCII."""
        import os

        # Python writes UTF-8 also in the locale C (PEP 540), but people who set LC_ALL to it want ASCII.
        is_c = os.environ.get("LC_ALL") in {"C", "POSIX"}
        is_encoding_set = os.environ.get("PYTHONIOENCODING") or os.environ.get("PYTHONUTF8")
        return "utf" in (sys.stdout.encoding or "").lower() and (not is_c or bool(is_encoding_set))

    def print(self, text: str = "") -> None:
        """Print a line; text from users must have gone through `visible`."""
        self.write(f"{text}\n")

    def write(self, text: str) -> None:
        """Print text that has its own line ends."""
        sys.stdout.write(display.encodable(text, sys.stdout.encoding))

    def title(self, text: str) -> str:
        """A title in the style of table titles: in bold type if colours are on."""
        from runbook.render import colours

        return colours.paint(text, colours.BOLD) if self.is_coloured else text

    def write_lines(self, lines: Iterable[str]) -> None:
        """Print lines with one call, which is quicker than one call a line."""
        self.write("".join(f"{line}\n" for line in lines))

    def print_json(self, data: object) -> None:
        """Print one JSON document; non-finite floats are strings, as in the files."""
        from runbook.serialize.jsonable import to_jsonable

        print_json(to_jsonable(data), is_unicode=self.is_unicode)

    def print_json_text(self, text: str) -> None:
        """Print a JSON document that is already encoded."""
        print_json(json.loads(text), is_unicode=self.is_unicode)

    def print_path(self, path: Path) -> None:
        """Print a path byte for byte, for another program."""
        import os

        click.echo(os.fsencode(path))


_NOT_VISIBLE: Final = re.compile(r"[^\x20-\x7e\n]")


def print_json(data: Json, *, is_unicode: bool) -> None:
    """Print JSON-compatible data as JSON in which no character can control a terminal."""
    text = json.dumps(data, ensure_ascii=not is_unicode, allow_nan=False, indent=2)
    # Such characters are only in strings, where JSON allows an escape for each.
    sys.stdout.write(_NOT_VISIBLE.sub(lambda found: _escape(found[0]), text) + "\n")


def _escape(char: str) -> str:
    return char if visible(char) == char else json.dumps(char)[1:-1]


def _make_callback(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        # An option may stand before the verb or after it; where it is absent, it must not reset the value.
        if value is not None:
            setattr(ctx.ensure_object(Context), field, value)

    return callback


def global_options(function: F) -> F:
    """Add the options that may stand before the verb and after it."""
    options = (
        click.option(
            "--dir",
            metavar="DIR",
            expose_value=False,
            callback=_make_callback("base_dir"),
            type=click.Path(file_okay=False),
            help="The base directory; by default RUNBOOK_DIR, else ./experiments.",
        ),
        click.option(
            "--json",
            is_flag=True,
            default=None,
            expose_value=False,
            callback=_make_callback("as_json"),
            help="Print JSON.",
        ),
        click.option(
            "--color/--no-color",
            default=None,
            expose_value=False,
            callback=_make_callback("colour"),
            help="Colours; by default on a terminal, unless NO_COLOR is set.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def command(
    name: str, *, json: str, example: str, empty: object = None
) -> Callable[[Callable[Concatenate[Context, P], int | None]], click.Command]:
    """A decorator that makes a command of a function.

    The function takes the `Context` first and returns the exit code, None for 0.

    Args:
        name: the name of the command.
        json: the shape of its output with `--json`, for its help.
        example: one or more lines that can be typed, for its help.
        empty: the data that `--json` prints if nothing is found: [] instead of an array.
    """

    def decorate(function: Callable[Concatenate[Context, P], int | None]) -> click.Command:
        lines = "\n".join(f"  {line}" for line in example.splitlines())
        # "\b" keeps click from joining lines.
        epilog = f"With --json: {json}\n\n\b\nExample:\n{lines}"

        @functools.wraps(function)
        def run(context: Context, *args: P.args, **kwargs: P.kwargs) -> int | None:
            context.empty = empty
            try:
                return function(context, *args, **kwargs)
            except (NothingFoundError, errors.ExperimentNotFoundError):
                if context.as_json:
                    context.print_json(context.empty)
                raise
            except OSError as error:
                if refused := not_writable(error, context.shown_dir):
                    raise refused from error
                raise

        made = click.command(name, epilog=epilog)(click.make_pass_decorator(Context, ensure=True)(run))
        # The shared options come last in the help.
        made.params += click.command("shared")(global_options(lambda: None)).params
        return made

    return decorate
