"""SIGTERM and SIGHUP: the experiment that they end is recorded as interrupted, and they still end the process.

Without a handler both end the process at once, and the status would stay "running" for ever. Our handler raises an
exception, so that the program runs its `finally` blocks. After that the signal kills the process as it would have.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from runbook.run import endings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_WATCHED: Final = (signal.SIGINT,) if sys.platform == "win32" else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Terminated(SystemExit):
    """The exception that a signal raises; `except Exception` does not catch it.

    Attributes:
        signum: the number of the signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum

    @property
    def code(self) -> int:  # type: ignore[override]
        """The exit code that shells report for a program that the signal has ended."""
        # Only code that is about to exit reads it: the interpreter, and multiprocessing at the top of a worker.
        # A program that catches the exception does not read it, and continues.
        _state.dying = self.signum
        return 128 + self.signum


class _State:
    """What we know about signals in this process; there is one, because signal handlers belong to the process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.users = 0
        self.installed: dict[int, _Handler] = {}
        self.held_from: dict[int, Any] = {}
        self.is_handling = False
        self.count = 0
        self.noted: int | None = None
        self.raised: BaseException | None = None
        self.dying: int | None = None
        self.on_signal: Callable[[int], None] | None = None
        self.before_death: Callable[[int], None] | None = None
        self.is_deferring = False


_state = _State()


def watch(on_signal: Callable[[int], None], before_death: Callable[[int], None]) -> int:
    """Install our signal handlers for one more experiment; only the main thread can install them.

    An ignored signal stays ignored (that is how nohup works), a handler that was not set from Python stays, and a
    Python handler of the host program is called by ours.

    Args:
        on_signal: called with each signal that arrives.
        before_death: called with the signal right before it kills the process.

    Returns:
        How many signals have arrived until now, for `ending_of`.
    """
    if os.getpid() != _state.pid:
        forget_parent()
    _state.users += 1
    _state.on_signal = on_signal
    _state.before_death = before_death
    if threading.current_thread() is not threading.main_thread():
        return _state.count
    caught = _CaughtInC()
    for signum in _WATCHED:
        current = signal.getsignal(signum)
        # Python's own handler of Ctrl-C raises KeyboardInterrupt, and asyncio checks that it is still installed.
        if current is signal.default_int_handler or current is _state.installed.get(signum):
            continue
        if _can_be_replaced(signum, current, caught):
            _state.installed[signum] = handler = _Handler(current)
            signal.signal(signum, handler)
    return _state.count


class _CaughtInC:
    """The signals that have a handler in C, such as those of faulthandler.register and MPI.

    Python can neither see nor restore such a handler. The kernel is asked once, when the first signal is looked up.
    """

    @cached_property
    def _mask(self) -> int:
        try:
            with open("/proc/self/status", "rb", buffering=0) as status:  # noqa: PTH123 - once an experiment
                caught = status.read().partition(b"\nSigCgt:")[2]
        except OSError:
            return 0
        return int(caught.split(maxsplit=1)[0], 16) if caught else 0

    def __contains__(self, signum: int) -> bool:
        return bool(self._mask >> (signum - 1) & 1)


def _can_be_replaced(signum: int, current: Any, caught: _CaughtInC) -> bool:
    if current is signal.SIG_DFL:
        return signum not in caught
    return callable(current)


def unwatch() -> None:
    """Restore the handlers when the last experiment has ended; a handler that the program has replaced stays."""
    _state.users -= 1
    if _state.users > 0 or threading.current_thread() is not threading.main_thread():
        return
    _restore()
    _state.noted = None
    _state.raised = None


def _restore() -> None:
    for signum, handler in list(_state.installed.items()):
        current: object = signal.getsignal(signum)
        if current is handler:
            signal.signal(signum, handler.previous)
        del _state.installed[signum]


def ending_of(error: BaseException | None, since: int = 0) -> endings.Ending:
    """The ending that an exception means, together with the signals that arrived.

    Args:
        error: the exception that left the block; None when the block came to its end.
        since: what `watch` returned at the start of the experiment: earlier signals do not count.
    """
    noted = _state.noted if _state.count > since else None
    if noted is not None and endings.comes_from(error, _state.raised):
        # The exception may have been turned into another one on its way out; the signal is still the reason.
        return endings.ending_of_signal(noted)
    return endings.classify(error, noted)


def ending_at_exit(since: int = 0) -> endings.Ending:
    """The ending of an experiment of the main thread that is still open when the interpreter exits."""
    error = endings.uncaught_error()
    if error is not None:
        return ending_of(error, since)
    if _state.noted is not None and _state.count > since:
        return endings.ending_of_signal(_state.noted)
    return endings.ABANDONED


def die_in_worker(error: BaseException | None) -> None:
    """Let the signal kill a worker process of multiprocessing whose experiments are closed; called before `unwatch`.

    A pool's worker catches every exception and sends it to its parent as a result. The exception would never reach the
    top of the process, so the worker would survive its SIGTERM. The same happens when another exception replaces it on
    the way: multiprocessing's own locks raise one when a wait for them is interrupted.
    """
    raised = _state.raised
    if isinstance(raised, Terminated) and endings.comes_from(error, raised) and _is_worker():
        _state.dying = raised.signum
        _die()


def _is_worker() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


class _Handler:
    """Our handler of one signal; it holds the handler that it replaced, since the host may call ours from its own."""

    def __init__(self, previous: Any) -> None:
        self.previous = previous

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != _state.pid or _state.is_handling:
            # In a forked child before `forget_parent`, or in a chain of handlers in which another of ours runs already.
            _call_previous(signum, frame, self.previous)
            return
        _state.is_handling = True
        try:
            self._handle(signum, frame)
        finally:
            _state.is_handling = False

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        _state.count += 1
        _state.noted = signum
        if _state.on_signal is not None:
            _state.on_signal(signum)
        if callable(self.previous):
            try:
                self.previous(signum, frame)
            except BaseException as error:
                _state.raised = error
                raise
            return
        # A second signal of this kind kills the process at once.
        signal.signal(signum, signal.SIG_DFL)
        _arrange_death(signum)
        _state.raised = Terminated(signum)
        raise _state.raised


def _call_previous(signum: int, frame: FrameType | None, previous: Any) -> None:
    if callable(previous):
        previous(signum, frame)
    else:
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)


def _arrange_death(signum: int) -> None:
    # An `atexit` function would run too late: the interpreter first waits for all threads, and without us the signal
    # would not have waited for them. Workers of multiprocessing call these functions as well.
    register = getattr(threading, "_register_atexit", None)
    if register is None:
        import atexit

        register = atexit.register
    try:
        register(_die)
    except RuntimeError:
        # The interpreter is shutting down already, and would swallow an exception.
        _state.dying = signum
        _die()


def _die() -> None:
    """Kill the process by the signal, if the signal ended the program."""
    signum = _state.dying
    if signum is None or os.getpid() != _state.pid:
        return
    if _state.before_death is not None:
        _state.before_death(signum)
    for stream in (sys.stdout, sys.stderr):
        # A closed or broken stream must not keep the process alive.
        with contextlib.suppress(Exception):
            stream.flush()
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """A block during which Ctrl-C, SIGTERM and SIGHUP wait; the first comes after the block, a second one at once."""
    if _state.is_deferring or threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = _CaughtInC()
    held: list[tuple[int, FrameType | None]] = []
    before = _state.held_from
    before.clear()

    def put_back() -> None:
        for signum, handler in before.items():
            if signal.getsignal(signum) is hold:
                signal.signal(signum, handler)

    def hold(signum: int, frame: FrameType | None) -> None:
        held.append((signum, frame))
        if len(held) > 1:
            put_back()
            _deliver(signum, frame)

    _state.is_deferring = True
    try:
        for signum in _WATCHED:
            handler = signal.getsignal(signum)
            if _can_be_replaced(signum, handler, caught):
                before[signum] = handler
                signal.signal(signum, hold)
        yield
    finally:
        _state.is_deferring = False
        put_back()
        for waiting, frame in held[:1]:
            _deliver(waiting, frame)


def _deliver(signum: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signum)
    if callable(handler):
        # Not raised again: an event loop has already got it through its wake-up descriptor.
        handler(signum, frame)
    else:
        signal.raise_signal(signum)


def forget_parent() -> None:
    """Reset the state in a forked child, which has neither the experiments nor the signals of its parent."""
    global _state  # noqa: PLW0603 - the one state of the process
    if threading.current_thread() is threading.main_thread():
        if _state.is_deferring:
            for signum, handler in _state.held_from.items():
                signal.signal(signum, handler)
        _restore()
    _state = _State()
