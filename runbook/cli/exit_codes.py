"""What went wrong, as one line on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from runbook import errors
from runbook.display import visible

if TYPE_CHECKING:
    from collections.abc import Callable

NOTHING: Final = 1
DIFFERENT: Final = 1
USAGE: Final = 2
DAMAGED: Final = 3
_CTRL_C: Final = 130
_BROKEN_PIPE: Final = 141


class NothingFoundError(click.ClickException):
    """There is nothing to show; the message tells why, and what to do."""

    exit_code = NOTHING


class NotPossibleError(click.ClickException):
    """What was asked for cannot be done like this."""

    exit_code = USAGE


class NotWritableError(click.ClickException):
    """The base directory, or a folder in it, cannot be written to."""

    exit_code = DAMAGED


class ReaderGoneError(Exception):
    """The program that read our output has seen enough; click would take a `BrokenPipeError` for a failure."""


class CtrlCError(Exception):
    """Somebody has pressed Ctrl-C; click would print an empty line for a `KeyboardInterrupt`, into a file as well."""


def guarded(run: Callable[[], object]) -> int:
    """Run a command; the exit code, after its error has been said.

    Args:
        run: gives the exit code of the command, or None for 0.
    """
    _speak_plainly()
    try:
        code = run()
        sys.stdout.flush()
    except (CtrlCError, KeyboardInterrupt, click.Abort):
        if sys.stderr.isatty():
            # The terminal has put "^C" where the prompt would begin.
            click.echo(err=True)
        return _CTRL_C
    except (BrokenPipeError, ReaderGoneError):
        # The reader of the pipe has seen enough. What is still in the buffer would fail again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except (click.ClickException, errors.RunbookError, OSError) as error:
        return _explained(error)
    return code if isinstance(code, int) else 0


def _explained(error: Exception) -> int:
    if not isinstance(error, click.ClickException):
        say(f"runbook: {message_of(error)}")
        return code_of(error)
    # click sets the choices of a missing argument out by lines and tabs.
    say(f"runbook: {message_of(error)}".replace("\n\t", " "))
    if isinstance(error, click.UsageError) and error.ctx is not None:
        say(f"{error.ctx.get_usage()}\n'{error.ctx.command_path} --help' explains it.")
    return error.exit_code


def not_writable(error: OSError, base: str) -> NotWritableError | None:
    """What the system refused in words, where it is that a base directory cannot be written to; None for all else.

    Args:
        error: of the system, with the path that it is about.
        base: the base directory as it was given.
    """
    if error.errno not in {errno.EROFS, errno.EACCES, errno.EPERM} or not isinstance(error.filename, str):
        return None
    path, root = Path(error.filename).resolve(), Path(base).resolve()
    if not path.is_relative_to(root):
        return None
    # Folders of ours that are missing are made on the way.
    folder = next((above for above in path.parents if above.exists()), root)
    is_read = path.exists() and not os.access(path, os.R_OK)
    if error.errno != errno.EROFS and (is_read or os.access(folder, os.W_OK)):
        return None
    is_all = error.errno == errno.EROFS or not os.access(root, os.W_OK)
    what = f"the base directory {base}" if is_all else f"{folder}, a folder in the base directory {base},"
    return NotWritableError(
        f"{what} cannot be written to ({error.strerror}); make it writable, or choose another place with --dir or "
        "RUNBOOK_DIR"
    )


def say(text: str) -> None:
    """Print on stderr, line by line, what may hold anything."""
    for line in text.splitlines():
        click.echo(visible(line), err=True)


def message_of(error: Exception) -> str:
    """The message of an error for somebody at a terminal: what was found, and the hint for the command line."""
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, errors.RunbookError) and error.hint is not None:
        return f"{error.description}; {error.hint.at_terminal}"
    return str(error)


def code_of(error: Exception) -> int:
    """The exit code that an error stands for."""
    if isinstance(error, click.ClickException):
        return error.exit_code
    if isinstance(error, errors.ExperimentNotFoundError):
        return NOTHING
    if isinstance(error, errors.DamagedFileError | errors.BundleError | errors.NewerFormatError):
        return DAMAGED
    # What the system refused, as opposed to what we refuse.
    return USAGE if isinstance(error, errors.RunbookError) else DAMAGED


def _speak_plainly() -> None:
    """Make every character that the terminal or the pipe does not know a question mark, and warnings harmless."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
