"""The command `runbook`: one module a verb, imported when it is called."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from runbook import __version__, hints
from runbook.cli import exit_codes
from runbook.cli.context import Context, global_options

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECTIONS: Final = {
    "Read": ("ls", "show", "compare", "diff", "best", "why", "history", "watch", "path", "open", "report"),
    "Write": ("note", "tag", "end"),
    "Move": ("export", "import", "merge"),
    "Tidy up": ("rm", "restore", "gc", "doctor", "repair"),
    "Help": ("guide", "completion"),
}
"""The verbs. Each is a module in `runbook.cli.commands`, and a function in it."""

_VERBS: Final = tuple(verb for verbs in _SECTIONS.values() for verb in verbs)

_TAKEN: Final = {"import", "open"}
"""Verbs that are names of Python itself: their modules and functions end in an underscore."""

_MARGINS: Final = 4
"""The columns before and after a command in the help."""

COMPLETE_VARIABLE: Final = "_RUNBOOK_COMPLETE"
"""The environment variable by which the shell asks click for completions."""

_ELSEWHERE: Final = {
    **dict.fromkeys(["list", "find", "search", "query", "status"], "ls"),
    **dict.fromkeys(["info", "view", "get", "cat"], "show"),
    **dict.fromkeys(["plot", "curve", "log", "metrics"], "history"),
    **dict.fromkeys(["top", "ps", "tail", "follow"], "watch"),
    **dict.fromkeys(["delete", "remove", "del"], "rm"),
    **dict.fromkeys(["undo", "undelete"], "restore"),
    **dict.fromkeys(["clean", "prune", "purge"], "gc"),
    **dict.fromkeys(["check", "fsck"], "doctor"),
    "fix": "repair",
    **dict.fromkeys(["docs", "doc", "man", "manual"], "guide"),
    "cd": "path",
    "help": "--help",
}
"""Words of other programs for our verbs, which are spelt too differently for a suggestion."""


class _LazyGroup(click.Group):
    """A group that imports a command only when it is called or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click has it
        """All names, in the order of the help."""
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as click has it
        """The command of that name."""
        if cmd_name not in _VERBS:
            return None
        name = f"{cmd_name}_" if cmd_name in _TAKEN else cmd_name
        command: click.Command = getattr(importlib.import_module(f"runbook.cli.commands.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is called, or an error with the nearest ones."""
        if args and args[0] not in _VERBS and not args[0].startswith("-") and not ctx.resilient_parsing:
            help_ = f"'{ctx.command_path} --help' lists them"
            meant = _ELSEWHERE.get(args[0])
            hint = hints.ask_for([meant]) if meant else hints.suggest(args[0], _VERBS, help_)
            ctx.fail(f"there is no command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section."""
        width = max(map(len, _VERBS))
        for title, names in _SECTIONS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (f"{name:{width}}", command.get_short_help_str(formatter.width - width - _MARGINS))
                        for name, command in commands
                        if command is not None
                    ]
                )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that is called."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise exit_codes.ReaderGoneError from error
        except KeyboardInterrupt as error:
            raise exit_codes.CtrlCError from error

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> Any:  # type: ignore[override]
        """Run a command and exit with its code."""
        # click would derive the name from that of the program, which may differ.
        extra.setdefault("complete_var", COMPLETE_VARIABLE)
        if not extra.pop("standalone_mode", True):
            return super().main(args, prog_name, standalone_mode=False, **extra)
        sys.exit(
            exit_codes.run_guarded(
                lambda: super(_LazyGroup, self).main(args, prog_name, standalone_mode=False, **extra)
            )
        )


@click.group(
    cls=_LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\
An experiment goes by its id, the beginning of its id, its name (the latest of that name), `latest`, @1 (the newest),
@2 and so on, or the path of its folder.

\b
Exit codes:
  0  found, done, no difference
  1  nothing found, or a difference
  2  called in a way that cannot be done
  3  something on the disk is damaged or cannot be used
  130, 141  ended by Ctrl-C, or because nobody reads the output any more

With --json, where nothing is found, stdout has [] in the place of an array and null in the place of an object.

\b
Example:
  runbook ls --since 2d --status failed
  runbook why latest
  cd $(runbook path latest)
""",
)
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
@global_options
@click.pass_context
def main(ctx: click.Context) -> None:
    """The record of machine-learning experiments in plain files."""
    ctx.ensure_object(Context)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
