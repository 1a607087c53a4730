"""SIGTERM and SIGHUP, so that an experiment they end can say so, and the process still ends as it would have.

Without a handler both end the process at once and the record would say "running" for ever. Ours lets the program
unwind, with its `finally` blocks, and then lets the signal kill the process after all.
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
    """The signal, on its way out through the program; `except Exception` lets it pass.

    Attributes:
        signum: which signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum

    @property
    def code(self) -> int:  # type: ignore[override]
        """The exit code of a program that is ended by the signal, as shells count."""
        # Whoever asks is about to exit with it: the interpreter at its top, multiprocessing at the top of a worker.
        # A program that swallowed the exception does not ask, and goes on as it wants to.
        _watch.dying = self.signum
        return 128 + self.signum


class _Watch:
    """The state of this process. There is one, because signal handlers belong to the process."""

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


_watch = _Watch()


def watch(on_signal: Callable[[int], None], before_death: Callable[[int], None]) -> int:
    """Begin to watch, once more; only the main thread can begin.

    An ignored signal stays ignored (that is how nohup works), one whose handler was not set from Python is left
    alone, and a handler of the host is called as before.

    Args:
        on_signal: called with the signal as it arrives.
        before_death: called with the signal when it is about to kill the process.

    Returns:
        How many signals arrived so far, for `ending_of`.
    """
    if os.getpid() != _watch.pid:
        forget_parent()
    _watch.users += 1
    _watch.on_signal = on_signal
    _watch.before_death = before_death
    if threading.current_thread() is not threading.main_thread():
        return _watch.count
    caught = _CaughtInC()
    for signum in _WATCHED:
        current = signal.getsignal(signum)
        # Python's own handler of Ctrl-C raises what we need, and asyncio looks whether it is still there.
        if current is signal.default_int_handler or current is _watch.installed.get(signum):
            continue
        if _can_be_replaced(signum, current, caught):
            _watch.installed[signum] = handler = _Handler(current)
            signal.signal(signum, handler)
    return _watch.count


class _CaughtInC:
    """The signals that have a handler behind Python's back, of faulthandler.register or MPI; it could not be put back.

    It is for one look around, and asks the kernel when the first question comes.
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
    """Stop watching, when nobody else does; only what is still ours is put back."""
    _watch.users -= 1
    if _watch.users > 0 or threading.current_thread() is not threading.main_thread():
        return
    _restore()
    _watch.noted = None
    _watch.raised = None


def _restore() -> None:
    for signum, handler in list(_watch.installed.items()):
        current: object = signal.getsignal(signum)
        if current is handler:
            signal.signal(signum, handler.previous)
        del _watch.installed[signum]


def ending_of(error: BaseException | None, since: int = 0) -> endings.Ending:
    """How an experiment ended that `error` left, in the light of the signals that arrived.

    Args:
        error: what left it; None when it came to its end.
        since: what `watch` returned when it began: earlier signals do not concern it.
    """
    noted = _watch.noted if _watch.count > since else None
    if noted is not None and endings.comes_from(error, _watch.raised):
        # Whatever its type, and whatever it became on its way out, the signal is the reason.
        return endings.ending_of_signal(noted)
    return endings.classify(error, noted)


def ending_at_exit(since: int = 0) -> endings.Ending:
    """How an experiment of the main thread ended that is still open when the interpreter exits."""
    error = endings.uncaught_error()
    if error is not None:
        return ending_of(error, since)
    if _watch.noted is not None and _watch.count > since:
        return endings.ending_of_signal(_watch.noted)
    return endings.ABANDONED


def die_in_worker(error: BaseException | None) -> None:
    """In a worker process, let the signal kill the process now that its experiments are closed; before `unwatch`.

    A pool's worker catches every exception and sends it to its parent as a result, so there the exception would never
    arrive at the top of the process, and the worker would survive its SIGTERM. So would one in which another exception
    took its place on the way: multiprocessing's own locks raise one when they are left in the midst of a wait.
    """
    raised = _watch.raised
    if isinstance(raised, Terminated) and endings.comes_from(error, raised) and _is_worker():
        _watch.dying = raised.signum
        _die()


def _is_worker() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


class _Handler:
    """Our handler of one signal; knows the one that it replaced, also when the host keeps it in a chain of its own."""

    def __init__(self, previous: Any) -> None:
        self.previous = previous

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != _watch.pid or _watch.is_handling:
            # A forked child that has not been told yet, or a chain in which another of ours has been called already.
            _act_as_before(signum, frame, self.previous)
            return
        _watch.is_handling = True
        try:
            self._handle(signum, frame)
        finally:
            _watch.is_handling = False

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        _watch.count += 1
        _watch.noted = signum
        if _watch.on_signal is not None:
            _watch.on_signal(signum)
        if callable(self.previous):
            try:
                self.previous(signum, frame)
            except BaseException as error:
                _watch.raised = error
                raise
            return
        # The next one of its kind acts at once.
        signal.signal(signum, signal.SIG_DFL)
        _arrange_death(signum)
        _watch.raised = Terminated(signum)
        raise _watch.raised


def _act_as_before(signum: int, frame: FrameType | None, previous: Any) -> None:
    if callable(previous):
        previous(signum, frame)
    else:
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)


def _arrange_death(signum: int) -> None:
    # An `atexit` function would come too late: the interpreter first waits for threads that were not told to stop,
    # and without us the signal would not have waited for them. multiprocessing's workers call it as well.
    register = getattr(threading, "_register_atexit", None)
    if register is None:
        import atexit

        register = atexit.register
    try:
        register(_die)
    except RuntimeError:
        # The interpreter is shutting down already, and would swallow an exception.
        _watch.dying = signum
        _die()


def _die() -> None:
    """End the process by the signal that ended the program, if it is what ended it."""
    signum = _watch.dying
    if signum is None or os.getpid() != _watch.pid:
        return
    if _watch.before_death is not None:
        _watch.before_death(signum)
    for stream in (sys.stdout, sys.stderr):
        # A closed or broken stream must not keep the process alive.
        with contextlib.suppress(Exception):
            stream.flush()
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Hold back Ctrl-C, SIGTERM and SIGHUP during the block; the first is delivered after it, a second one at once."""
    if _watch.is_deferring or threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = _CaughtInC()
    held: list[tuple[int, FrameType | None]] = []
    before = _watch.held_from
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

    _watch.is_deferring = True
    try:
        for signum in _WATCHED:
            handler = signal.getsignal(signum)
            if _can_be_replaced(signum, handler, caught):
                before[signum] = handler
                signal.signal(signum, hold)
        yield
    finally:
        _watch.is_deferring = False
        put_back()
        for waiting, frame in held[:1]:
            _deliver(waiting, frame)


def _deliver(signum: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signum)
    if callable(handler):
        # Not raised again: an event loop has been told of it already, through its wake-up descriptor.
        handler(signum, frame)
    else:
        signal.raise_signal(signum)


def forget_parent() -> None:
    """Start over in a forked child: its parent's experiments, and its parent's signals, are not its own."""
    global _watch  # noqa: PLW0603 - the one state of the process
    if threading.current_thread() is threading.main_thread():
        if _watch.is_deferring:
            for signum, handler in _watch.held_from.items():
                signal.signal(signum, handler)
        _restore()
    _watch = _Watch()
