"""The one implementation of an experiment's lifecycle: open, run, classify the ending, close.

The block runs it around its body and the decorator around a call. The legacy `create_experiment` opens an experiment
and `mark_complete` closes it. An experiment that is still open when the interpreter exits is closed then.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runbook.messages import warn
from runbook.run import endings, signals
from runbook.run.experiment import Experiment
from runbook.run.start import start_experiment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runbook.index import Index
    from runbook.run.endings import Ending
    from runbook.run.plan import Plan
    from runbook.run.recorder import Recorder
    from runbook.storage.run_lock import RunLock

_current: ContextVar[tuple[Lifecycle, ...]] = ContextVar("runbook_current", default=())
_open: dict[int, Lifecycle] = {}
_prepared: set[int] = set()
_unrecorded: list[tuple[int, Recorder, Ending, datetime]] = []
_written: dict[Path, Index] = {}


class Lifecycle:
    """One experiment from its start to its end.

    Args:
        plan: the experiment to start.
        index: the index of the base directory it goes into; None if tracking is disabled.
        is_manual: whether the program ends it by `mark_complete`, and not by leaving a block.
    """

    def __init__(self, plan: Plan, index: Index | None, *, is_manual: bool = False) -> None:
        self._plan = plan
        self._index = index
        self.is_manual = is_manual
        self._experiment: Experiment | None = None
        self._recorder: Recorder | None = None
        self._pid = os.getpid()
        self._thread = threading.get_ident()
        self._is_open = False
        self.signals_before = 0
        self._run_lock: RunLock | None = None

    @property
    def experiment(self) -> Experiment:
        """The live experiment; available after `open`."""
        assert self._experiment is not None
        return self._experiment

    @property
    def recorder(self) -> Recorder:
        """The recorder of the experiment; available after `open`."""
        assert self._recorder is not None
        return self._recorder

    @property
    def index(self) -> Index | None:
        """The index of the base directory it goes into; None if tracking is disabled."""
        return self._index

    @property
    def is_open(self) -> bool:
        """Whether it has started and is not closed yet."""
        return self._is_open

    def open(self) -> Experiment:
        """Start the experiment: make the folder, write the record and the entry. All are on disk when this returns.

        Raises:
            BaseDirectoryError: if the base directory cannot be used; nothing is left behind.
        """
        self.signals_before = signals.watch(_on_signal, _close_all)
        try:
            with signals.deferred():
                self._begin()
        except BaseException as error:
            if self.is_open:
                # A signal that was held back until the experiment had started.
                self.close(error)
            else:
                signals.unwatch()
            raise
        return self.experiment

    def _begin(self) -> None:
        parent = current_experiment()
        started = start_experiment(self._plan, self._index, None if parent is None else parent.id)
        self._recorder, self._run_lock = started.recorder, started.lock
        self._experiment = Experiment(started.recorder, started.config)
        self._pid = os.getpid()
        self._thread = threading.get_ident()
        _prepare_process()
        self._is_open = True
        _open[id(self)] = self
        if self._index is not None:
            _written[self._index.layout.registry] = self._index

    def activate(self) -> None:
        """Make it the current experiment of this thread or task."""
        _current.set((*_current.get(), self))

    def deactivate(self) -> None:
        """Make the one before it the current one again."""
        _current.set(tuple(other for other in _current.get() if other is not self))

    def close(self, error: BaseException | None = None, ending: Ending | None = None) -> None:
        """End the experiment with its true status; a disk error is a warning. Does nothing in a forked child.

        Args:
            error: the exception that left the block; None when the block came to its end.
            ending: the ending, if it is known already; None classifies `error`.
        """
        if os.getpid() != self._pid or _open.pop(id(self), None) is None:
            # `pop` is atomic: of several threads, one closes.
            return
        leaving = error
        try:
            with signals.deferred():
                try:
                    self._end(ending or signals.ending_of(error, self.signals_before))
                finally:
                    self._leave()
        except BaseException as late:
            leaving = late
            raise
        finally:
            if not _open:
                signals.die_in_worker(leaving)
            signals.unwatch()

    def mark(self, status: str, notes: str | None) -> None:
        """End the experiment with a status that the program gives.

        Args:
            status: completed, failed or interrupted.
            notes: added to its notes.

        Raises:
            UnknownStatusError: if no experiment ends with that status; it keeps running then.
            OSError: if it cannot be written; it keeps running then.
        """
        with signals.deferred():
            self.experiment.finish(status, notes)
        self.close()

    def _end(self, ending: Ending) -> None:
        try:
            self.recorder.end(ending)
        except Exception as problem:
            # The training is over and its result counts, so an ending that cannot be written raises nothing.
            warn(
                f"{self.experiment.id}: its ending could not be recorded ({type(problem).__name__}: {problem}); "
                "that is tried once more when the program ends: free the disk until then"
            )
            _unrecorded.append((os.getpid(), self.recorder, ending, datetime.now(UTC)))

    def _leave(self) -> None:
        self.deactivate()
        self._is_open = False
        if self._run_lock is not None:
            self._run_lock.release()

    def is_of_main_thread(self) -> bool:
        """Whether it was started in the main thread, whose uncaught exceptions end the program."""
        return self._thread == threading.main_thread().ident


def current_experiment() -> Experiment | None:
    """The innermost running experiment of this thread or task; None outside of any."""
    found = next(open_here(), None)
    return None if found is None else found.experiment


@contextlib.contextmanager
def activated(lifecycle: Lifecycle, inside: tuple[Lifecycle, ...] | None) -> Iterator[None]:
    """A block in which a generator's code runs, with the experiments that are open in that code.

    Args:
        lifecycle: the generator's own experiment.
        inside: what `open_stack` returned when the code ran last; None at first.
    """
    outside = _current.get()
    _current.set((*outside, lifecycle) if inside is None else inside)
    try:
        yield
    finally:
        _current.set(outside)


def open_stack() -> tuple[Lifecycle, ...]:
    """The experiments of this thread or task, outermost first, for `activated`."""
    return _current.get()


def lifecycle_of(experiment: Experiment) -> Lifecycle | None:
    """The lifecycle of an experiment that is open in this process; None if it is not."""
    return next((life for life in _open.values() if life.experiment is experiment), None)


def open_here() -> Iterator[Lifecycle]:
    """The open experiments of this thread or task, innermost first."""
    return (lifecycle for lifecycle in reversed(_current.get()) if lifecycle.is_open)


def _prepare_process() -> None:
    """Register, once for each process, what runs at its end and after a fork."""
    pid = os.getpid()
    if pid in _prepared:
        return
    if not _prepared:
        atexit.register(_end_process)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_reset_forked_child)
    _prepared.add(pid)
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        # Workers of multiprocessing leave by os._exit, which runs these finalizers and no atexit functions.
        from multiprocessing.util import Finalize

        Finalize(None, _end_worker, exitpriority=-100)


def _end_process() -> None:
    _end_abandoned(list(_open.values()))
    _retry_unrecorded_endings()
    _flush_indexes()


def _retry_unrecorded_endings() -> None:
    """Record the endings that could not be recorded when they happened; no other process can have recorded them."""
    while _unrecorded:
        pid, recorder, ending, moment = _unrecorded.pop()
        if pid != os.getpid():
            continue
        try:
            recorder.end(ending, moment=moment)
        except Exception as problem:
            warn(f"{recorder.id}: its ending ({ending.status.value}) is not recorded ({problem})")


def _flush_indexes() -> None:
    for index in _written.values():
        index.flush()


def _end_worker() -> None:
    # Other threads of the worker may still run: the worker waits for them after this.
    _end_abandoned([lifecycle for lifecycle in _open.values() if lifecycle.is_of_main_thread()])
    _flush_indexes()


def _end_abandoned(lifecycles: list[Lifecycle]) -> None:
    for lifecycle in reversed(lifecycles):
        if lifecycle.is_of_main_thread():
            lifecycle.close(ending=signals.ending_at_exit(lifecycle.signals_before))
        else:
            lifecycle.close(ending=endings.ABANDONED)


def _close_all(signum: int) -> None:
    for lifecycle in reversed(list(_open.values())):
        lifecycle.close(ending=endings.ending_of_signal(signum))


def _on_signal(signum: int) -> None:
    for lifecycle in list(_open.values()):
        lifecycle.recorder.note_signal(signum)


def _reset_forked_child() -> None:
    for lifecycle in _open.values():
        lifecycle.recorder.reset_locks()
    _open.clear()
    _written.clear()
    signals.forget_parent()
