"""Signals: the host's handlers are called and kept, and a signal still kills what it would have killed."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading

import pytest

from runbook import ExperimentManager, current_experiment
from runbook.run import lifecycle, signals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither SIGHUP nor a SIGTERM to handle")

SIGTERM = signal.SIGTERM
SIGHUP = getattr(signal, "SIGHUP", None)
SIGINT = signal.SIGINT
WATCHED = [SIGINT, SIGTERM, SIGHUP]


@pytest.fixture(autouse=True)
def _own_handlers():
    """Each test has the handlers of a fresh program, and leaves none."""
    before = {signum: signal.getsignal(signum) for signum in WATCHED}
    signal.signal(SIGINT, signal.default_int_handler)
    signal.signal(SIGTERM, signal.SIG_DFL)
    signal.signal(SIGHUP, signal.SIG_DFL)
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)
    for life in list(lifecycle._open.values()):
        life.close()
    lifecycle._current.set(())
    signals.forget_parent()


def handlers() -> list[object]:
    return [signal.getsignal(signum) for signum in WATCHED]


class Host:
    """A host's handler that remembers its calls."""

    def __init__(self, raises: BaseException | None = None, before=None) -> None:
        self.calls: list[int] = []
        self.frames: list[object] = []
        self.raises = raises
        self.before = before

    def __call__(self, signum, frame):
        self.calls.append(signum)
        self.frames.append(frame)
        if self.before is not None:
            self.before(signum, frame)
        if self.raises is not None:
            raise self.raises


class Unhashable(Host):
    def __eq__(self, other):
        return isinstance(other, Unhashable)

    __hash__ = None


class Preempted(Exception):
    """An exception by which a host's handler leaves a training loop."""


def ending(manager: ExperimentManager, experiment_id: str) -> tuple[str, str | None]:
    view = manager.get_experiment(experiment_id)
    return str(view.status), None if view.end_reason is None else str(view.end_reason)


# Put back exactly


@pytest.mark.parametrize("raises", [None, Preempted, SystemExit, KeyboardInterrupt], ids=str)
def test_handlers_are_put_back_exactly(manager, raises):
    """However the block ends, the process has the handlers it had."""
    host = Host()
    signal.signal(SIGHUP, host)
    before = handlers()
    with contextlib.suppress(BaseException), manager.experiment({"a": 1}):
        assert handlers() != before
        if raises is not None:
            raise raises
    assert all(now is then for now, then in zip(handlers(), before, strict=True))


def test_handlers_are_put_back_after_the_last_of_several(manager):
    """The end of the inner block keeps the handlers of the outer one."""
    before = handlers()
    with manager.experiment({"a": 1}):
        during = handlers()
        with manager.experiment({"b": 1}):
            assert handlers() == during
        assert handlers() == during
        assert during != before
    assert handlers() == before


def test_handlers_are_put_back_after_a_birth_that_fails(tmp_path):
    """An experiment that did not start leaves no handlers."""
    from runbook import experiment

    (tmp_path / "file").write_text("x")
    before = handlers()
    with pytest.raises(OSError), experiment({}, base_dir=tmp_path / "file"):
        pass
    assert handlers() == before


def test_handlers_are_put_back_by_mark_complete(manager):
    """`create_experiment` and `mark_complete` install and restore handlers like a block."""
    before = handlers()
    manager.create_experiment({"a": 1})
    assert handlers() != before
    manager.mark_complete()
    assert handlers() == before


def test_pythons_own_ctrl_c_stays_in_place(manager):
    """It raises KeyboardInterrupt, and asyncio checks that it is still installed."""
    with manager.experiment({"a": 1}):
        assert signal.getsignal(SIGINT) is signal.default_int_handler


def test_importing_installs_nothing(script):
    """Nothing happens on import, nor by making a manager."""
    done = script.run(
        """
        import signal
        before = [signal.getsignal(s) for s in signal.valid_signals()]
        from runbook import *
        from runbook import ExperimentManager, experiment, tracked
        manager = ExperimentManager()
        block = manager.experiment({"a": 1})
        tracked(lambda lr: None)
        print([signal.getsignal(s) for s in signal.valid_signals()] == before)
        """
    )
    assert done.stdout == "True\n", done.stderr


def test_other_signals_are_left_alone(manager):
    """SIGUSR1 and SIGUSR2 belong to NCCL and submitit, SIGCHLD to whoever has children."""
    others = sorted(set(signal.valid_signals()) - set(WATCHED))
    before = [signal.getsignal(signum) for signum in others]
    with manager.experiment({"a": 1}):
        assert [signal.getsignal(signum) for signum in others] == before


# What is left alone


@pytest.mark.parametrize("signum", WATCHED)
def test_an_ignored_signal_stays_ignored(manager, signum):
    """That is how nohup works, and how a shell protects its background jobs from Ctrl-C."""
    signal.signal(signum, signal.SIG_IGN)
    with manager.experiment({"a": 1}) as exp:
        assert signal.getsignal(signum) is signal.SIG_IGN
        signal.raise_signal(signum)
    assert signal.getsignal(signum) is signal.SIG_IGN
    assert ending(manager, exp.id) == ("completed", "returned")
    assert not (exp.logs_dir / "signals.jsonl").exists()


def test_a_handler_that_python_does_not_know_is_left_alone(manager, monkeypatch):
    """`getsignal()` gives None for one that was there before the interpreter; it could not be put back."""
    installed = []
    real_get, real_set = signal.getsignal, signal.signal
    monkeypatch.setattr(signal, "getsignal", lambda signum: None if signum == SIGHUP else real_get(signum))

    def install(signum, handler):
        installed.append(signum)
        return real_set(signum, handler)

    monkeypatch.setattr(signal, "signal", install)
    with manager.experiment({"a": 1}):
        pass
    assert SIGTERM in installed
    assert SIGHUP not in installed


def test_a_thread_installs_nothing(manager):
    """Only the main thread can; an experiment of a worker thread is tracked all the same."""
    before = handlers()
    seen = []

    def work():
        with manager.experiment({"a": 1}) as exp:
            seen.append((handlers(), exp.id))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    ((during, experiment_id),) = seen
    assert during == before
    assert ending(manager, experiment_id) == ("completed", "returned")


# The host's handlers


@pytest.mark.parametrize("signum", WATCHED)
@pytest.mark.parametrize("kind", [Host, Unhashable], ids=["hashable", "unhashable"])
def test_a_host_handler_from_before_is_called_and_kept(manager, kind, signum):
    """It gets the signal and the frame, once; what it swallows ends nothing."""
    host = kind()
    signal.signal(signum, host)
    with manager.experiment({"a": 1}) as exp:
        signal.raise_signal(signum)
        exp.log(loss=1)
    assert host.calls == [signum]
    assert host.frames[0] is not None
    assert signal.getsignal(signum) is host
    signal.raise_signal(signum)
    assert host.calls == [signum, signum]
    assert ending(manager, exp.id) == ("completed", "returned")


@pytest.mark.parametrize("signum", WATCHED)
def test_a_host_handler_from_inside_is_called_and_kept(manager, signum):
    """A handler that the host installs in the block stays after the block."""
    host = Host()
    with manager.experiment({"a": 1}) as exp:
        signal.signal(signum, host)
        signal.raise_signal(signum)
    assert host.calls == [signum]
    assert signal.getsignal(signum) is host
    assert ending(manager, exp.id) == ("completed", "returned")


@pytest.mark.parametrize("signum", WATCHED)
def test_a_host_handler_from_after_is_called_and_kept(manager, signum):
    """None of our handlers is left."""
    with manager.experiment({"a": 1}):
        pass
    host = Host()
    signal.signal(signum, host)
    signal.raise_signal(signum)
    assert host.calls == [signum]
    assert signal.getsignal(signum) is host


@pytest.mark.parametrize("choice", [signal.SIG_IGN, signal.SIG_DFL], ids=str)
def test_a_choice_from_inside_is_kept(manager, choice):
    """Ignoring a signal, or not, is the host's as well."""
    with manager.experiment({"a": 1}):
        signal.signal(SIGTERM, choice)
    assert signal.getsignal(SIGTERM) is choice


def test_a_host_handler_that_comes_and_goes_inside_leaves_ours(manager):
    """`old = signal.signal(…)` … `signal.signal(…, old)` is a common way to guard a section."""
    before = handlers()
    with manager.experiment({"a": 1}):
        ours = signal.getsignal(SIGTERM)
        host = Host()
        old = signal.signal(SIGTERM, host)
        signal.raise_signal(SIGTERM)
        signal.signal(SIGTERM, old)
        assert signal.getsignal(SIGTERM) is ours
    assert host.calls == [SIGTERM]
    assert handlers() == before


def test_a_chain_of_handlers_goes_on_working_after_the_block(manager):
    """The host's second handler calls the one it found, which was ours; the host's first is at the end of it."""
    first = Host()
    signal.signal(SIGTERM, first)
    with manager.experiment({"a": 1}):
        second = Host(before=signal.getsignal(SIGTERM))
        signal.signal(SIGTERM, second)
        signal.raise_signal(SIGTERM)
        assert (first.calls, second.calls) == ([SIGTERM], [SIGTERM])
    signal.raise_signal(SIGTERM)
    assert (first.calls, second.calls) == ([SIGTERM] * 2, [SIGTERM] * 2)


def test_a_chain_of_handlers_does_not_bite_its_tail_in_the_next_block(manager):
    """The next experiment wraps the host's second handler, which calls ours, which must not call it again."""
    first = Host()
    signal.signal(SIGTERM, first)
    with manager.experiment({"a": 1}):
        second = Host(before=signal.getsignal(SIGTERM))
        signal.signal(SIGTERM, second)
    with manager.experiment({"b": 1}) as exp:
        signal.raise_signal(SIGTERM)
    assert (first.calls, second.calls) == ([SIGTERM], [SIGTERM])
    assert ending(manager, exp.id) == ("completed", "returned")


@pytest.mark.parametrize("signum", [SIGTERM, SIGHUP])
@pytest.mark.parametrize(
    "error", [Preempted("stop"), SystemExit(0), SystemExit(3), KeyboardInterrupt(), TimeoutError()], ids=repr
)
def test_what_a_host_handler_raises_is_the_signal(manager, error, signum):
    """Whatever its type, the signal is the reason; the exception comes out untouched."""
    error.__traceback__ = error.__context__ = None
    host = Host(raises=error)
    signal.signal(signum, host)
    caught = None
    try:
        with manager.experiment({"a": 1}) as exp:
            signal.raise_signal(signum)
    except BaseException as came_out:
        caught = came_out
    assert caught is error
    assert error.__context__ is None
    assert ending(manager, exp.id) == ("interrupted", signal.Signals(signum).name.lower())
    assert signal.getsignal(signum) is host


def test_what_a_host_handler_raises_through_another_error_is_the_signal(manager):
    """`except Preempted as e: raise RuntimeError from e` on its way out."""
    signal.signal(SIGTERM, Host(raises=Preempted()))
    with pytest.raises(RuntimeError), manager.experiment({"a": 1}) as exp:
        try:
            signal.raise_signal(SIGTERM)
        except Preempted as error:
            raise RuntimeError("stopped early") from error
    assert ending(manager, exp.id) == ("interrupted", "sigterm")


def test_what_a_host_handler_raised_and_the_program_survived_is_not_the_reason(manager):
    """It was caught, the training went on, and hours later something else broke."""
    signal.signal(SIGHUP, Host(raises=Preempted()))
    with pytest.raises(KeyError), manager.experiment({"a": 1}) as exp:
        with contextlib.suppress(Preempted):
            signal.raise_signal(SIGHUP)
        raise KeyError("much later")
    assert ending(manager, exp.id) == ("failed", "exception")


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (KeyboardInterrupt, ("interrupted", "keyboard")),
        (Preempted, ("failed", "exception")),
        (None, ("completed", "returned")),
    ],
    ids=str,
)
def test_a_signal_that_the_host_took_as_a_message_is_not_the_reason(manager, later, expected):
    """SIGHUP means "read your settings again" to many programs; what ends them later is something else."""
    signal.signal(SIGHUP, Host())
    with contextlib.suppress(KeyboardInterrupt, Preempted), manager.experiment({"a": 1}) as exp:
        signal.raise_signal(SIGHUP)
        if later is not None:
            raise later
    assert ending(manager, exp.id) == expected


def test_a_signal_from_before_a_block_is_not_its_reason(manager):
    """The inner experiment began after the signal; closing its generator has nothing to do with it."""
    signal.signal(SIGHUP, Host())

    @manager.tracked
    def batches(exp):
        yield exp.id

    with manager.experiment({"outer": 1}):
        signal.raise_signal(SIGHUP)
        generator = batches()
        inner = next(generator)
        generator.close()
    assert ending(manager, inner) == ("interrupted", "closed")


def test_the_signal_leaves_evidence_at_once(manager):
    """The process may be killed before its record is written."""
    signal.signal(SIGTERM, Host())
    with manager.experiment({"a": 1}) as outer, manager.experiment({"b": 1}) as inner:
        signal.raise_signal(SIGTERM)
        for exp in (outer, inner):
            (line,) = (exp.logs_dir / "signals.jsonl").read_text().splitlines()
            assert '"SIGTERM"' in line


def test_a_signal_does_not_break_over_a_missing_folder(manager):
    """The host's handler is called although the signal cannot be logged."""
    import shutil

    host = Host()
    signal.signal(SIGTERM, host)
    with manager.experiment({"a": 1}) as exp:
        shutil.rmtree(exp.logs_dir)
        signal.raise_signal(SIGTERM)
    assert host.calls == [SIGTERM]


def test_signals_do_not_stumble_over_experiments_that_come_and_go(manager):
    """Worker threads open and close theirs while the main thread handles one signal after another."""
    host = Host()
    signal.signal(SIGTERM, host)
    stop = threading.Event()
    problems = []

    def work(number):
        try:
            while not stop.is_set():
                with manager.experiment({"worker": number}):
                    pass
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    with manager.experiment({"main": 1}) as exp:
        for thread in threads:
            thread.start()
        try:
            while len(host.calls) < 150:
                signal.raise_signal(SIGTERM)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert problems == []
    assert ending(manager, exp.id) == ("completed", "returned")


def test_signals_find_every_experiment_while_another_begins(manager):
    """The same without chance: an experiment begins in another thread in the middle of the handler."""
    signal.signal(SIGTERM, Host())
    with manager.experiment({"main": 1}) as exp:
        life = next(lifecycle.open_here())
        note = life.recorder.note_signal

        def note_and_begin(signum):
            note(signum)
            thread = threading.Thread(target=manager.create_experiment, args=({"other": 1},))
            thread.start()
            thread.join()

        life.recorder.note_signal = note_and_begin
        signal.raise_signal(SIGTERM)
    assert ending(manager, exp.id) == ("completed", "returned")


# Held back while the record is written


def test_deferred_holds_the_first_signal_until_the_end():
    """What is being written is written whole before the signal acts."""
    host = Host()
    signal.signal(SIGTERM, host)
    with signals.deferred():
        signal.raise_signal(SIGTERM)
        assert host.calls == []
    assert host.calls == [SIGTERM]
    assert signal.getsignal(SIGTERM) is host


def test_deferred_lets_the_second_signal_through():
    """The second signal acts at once, and the first is not lost."""
    host = Host()
    signal.signal(SIGTERM, host)
    with signals.deferred():
        signal.raise_signal(SIGTERM)
        signal.raise_signal(SIGTERM)
        assert host.calls == [SIGTERM]
        signal.raise_signal(SIGTERM)
        assert host.calls == [SIGTERM] * 2
    assert host.calls == [SIGTERM] * 3


def test_deferred_lets_a_second_ctrl_c_through():
    """KeyboardInterrupt comes out of the block, and afterwards Ctrl-C is Python's own again."""
    reached = []
    with pytest.raises(KeyboardInterrupt), signals.deferred():
        signal.raise_signal(SIGINT)
        reached.append("held")
        signal.raise_signal(SIGINT)
        reached.append("never")
    assert reached == ["held"]
    assert signal.getsignal(SIGINT) is signal.default_int_handler


def test_deferred_delivers_after_an_error_as_well():
    """The signal is raised while the error is on its way out; both can be seen."""
    with pytest.raises(KeyboardInterrupt) as caught, signals.deferred():
        signal.raise_signal(SIGINT)
        raise OSError("the disk")
    assert isinstance(caught.value.__context__, OSError)
    assert handlers() == [signal.default_int_handler, signal.SIG_DFL, signal.SIG_DFL]


def test_deferred_within_deferred_holds_until_the_outer_end():
    """Closing an experiment while another one begins (a garbage-collected generator) does not let go too early."""
    host = Host()
    signal.signal(SIGTERM, host)
    with signals.deferred():
        with signals.deferred():
            signal.raise_signal(SIGTERM)
        assert host.calls == []
    assert host.calls == [SIGTERM]


def test_deferred_leaves_ignored_signals_ignored():
    """There is nothing to hold back."""
    signal.signal(SIGHUP, signal.SIG_IGN)
    with signals.deferred():
        assert signal.getsignal(SIGHUP) is signal.SIG_IGN
        signal.raise_signal(SIGHUP)
    assert signal.getsignal(SIGHUP) is signal.SIG_IGN


def test_deferred_keeps_a_handler_installed_meanwhile():
    """Only our own handlers are replaced by the former ones."""
    host = Host()
    with signals.deferred():
        signal.signal(SIGTERM, host)
    assert signal.getsignal(SIGTERM) is host


def test_deferred_in_a_thread_holds_nothing():
    """A thread gets no signals, and cannot change handlers."""
    seen = []

    def work():
        before = handlers()
        with signals.deferred():
            seen.append(handlers() == before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]


def test_different_signals_are_both_delivered():
    """SIGTERM after SIGHUP (a closing terminal, then a shutdown) loses neither."""
    term, hup = Host(), Host()
    signal.signal(SIGTERM, term)
    signal.signal(SIGHUP, hup)
    with signals.deferred():
        signal.raise_signal(SIGHUP)
        signal.raise_signal(SIGTERM)
    assert (hup.calls, term.calls) == ([SIGHUP], [SIGTERM])


def test_a_held_signal_reaches_asyncio_once():
    """A host with `loop.add_signal_handler` must not count one SIGTERM as two: servers take the second as "force"."""
    import asyncio

    calls = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(SIGTERM, calls.append, "called")
        with signals.deferred():
            signal.raise_signal(SIGTERM)
        for _ in range(10):
            await asyncio.sleep(0)
        # The loop's own pipe has been read when this later callback has run.
        await asyncio.sleep(0.01)
        loop.remove_signal_handler(SIGTERM)

    asyncio.run(main())
    assert calls == ["called"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_forked_while_signals_are_held_is_not_deaf(manager):
    """A thread forks a worker in that moment; the worker must die of its first SIGTERM (`Pool.terminate` waits)."""
    with manager.experiment({"a": 1}):
        pass
    statuses = []

    def fork():
        pid = os.fork()
        if pid == 0:
            os._exit(0 if signal.getsignal(SIGTERM) is signal.SIG_DFL else 1)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    with signals.deferred():
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
    assert statuses == [0]


def test_an_experiment_ended_by_a_held_signal_says_what_ended_it(manager, monkeypatch):
    """A host's handler raises while the record of a block that returned is being written: it had returned."""
    signal.signal(SIGTERM, Host(raises=Preempted()))
    from runbook.run.recorder import Recorder

    end = Recorder.end

    def end_with_signal(self, *args, **kwargs):
        signal.raise_signal(SIGTERM)
        end(self, *args, **kwargs)

    monkeypatch.setattr(Recorder, "end", end_with_signal)
    with pytest.raises(Preempted), manager.experiment({"a": 1}) as exp:
        pass
    assert ending(manager, exp.id) == ("completed", "returned")
    assert current_experiment() is None
    assert signal.getsignal(SIGTERM).__class__ is Host


# Whole programs


def test_the_exception_of_a_signal_passes_except_exception(script, base):
    """`except Exception` around every step of a training does not swallow a preemption."""
    done = script.run(
        """
        import os, signal
        from runbook import experiment
        with experiment({"a": 1}):
            for step in range(3):
                try:
                    os.kill(os.getpid(), signal.SIGTERM)
                    print("not reached")
                except Exception:
                    print("swallowed")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (-SIGTERM, "", "")
    (entry,) = ExperimentManager(base).list_experiments()
    assert (entry["status"], entry["end_reason"]) == ("interrupted", "sigterm")


def test_a_second_sigterm_kills_at_once(script, base):
    """A second signal kills a program that hangs in its cleanup, and the record is still true."""
    done = script.run(
        """
        import os, signal
        from runbook import experiment
        with experiment({"a": 1}):
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                print("cleaning up", flush=True)
                os.kill(os.getpid(), signal.SIGTERM)
                print("not reached", flush=True)
        """
    )
    assert (done.returncode, done.stdout) == (-SIGTERM, "cleaning up\n")
    (entry,) = ExperimentManager(base).list_experiments()
    assert entry["status"] in {"running", "interrupted"}
    assert "SIGTERM" in (base / entry["experiment_id"] / "logs" / "signals.jsonl").read_text()


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_a_program_that_swallows_its_end_goes_on(script, base, where):
    """A bare `except:` catches the signal's exception; the program continues, and its own end counts."""
    guard = {
        "inside": "with experiment({'a': 1}) as exp:\n    try:\n        die()\n    except:\n        print('swallowed')",
        "outside": "try:\n    with experiment({'a': 1}) as exp:\n        die()\nexcept:\n    print('swallowed')",
    }[where]
    code = f"""
import os, signal, sys
from runbook import experiment
def die():
    os.kill(os.getpid(), signal.SIGTERM)
{guard}
with experiment({{"next": 1}}):
    print("went on")
sys.exit(7)
"""
    done = script.run(code)
    assert (done.returncode, done.stdout, done.stderr) == (7, "swallowed\nwent on\n", "")
    endings = [(entry["status"], entry["end_reason"]) for entry in ExperimentManager(base).list_experiments()]
    first = ("completed", "returned") if where == "inside" else ("interrupted", "sigterm")
    assert endings == [first, ("completed", "returned")]


def test_a_default_ctrl_c_dies_of_it(script, base):
    """Ctrl-C kills a host that has set SIG_DFL for it, and the record has that reason."""
    done = script.run(
        """
        import os, signal
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        from runbook import experiment
        with experiment({"a": 1}):
            os.kill(os.getpid(), signal.SIGINT)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (-SIGINT, "", "")
    (entry,) = ExperimentManager(base).list_experiments()
    assert (entry["status"], entry["end_reason"]) == ("interrupted", "keyboard")


def test_a_c_level_handler_is_not_lost(script):
    """`faulthandler.register` prints the traceback and lets the program continue, inside and after a block."""
    done = script.run(
        """
        import faulthandler, os, signal
        faulthandler.register(signal.SIGTERM)
        from runbook import experiment
        with experiment({"a": 1}):
            os.kill(os.getpid(), signal.SIGTERM)
            print("inside", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        print("after", flush=True)
        """
    )
    assert (done.returncode, done.stdout) == (0, "inside\nafter\n")
    assert done.stderr.count("most recent call first") == 2
