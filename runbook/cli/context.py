"""What every command gets: the base directory, how to print, and what an experiment goes by."""

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
"""Nothing is cut or folded for a program that reads it."""


@attrs.define(slots=False)
class Context:
    """What a command knows beside its own arguments.

    Args:
        base_dir: as given by `--dir`; None for `RUNBOOK_DIR`, else `./experiments`.
        as_json: whether `--json` was given.
        colour: what `--color` or `--no-color` says; None when neither was given.
        empty: what `--json` prints where nothing is found.
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
        """The experiments of a base directory that is there; reading never makes one.

        Raises:
            NothingFoundError: if there is no base directory.
        """
        from pathlib import Path

        if not Path(self.shown_dir).exists():
            raise NothingFoundError(self.no_experiments())
        return self.writing_manager()

    def writing_manager(self) -> ExperimentManager:
        """The experiments of a base directory, which is made if it is missing."""
        from runbook.api.manager import ExperimentManager

        return ExperimentManager(self.shown_dir)

    @functools.cached_property
    def entries(self) -> list[dict[str, Any]]:
        """All experiments, as `list_experiments` gives them: oldest first."""
        return self.manager.list_experiments()

    def no_experiments(self) -> str:
        """That there are none, and what to do."""
        return f"no experiments in {self.shown_dir}; choose another place with --dir or RUNBOOK_DIR"

    def no_match(self) -> str:
        """That no experiment fits what was asked for, and what to do."""
        count = len(self.entries)
        if not count:
            return self.no_experiments()
        return f"none of the {count} experiments in {self.shown_dir} is like that; 'runbook ls -n 0' lists them all"

    def experiment(self, wanted: str) -> ExperimentView:
        """The experiment that a word on the command line stands for.

        Raises:
            NothingFoundError: if there is none at all.
            ExperimentNotFoundError: if none goes by it.
            AmbiguousExperimentError: if several ids begin with it.
        """
        try:
            return self.manager.get_experiment(wanted)
        except errors.ExperimentNotFoundError as error:
            if not self.entries:
                raise NothingFoundError(self.no_experiments()) from error
            raise

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at it, and no program reads it."""
        return sys.stdout.isatty()

    @property
    def width(self) -> int:
        """How many columns there are to print in."""
        if not self.is_terminal:
            return _WIDTH_IN_A_PIPE
        import shutil

        return shutil.get_terminal_size((80, 24)).columns

    @property
    def is_coloured(self) -> bool:
        """Whether to print in colours: on a terminal that wants them, unless an option says otherwise."""
        from runbook.render import colours

        return colours.are_wanted(sys.stdout) if self.colour is None else self.colour

    @property
    def is_unicode(self) -> bool:
        """Whether more than ASCII can be printed."""
        import os

        # Python writes UTF-8 in the locale C as well (PEP 540); who asks for that locale by LC_ALL wants ASCII.
        is_c = os.environ.get("LC_ALL") in {"C", "POSIX"}
        is_told = os.environ.get("PYTHONIOENCODING") or os.environ.get("PYTHONUTF8")
        return "utf" in (sys.stdout.encoding or "").lower() and (not is_c or bool(is_told))

    def print(self, text: str = "") -> None:
        """Print text of our own making; what is from users has gone through `visible` before."""
        self.write(f"{text}\n")

    def write(self, text: str) -> None:
        """Print text that brings its own line ends."""
        sys.stdout.write(display.encodable(text, sys.stdout.encoding))

    def title(self, text: str) -> str:
        """A title as tables have it: in bold type where there are colours."""
        from runbook.render import colours

        return colours.paint(text, colours.BOLD) if self.is_coloured else text

    def write_lines(self, lines: Iterable[str]) -> None:
        """Print many lines at once."""
        self.write("".join(f"{line}\n" for line in lines))

    def print_json(self, data: object) -> None:
        """Print one JSON document; non-finite floats are strings, as in the files."""
        from runbook.serialize.jsonable import to_jsonable

        print_json(to_jsonable(data), is_unicode=self.is_unicode)

    def print_json_text(self, text: str) -> None:
        """Print JSON that is text already."""
        print_json(json.loads(text), is_unicode=self.is_unicode)

    def print_path(self, path: Path) -> None:
        """Print a path byte for byte, for another program."""
        import os

        click.echo(os.fsencode(path))


_NOT_VISIBLE: Final = re.compile(r"[^\x20-\x7e\n]")


def print_json(plain: Json, *, is_unicode: bool) -> None:
    """Print plain data as JSON in which nothing can control a terminal."""
    text = json.dumps(plain, ensure_ascii=not is_unicode, allow_nan=False, indent=2)
    # Outside of strings JSON is all ASCII, and in a string every character may be an escape.
    sys.stdout.write(_NOT_VISIBLE.sub(lambda found: _escaped(found[0]), text) + "\n")


def _escaped(char: str) -> str:
    return char if visible(char) == char else json.dumps(char)[1:-1]


def _set(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        # Given before the verb or after it; what is not given says nothing.
        if value is not None:
            setattr(ctx.ensure_object(Context), field, value)

    return callback


def global_options(function: F) -> F:
    """The options that are understood before the verb and after it."""
    options = (
        click.option(
            "--dir",
            metavar="DIR",
            expose_value=False,
            callback=_set("base_dir"),
            type=click.Path(file_okay=False),
            help="The base directory; by default RUNBOOK_DIR, else ./experiments.",
        ),
        click.option(
            "--json",
            is_flag=True,
            default=None,
            expose_value=False,
            callback=_set("as_json"),
            help="Print JSON.",
        ),
        click.option(
            "--color/--no-color",
            default=None,
            expose_value=False,
            callback=_set("colour"),
            help="Colours; by default on a terminal, unless NO_COLOR is set.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def command(
    name: str, *, json: str, example: str, empty: object = None
) -> Callable[[Callable[Concatenate[Context, P], int | None]], click.Command]:
    """Make a command of a function that takes the `Context` first and gives the exit code, None for 0.

    Args:
        name: what it is called.
        json: the shape of what it prints with `--json`, for its help.
        example: one or more lines that can be typed, for its help.
        empty: what it prints with `--json` where nothing is found: [] in the place of an array.
    """

    def decorate(function: Callable[Concatenate[Context, P], int | None]) -> click.Command:
        lines = "\n".join(f"  {line}" for line in example.splitlines())
        # "\b" keeps click from joining lines.
        epilog = f"With --json: {json}\n\n\b\nExample:\n{lines}"

        @functools.wraps(function)
        def called(context: Context, *args: P.args, **kwargs: P.kwargs) -> int | None:
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

        made = click.command(name, epilog=epilog)(click.make_pass_decorator(Context, ensure=True)(called))
        # Last in the help: they are the same everywhere.
        made.params += click.command("shared")(global_options(lambda: None)).params
        return made

    return decorate
