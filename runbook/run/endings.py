"""How an experiment ended: the ending that an exception or a signal means."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from runbook.record.model import Failure
from runbook.record.status import EndReason, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_SIGNAL_BASE: Final = 128
_MESSAGE_LENGTH: Final = 10_000
_TRACEBACK_LENGTH: Final = 100_000
_OWN_FOLDER: Final = str(Path(__file__).parents[1]) + os.sep


@attrs.frozen
class Ending:
    """What became of an experiment, and why.

    Args:
        status: never running.
        reason: what ended it.
        failure: the exception, where there was one.
    """

    status: Status
    reason: EndReason
    failure: Failure | None = None


RETURNED: Final = Ending(Status.COMPLETED, EndReason.RETURNED)
ABANDONED: Final = Ending(Status.INTERRUPTED, EndReason.ABANDONED)
_KEYBOARD: Final = Ending(Status.INTERRUPTED, EndReason.KEYBOARD)
_CANCELLED: Final = Ending(Status.INTERRUPTED, EndReason.CANCELLED)
_CLOSED: Final = Ending(Status.INTERRUPTED, EndReason.CLOSED)


def classify(error: BaseException | None, signum: int | None = None) -> Ending:
    """The ending that an exception means.

    Args:
        error: the exception that left the block; None when the block came to its end.
        signum: a signal that arrived during the block and may have caused `error`.
    """
    if error is None:
        return RETURNED
    try:
        ending = _classify_exception(error)
    except BaseException:
        # Signals are held back here, so the exception's own methods have raised this.
        return Ending(Status.FAILED, EndReason.EXCEPTION, describe_failure(error))
    if signum is not None and ending.reason not in {EndReason.EXCEPTION, EndReason.KEYBOARD}:
        # A signal may become another exception: asyncio cancels its tasks, a handler calls sys.exit(0).
        return ending_of_signal(signum)
    return ending


def ending_of_signal(signum: int) -> Ending:
    """The ending that a signal means."""
    reasons = {"SIGINT": EndReason.KEYBOARD, "SIGTERM": EndReason.SIGTERM, "SIGHUP": EndReason.SIGHUP}
    return Ending(Status.INTERRUPTED, reasons.get(_signal_name(signum) or "", EndReason.SIGNAL))


def _signal_name(signum: int) -> str | None:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return None


def _classify_exception(error: BaseException) -> Ending:
    if isinstance(error, BaseExceptionGroup):
        return _classify_group(error)
    if isinstance(error, SystemExit):
        return _classify_exit(error)
    if isinstance(error, KeyboardInterrupt):
        return _KEYBOARD
    if isinstance(error, GeneratorExit):
        return _CLOSED
    if _is_cancellation(error):
        return _CANCELLED
    return Ending(Status.FAILED, EndReason.EXCEPTION, describe_failure(error))


def _classify_group(group: BaseExceptionGroup[BaseException]) -> Ending:
    first: Ending | None = None
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(reversed(error.exceptions))
            continue
        ending = _classify_exception(error)
        if ending.status is not Status.INTERRUPTED:
            return Ending(Status.FAILED, EndReason.EXCEPTION, describe_failure(group))
        first = first or ending
    assert first is not None
    return first


def _is_cancellation(error: BaseException) -> bool:
    # By name, because we import neither asyncio nor trio, and their exceptions have no common base of their own.
    # concurrent.futures has a CancelledError too, but there it is an Exception: an error in the code that waits.
    names = {base.__name__ for base in type(error).__mro__}
    return not isinstance(error, Exception) and bool(names & {"CancelledError", "Cancelled"})


def _classify_exit(error: SystemExit) -> Ending:
    signum = getattr(error, "signum", None)
    if signum is not None:
        # Our own `Terminated`: to read its `code` means to exit with it.
        return ending_of_signal(signum)
    try:
        code = error.code
    except BaseException:
        return Ending(Status.FAILED, EndReason.EXIT, describe_failure(error))
    # The interpreter exits with 1 for any code that is no int, even for one that equals 0.
    if code is None or (isinstance(code, int) and int(code) == 0):
        return Ending(Status.COMPLETED, EndReason.EXIT)
    if any(isinstance(cause, KeyboardInterrupt) for cause in _walk_causes(error)):
        # Lightning, among others, turns Ctrl-C into sys.exit(1).
        return _KEYBOARD
    if isinstance(code, int) and code > _SIGNAL_BASE and _signal_name(code - _SIGNAL_BASE):
        return ending_of_signal(code - _SIGNAL_BASE)
    return Ending(Status.FAILED, EndReason.EXIT, describe_failure(error))


def _walk_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error.__context__, error.__cause__]
    while waiting:
        cause = waiting.pop()
        if cause is not None and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [cause.__context__, cause.__cause__]


def comes_from(error: BaseException | None, origin: BaseException | None) -> bool:
    """Whether `error` is `origin`, or was raised from it or while it was handled."""
    if error is None or origin is None:
        return False
    return error is origin or any(cause is origin for cause in _walk_causes(error))


def describe_failure(error: BaseException) -> Failure:
    """An exception as a record; never raises, whatever the exception's own methods do."""
    import traceback

    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except BaseException as problem:
        message = f"<its text raised {type(problem).__name__}>"
    try:
        lines = traceback.format_exception(kind, error, _skip_own_frames(error.__traceback__))
    except BaseException as problem:
        lines = [f"{name}: {message}\n(its traceback could not be formatted: {type(problem).__name__})\n"]
    return Failure(name, _make_encodable(message[:_MESSAGE_LENGTH]), _make_encodable(_shorten("".join(lines))))


def _shorten(text: str) -> str:
    # The first call stands at its beginning, the error at its end.
    half = _TRACEBACK_LENGTH // 2
    return text if len(text) <= _TRACEBACK_LENGTH else f"{text[:half]}\n[...]\n{text[-half:]}"


def _skip_own_frames(trace: TracebackType | None) -> TracebackType | None:
    # The frames of our wrapper stand at the top of the traceback of each decorated function and help nobody.
    rest = trace
    while rest is not None and rest.tb_frame.f_code.co_filename.startswith(_OWN_FOLDER):
        rest = rest.tb_next
    return rest or trace


def _make_encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def uncaught_error() -> BaseException | None:
    """The uncaught exception that ends the program, asked for while the interpreter exits; None without one."""
    if hasattr(sys, "ps1"):
        # At a prompt, the last exception may be hours old and may not be why the interpreter exits.
        return None
    candidates = (sys.exc_info()[1], getattr(sys, "last_exc", None), getattr(sys, "last_value", None))
    return next((error for error in candidates if error is not None), None)


def ending_at_exit() -> Ending:
    """The ending of an experiment that is still open when the interpreter exits."""
    error = uncaught_error()
    return ABANDONED if error is None else classify(error)
