"""Errors as one line on stderr and an exit code."""

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
    """There is nothing to show; the message has the reason and what to do."""

    exit_code = NOTHING


class NotPossibleError(click.ClickException):
    """The command cannot do what its arguments ask for."""

    exit_code = USAGE


class NotWritableError(click.ClickException):
    """The base directory, or a folder in it, cannot be written to."""

    exit_code = DAMAGED


class ReaderGoneError(Exception):
    """The program that read the output has closed the pipe; click would treat a `BrokenPipeError` as a failure."""


class CtrlCError(Exception):
    """Somebody has pressed Ctrl-C; for a `KeyboardInterrupt` click would print an empty line, even into a file."""


def run_guarded(run: Callable[[], object]) -> int:
    """Run a command, print its error, and return the exit code.

    Args:
        run: the command; it returns its exit code, or None for 0.
    """
    _replace_unknown_characters()
    try:
        code = run()
        sys.stdout.flush()
    except (CtrlCError, KeyboardInterrupt, click.Abort):
        if sys.stderr.isatty():
            # The terminal has printed "^C", after which the prompt would stand on the same line.
            click.echo(err=True)
        return _CTRL_C
    except (BrokenPipeError, ReaderGoneError):
        # The rest of the buffer would raise again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except (click.ClickException, errors.RunbookError, OSError) as error:
        return _print_error(error)
    return code if isinstance(code, int) else 0


def _print_error(error: Exception) -> int:
    if not isinstance(error, click.ClickException):
        print_error_text(f"runbook: {message_of(error)}")
        return code_of(error)
    # click puts each choice of a missing argument on a line that begins with a tab.
    print_error_text(f"runbook: {message_of(error)}".replace("\n\t", " "))
    if isinstance(error, click.UsageError) and error.ctx is not None:
        print_error_text(f"{error.ctx.get_usage()}\n'{error.ctx.command_path} --help' explains it.")
    return error.exit_code


def not_writable(error: OSError, base: str) -> NotWritableError | None:
    """The error that the base directory is not writable, if that is the cause of a system error; else None.

    Args:
        error: the error of the system, with its path.
        base: the base directory as the user gave it.
    """
    if error.errno not in {errno.EROFS, errno.EACCES, errno.EPERM} or not isinstance(error.filename, str):
        return None
    path, root = Path(error.filename).resolve(), Path(base).resolve()
    if not path.is_relative_to(root):
        return None
    # Missing folders on the path would be made, so that the nearest existing one decides.
    folder = next((above for above in path.parents if above.exists()), root)
    is_read = path.exists() and not os.access(path, os.R_OK)
    if error.errno != errno.EROFS and (is_read or os.access(folder, os.W_OK)):
        return None
    is_all = error.errno == errno.EROFS or not os.access(root, os.W_OK)
    subject = f"the base directory {base}" if is_all else f"{folder}, a folder in the base directory {base},"
    return NotWritableError(
        f"{subject} cannot be written to ({error.strerror}); make it writable, or choose another base directory "
        "with --dir or RUNBOOK_DIR"
    )


def print_error_text(text: str) -> None:
    """Print text from anywhere on stderr, line by line, with escapes for control characters."""
    for line in text.splitlines():
        click.echo(visible(line), err=True)


def message_of(error: Exception) -> str:
    """The message of an error for the command line: its description and its hint."""
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, errors.RunbookError) and error.hint is not None:
        return f"{error.description}; {error.hint.at_terminal}"
    return str(error)


def code_of(error: Exception) -> int:
    """The exit code of an error."""
    if isinstance(error, click.ClickException):
        return error.exit_code
    if isinstance(error, errors.ExperimentNotFoundError):
        return NOTHING
    if isinstance(error, errors.DamagedFileError | errors.BundleError | errors.NewerFormatError):
        return DAMAGED
    # All others are errors of the system.
    return USAGE if isinstance(error, errors.RunbookError) else DAMAGED


def _replace_unknown_characters() -> None:
    """Print a question mark for each character that the encoding of stdout or stderr lacks."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
