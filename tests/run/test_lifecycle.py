"""An experiment from its start to its end, inside one process."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback

import pytest

from runbook import ExperimentManager, current_experiment, errors, experiment, tracked
from runbook.read.view import record_of
from runbook.run import lifecycle

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


class Boom(Exception):
    """The user's error."""


@pytest.fixture(autouse=True)
def _nothing_is_left_in_the_process():
    """After each experiment the process is as it was: handlers, current experiment, temporary state."""
    before = [signal.getsignal(signum) for signum in SIGNALS]
    yield
    left = (current_experiment(), [signal.getsignal(signum) for signum in SIGNALS])
    # One test that leaves something behind must not fail all that follow it.
    for life in list(lifecycle._open.values()):
        life.close()
    lifecycle._current.set(())
    # Of the experiments whose folders a test has broken.
    lifecycle._unrecorded.clear()
    assert left == (None, before)


def read(manager, experiment_id) -> tuple[str, str | None]:
    """Status and end reason, from the record and the registry, which must agree."""
    view = manager.get_experiment(experiment_id)
    (entry,) = [entry for entry in manager.list_experiments() if entry["experiment_id"] == experiment_id]
    assert (entry["status"], entry["end_reason"]) == (view.status, view.end_reason)
    return str(view.status), None if view.end_reason is None else str(view.end_reason)


def in_child(action) -> None:
    """Run an action in a forked child; fail with the child's message if it fails there."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
            action()
            code = 0
        except BaseException:
            os.write(writing, traceback.format_exc().encode()[-3000:])
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, text


# What comes out of the block


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Boom("x"), ("failed", "exception")),
        (KeyboardInterrupt(), ("interrupted", "keyboard")),
        (SystemExit(0), ("completed", "exit")),
        (SystemExit(3), ("failed", "exit")),
        (SystemExit("text"), ("failed", "exit")),
        (SystemExit(143), ("interrupted", "sigterm")),
        (asyncio.CancelledError(), ("interrupted", "cancelled")),
        (GeneratorExit(), ("interrupted", "closed")),
        (ExceptionGroup("g", [Boom()]), ("failed", "exception")),
        (StopIteration(), ("failed", "exception")),
    ],
    ids=repr,
)
def test_the_exception_that_leaves_the_block_is_the_users_own(manager, error, expected):
    """It is the same object, with the user's frames only, and nothing was added to it."""
    kept_args = error.args
    with contextlib.suppress(BaseException):
        raise error
    error.__traceback__ = None
    try:
        with manager.experiment({"a": 1}) as exp:
            raise error
    except BaseException as caught:
        assert caught is error
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)] == [
        "test_the_exception_that_leaves_the_block_is_the_users_own"
    ]
    assert (error.__context__, error.__cause__, error.__suppress_context__) == (None, None, False)
    assert error.args == kept_args
    assert not getattr(error, "__notes__", None)
    assert read(manager, exp.id) == expected


def test_the_context_and_cause_of_the_users_exception_stay(manager):
    """An error chain goes through the block as it was built."""
    cause, context = Boom("cause"), Boom("context")
    error = Boom("outer")
    with pytest.raises(Boom) as caught, manager.experiment({"a": 1}):
        try:
            raise context
        except Boom:
            raise error from cause
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (cause, context)
    assert (cause.__context__, context.__context__) == (None, None)


def test_an_exception_being_handled_around_the_block_stays_the_context(manager):
    """A block inside an `except` clause: Python's own chain is as without us."""
    outer, inner = Boom("outer"), Boom("inner")
    with contextlib.suppress(Boom):
        try:
            raise outer
        except Boom:
            with manager.experiment({"a": 1}):
                raise inner
    assert inner.__context__ is outer
    assert sys.exc_info() == (None, None, None)


@pytest.mark.parametrize("kind", ["function", "generator", "coroutine"])
def test_the_exception_of_a_tracked_function_is_its_own(manager, kind):
    """The last frame is the user's, the object is the user's, and nothing is chained to it."""
    error = Boom("x")

    def fail():
        raise error

    async def fail_async():
        raise error

    def fail_later():
        yield 1
        raise error

    with pytest.raises(Boom) as caught:
        if kind == "function":
            manager.tracked(fail)()
        elif kind == "coroutine":
            asyncio.run(manager.tracked(fail_async)())
        else:
            list(manager.tracked(fail_later)())
    assert caught.value is error
    assert (error.__context__, error.__cause__) == (None, None)
    assert traceback.extract_tb(error.__traceback__)[-1].name.startswith("fail")
    (entry,) = manager.list_experiments()
    failure = record_of(manager.get_experiment(entry["experiment_id"])).failure
    assert failure.type.endswith("Boom")
    first = next(line for line in failure.traceback.splitlines() if line.lstrip().startswith("File"))
    assert "fail" in first


class ExitsWhenPrinted(Exception):
    def __str__(self):
        return sys.exit(3)


class HostileExit(SystemExit):
    @property
    def code(self):
        raise Boom("no code")


class ArrayLike:
    def __eq__(self, other):
        raise ValueError("ambiguous")

    __hash__ = None


def deep_group() -> BaseException:
    error: BaseException = Boom()
    for _ in range(3 * sys.getrecursionlimit()):
        error = ExceptionGroup("g", [error])
    return error


@pytest.mark.parametrize(
    "make",
    [ExitsWhenPrinted, HostileExit, lambda: SystemExit(ArrayLike()), deep_group],
    ids=["printing exits", "no code", "incomparable code", "deep group"],
)
def test_a_hostile_exception_comes_out_untouched(manager, make):
    """Whatever the exception's methods do, it leaves the block unchanged, and the experiment has failed."""
    error = make()
    caught = None
    try:
        with manager.experiment({"a": 1}) as exp:
            raise error
    except BaseException as came_out:
        caught = came_out
    try:
        assert caught is error
        assert error.__context__ is None
        assert read(manager, exp.id)[0] == "failed"
    finally:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]


def test_an_error_in_finally_is_the_one_that_counts(manager):
    """The record has the error that the terminal shows, and its traceback has both."""
    with pytest.raises(KeyError), manager.experiment({"a": 1}) as exp:
        try:
            raise Boom("first")
        finally:
            raise KeyError("second")
    record = record_of(manager.get_experiment(exp.id))
    assert record.failure.type == "KeyError"
    assert "first" in record.failure.traceback
    assert (exp.logs_dir / "traceback.txt").read_text() == record.failure.traceback


def test_a_status_set_by_hand_is_kept_whatever_follows(manager):
    """`finish` decides the status; the exception still leaves the block."""
    with pytest.raises(Boom), manager.experiment({"a": 1}) as exp:
        exp.finish("completed", notes="good enough")
        raise Boom
    assert read(manager, exp.id) == ("completed", "marked")
    assert manager.get_experiment(exp.id).notes == "good enough"


def test_leaving_by_return_break_and_continue_completes(manager):
    """Every way out that is no exception is a return."""

    def early():
        with manager.experiment({"way": "return"}):
            return "value"

    assert early() == "value"
    for way in ("break", "continue"):
        for _ in (1,):
            with manager.experiment({"way": way}):
                if way == "break":
                    break
                continue
    assert [(entry["status"], entry["end_reason"]) for entry in manager.list_experiments()] == [
        ("completed", "returned")
    ] * 3


def test_a_suppressed_exception_inside_the_block_is_no_ending(manager):
    """What never leaves the block does not concern the record."""
    with manager.experiment({"a": 1}) as exp:
        with contextlib.suppress(Boom):
            raise Boom
        with contextlib.suppress(SystemExit):
            sys.exit(3)
        with contextlib.suppress(KeyboardInterrupt):
            raise KeyboardInterrupt
    assert read(manager, exp.id) == ("completed", "returned")


def test_an_exit_stack_ends_each_with_what_it_saw(manager):
    """The inner block fails; something between them swallows that; the outer one completes."""
    with contextlib.ExitStack() as stack:
        outer = stack.enter_context(manager.experiment({"outer": 1}))
        stack.enter_context(contextlib.suppress(Boom))
        inner = stack.enter_context(manager.experiment({"inner": 1}))
        raise Boom
    assert read(manager, inner.id)[0] == "failed"
    assert read(manager, outer.id) == ("completed", "returned")


# One block, one experiment


def test_a_block_cannot_be_entered_twice(manager):
    """A second experiment needs a second call; the message explains that, and the first is unchanged."""
    block = manager.experiment({"a": 1})
    with block as exp, pytest.raises(errors.UsageError, match="call experiment") as caught, block:
        pass
    assert isinstance(caught.value, RuntimeError)
    with pytest.raises(errors.UsageError, match="call experiment"), block:
        pass
    assert read(manager, exp.id) == ("completed", "returned")
    assert len(manager.list_experiments()) == 1


def test_a_block_that_could_not_start_cannot_be_entered_again(tmp_path):
    """Entering it again raises an error and writes nothing."""
    (tmp_path / "file").write_text("x")
    block = experiment({"a": 1}, base_dir=tmp_path / "file")
    with pytest.raises(errors.BaseDirectoryError), block:
        pass
    with pytest.raises(errors.RunbookError), block:
        pass
    assert (tmp_path / "file").read_text() == "x"


def test_a_block_that_was_never_entered_makes_nothing(manager, base):
    """Calling `experiment()` only plans."""
    before = sorted(base.rglob("*"))
    manager.experiment({"a": 1})
    experiment({"a": 1}, base_dir=base)
    assert sorted(base.rglob("*")) == before


# The birth fails


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda base: base.write_text("x"), "file"),
        (lambda base: (base.mkdir(), (base / ".runbook").write_text("x")), "file"),
        (lambda base: base.symlink_to(base), "base directory"),
    ],
    ids=["the base is a file", "our folder is a file", "the base is a loop of links"],
)
def test_a_birth_that_fails_leaves_nothing_behind(base, spoil, words):
    """The start raises an error before the user's code runs, and leaves nothing on disk."""
    spoil(base)
    before = {path: path.is_dir() for path in base.parent.rglob("*")}
    ran = []
    with pytest.raises(errors.BaseDirectoryError, match=words), experiment({"a": 1}, base_dir=base):
        ran.append(1)
    assert not ran
    assert {path: path.is_dir() for path in base.parent.rglob("*")} == before
    assert current_experiment() is None


def test_a_birth_that_fails_inside_another_experiment_leaves_that_alone(manager, tmp_path):
    """The outer one stays the current one and ends by itself."""
    (tmp_path / "file").write_text("x")
    with manager.experiment({"a": 1}) as outer:
        with pytest.raises(OSError), experiment({"b": 1}, base_dir=tmp_path / "file"):
            pass
        assert current_experiment() is outer
        outer.log(loss=1)
    assert read(manager, outer.id) == ("completed", "returned")


def test_a_config_that_is_none_leaves_nothing_behind(manager, base):
    """Bad input never half-creates an experiment."""
    before = sorted(base.rglob("*"))
    with pytest.raises(errors.ConfigError, match="pass a mapping"):
        manager.create_experiment(42)
    assert sorted(base.rglob("*")) == before
    assert manager.list_experiments() == []


def test_a_tracked_call_with_wrong_arguments_makes_nothing(manager):
    """The TypeError is the function's own, and no experiment was begun."""

    @manager.tracked
    def train(lr):
        return lr

    with pytest.raises(TypeError, match="lr"):
        train()
    with pytest.raises(TypeError, match="typo"):
        train(1, typo=2)
    assert manager.list_experiments() == []


# The closing fails


def gone(exp) -> None:
    shutil.rmtree(exp.path)


def replaced_by_a_file(exp) -> None:
    shutil.rmtree(exp.path)
    exp.path.write_text("x")


def record_is_a_folder(exp) -> None:
    (exp.path / "experiment.json").unlink()
    (exp.path / "experiment.json").mkdir()
    (exp.path / "experiment.json" / "inside").touch()


def logs_are_gone(exp) -> None:
    shutil.rmtree(exp.logs_dir)


def base_is_gone(exp) -> None:
    shutil.rmtree(exp.path.parent)


BROKEN = [gone, replaced_by_a_file, record_is_a_folder, base_is_gone]


@pytest.mark.parametrize("breaks", BROKEN, ids=lambda f: f.__name__)
def test_a_closing_that_fails_costs_no_result(manager, caplog, breaks):
    """The training is over and its result counts; a warning names what is missing."""

    @manager.tracked
    def train(exp):
        breaks(exp)
        return {"accuracy": 0.9}

    assert train() == {"accuracy": 0.9}
    assert current_experiment() is None
    assert "could not be" in caplog.text


@pytest.mark.parametrize("breaks", [*BROKEN, logs_are_gone], ids=lambda f: f.__name__)
def test_a_closing_that_fails_keeps_the_users_exception(manager, caplog, breaks):
    """The user's exception is raised with nothing chained to it; a warning names what is missing."""
    error = Boom("the user's")
    with pytest.raises(Boom) as caught, manager.experiment({"a": 1}) as exp:
        breaks(exp)
        raise error
    assert caught.value is error
    assert (error.__context__, error.__cause__) == (None, None)
    assert exp.id in caplog.text


def test_an_ending_is_recorded_even_where_the_traceback_has_no_place(manager, caplog):
    """The status matters more than the text of the traceback, which the record holds as well."""
    with pytest.raises(Boom), manager.experiment({"a": 1}) as exp:
        logs_are_gone(exp)
        raise Boom
    assert read(manager, exp.id) == ("failed", "exception")


def test_an_ending_is_recorded_even_where_the_history_has_no_place(manager, caplog):
    """The same for the folder of the metrics."""
    with manager.experiment({"a": 1}) as exp:
        exp.log(loss=1)
        shutil.rmtree(exp.metrics_dir)
    assert read(manager, exp.id) == ("completed", "returned")


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="this system has no limit on the size of files")
def test_a_full_disk_at_the_end_costs_neither_result_nor_exception(script, base):
    """The disk fails in the middle of the block; the program ends as it would without us."""
    done = script.run(
        """
        import resource
        from runbook import experiment, tracked

        def fill():
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

        def free():
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

        @tracked
        def train(exp):
            fill()
            return {"accuracy": 0.9}

        print(train())
        free()
        try:
            with experiment({"a": 1}) as exp:
                fill()
                raise ValueError("mine")
        except ValueError as error:
            print(error, error.__context__)
        try:
            with experiment({"b": 1}) as exp:
                pass
        except OSError as error:
            print(type(error).__name__)
        free()
        with experiment({"c": 1}) as exp:
            pass
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["{'accuracy': 0.9}", "mine None", "BaseDirectoryError"]
    assert done.stderr.count("could not be recorded") == 2
    # The two that could not be closed are closed when the program ends. Nothing is left of the one that did not start.
    statuses = sorted(entry["status"] for entry in ExperimentManager(base).list_experiments())
    assert statuses == ["completed", "completed", "failed"]


@needs_fork
def test_a_forked_child_leaves_the_unrecorded_endings_of_its_parent_alone(script, base):
    """It exits as any program does, and the parent, which goes on, is the one that tries again."""
    done = script.run(
        """
        import os, shutil, sys
        from runbook import experiment

        try:
            with experiment({"a": 1}) as exp:
                record = exp.path / "experiment.json"
                record.rename(exp.path / "aside")
                (record / "inside").mkdir(parents=True)
                raise ValueError("mine")
        except ValueError:
            pass
        shutil.rmtree(record)
        (exp.path / "aside").rename(record)
        traceback = exp.path / "logs" / "traceback.txt"
        traceback.unlink()
        print("the child now", file=sys.stderr, flush=True)
        pid = os.fork()
        if pid == 0:
            sys.exit(0)
        os.waitpid(pid, 0)
        print(traceback.exists(), '"running"' in record.read_text())
        """
    )
    assert (done.returncode, done.stdout) == (0, "False True\n"), done.stderr
    assert done.stderr.count("could not be recorded") == 1
    assert done.stderr.endswith("the child now\n")
    (entry,) = ExperimentManager(base).list_experiments()
    assert entry["status"] == "failed"
    assert "mine" in (base / entry["experiment_id"] / "logs" / "traceback.txt").read_text()


def test_threads_of_a_worker_that_exits_end_their_experiments_themselves(script, base):
    """A worker of multiprocessing waits for its threads after its own functions for the exit have run."""
    done = script.run(
        """
        import multiprocessing, threading
        from multiprocessing.util import Finalize
        from runbook import experiment

        def train(has_begun, may_end):
            with experiment({"lr": 0.1}, name="thread") as exp:
                has_begun.set()
                may_end.wait(30)
                exp.log(loss=0.5)

        def work():
            has_begun, may_end = threading.Event(), threading.Event()
            with experiment({}, name="worker"):
                pass
            # Of the functions for the exit the last one, so that ours have run before the thread goes on.
            Finalize(None, may_end.set, exitpriority=-1000)
            threading.Thread(target=train, args=(has_begun, may_end)).start()
            assert has_begun.wait(30)

        if __name__ == "__main__":
            worker = multiprocessing.get_context("spawn").Process(target=work)
            worker.start()
            worker.join()
            raise SystemExit(worker.exitcode)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    view = ExperimentManager(base).get_experiment("thread")
    assert (str(view.status), str(view.end_reason)) == ("completed", "returned")
    assert view.metrics == {"loss": 0.5}


def test_mark_complete_that_fails_raises_and_the_experiment_goes_on(manager):
    """The user asked for it explicitly, so it raises; after the disk is repaired it can be called again."""
    folder = manager.create_experiment({"a": 1})
    record = folder / "experiment.json"
    record.rename(folder / "aside")
    record.mkdir()
    (record / "inside").touch()
    with pytest.raises(OSError):
        manager.mark_complete()
    assert current_experiment() is not None
    shutil.rmtree(record)
    (folder / "aside").rename(record)
    manager.mark_complete(notes="at last")
    assert read(manager, folder.name) == ("completed", "marked")


# Which is the current one


def test_there_is_none_outside():
    """Nothing runs, nothing is current."""
    assert current_experiment() is None


def test_the_innermost_is_the_current_one_and_knows_its_parent(manager):
    """Blocks, tracked functions and the legacy way nest in each other."""
    seen = []

    @manager.tracked
    def inner(lr, exp):
        assert current_experiment() is exp
        with manager.experiment({"depth": 3}) as deepest:
            assert current_experiment() is deepest
            seen.append((deepest.id, exp.id))
        assert current_experiment() is exp
        return exp.id

    with manager.experiment({"depth": 1}) as outer:
        assert outer.parent is None
        inner_id = inner(0.1)
        seen.append((inner_id, outer.id))
        created = manager.create_experiment({"depth": 2}).name
        assert current_experiment().id == created
        manager.mark_complete()
        seen.append((created, outer.id))
        assert current_experiment() is outer
    for child, parent in seen:
        assert manager.get_experiment(child).parent == parent
        (entry,) = [entry for entry in manager.list_experiments() if entry["experiment_id"] == child]
        assert entry["parent"] == parent
    assert manager.get_experiment(outer.id).parent is None


def test_experiments_side_by_side_are_no_parents(manager):
    """The parent is the one it was started in, not the one before it."""
    with manager.experiment({"a": 1}):
        pass
    with manager.experiment({"a": 2}) as second:
        pass
    assert second.parent is None


def test_blocks_may_close_out_of_order(manager):
    """Whoever is left is the current one."""
    first, second = manager.experiment({"n": 1}), manager.experiment({"n": 2})
    first.open()
    inner = second.open()
    first.close()
    assert current_experiment() is inner
    second.close()
    assert current_experiment() is None
    assert {entry["status"] for entry in manager.list_experiments()} == {"completed"}


def test_closing_twice_is_closing_once(manager):
    """The first ending stands."""
    block = manager.experiment({"a": 1})
    exp = block.open()
    block.close()
    block.close(Boom())
    assert read(manager, exp.id) == ("completed", "returned")


def test_each_thread_has_its_own(manager):
    """Threads that train side by side do not see each other's experiments, and a fresh thread sees none."""
    barrier = threading.Barrier(4, timeout=60)
    problems, seen = [], {}

    @manager.tracked
    def train(number, exp):
        barrier.wait()
        current_experiment().log(number=number)
        barrier.wait()
        assert current_experiment() is exp
        seen[number] = exp.id

    def work(number):
        try:
            assert current_experiment() is None
            train(number)
            assert current_experiment() is None
        except BaseException as error:
            problems.append(error)
            barrier.abort()

    with manager.experiment({"main": True}) as outer:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert current_experiment() is outer
    assert problems == []
    assert len(set(seen.values())) == 4
    for number, experiment_id in seen.items():
        view = manager.get_experiment(experiment_id)
        assert view.history()["number"] == [number]
        assert view.parent is None


def test_a_thread_in_the_context_of_the_block_sees_its_experiment(manager):
    """`asyncio.to_thread` and `copy_context` carry it over, as they carry every context variable."""
    with manager.experiment({"a": 1}) as exp:
        seen = []
        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: context.run(lambda: seen.append(current_experiment())))
        thread.start()
        thread.join()
        seen.append(asyncio.run(asyncio.to_thread(current_experiment)))
    assert seen == [exp, exp]


def test_each_task_has_its_own(manager):
    """Twenty tracked coroutines take turns; each sees its own experiment at every turn."""

    @manager.tracked
    async def train(number, exp):
        for _ in range(3):
            assert current_experiment() is exp
            await asyncio.sleep(0)
        return exp.id

    async def main():
        assert current_experiment() is None
        ids = await asyncio.gather(*(train(number) for number in range(20)))
        assert current_experiment() is None
        return ids

    ids = asyncio.run(main())
    assert len(set(ids)) == 20
    assert {manager.get_experiment(one).parent for one in ids} == {None}


def test_tasks_started_inside_a_block_are_its_children(manager):
    """They inherit it as their parent, and their own experiments stay theirs."""

    async def child(number):
        async with manager.experiment({"child": number}) as exp:
            await asyncio.sleep(0)
            assert current_experiment() is exp
        return exp.id

    async def main():
        async with manager.experiment({"outer": True}) as outer:
            ids = await asyncio.gather(*(child(number) for number in range(5)))
            assert current_experiment() is outer
        return outer.id, ids

    outer, ids = asyncio.run(main())
    assert {manager.get_experiment(one).parent for one in ids} == {outer}


def test_a_task_that_outlives_the_block_no_longer_sees_it(manager):
    """An experiment that has ended is never the current one."""
    seen = []

    async def late(done):
        seen.append(current_experiment().id)
        await done.wait()
        seen.append(current_experiment())

    async def main():
        done = asyncio.Event()
        async with manager.experiment({"a": 1}) as exp:
            task = asyncio.create_task(late(done))
            await asyncio.sleep(0)
        done.set()
        await task
        return exp.id

    experiment_id = asyncio.run(main())
    assert seen == [experiment_id, None]


def test_generators_that_take_turns_do_not_mix(manager):
    """Between two `yield`s the caller has its own current experiment."""

    @manager.tracked
    def batches(number, exp):
        for _ in range(3):
            assert current_experiment() is exp
            yield exp.id

    with manager.experiment({"outer": True}) as outer:
        for one, two in zip(batches(1), batches(2), strict=True):
            assert one != two
            assert current_experiment() is outer
    ended = {entry["experiment_id"]: entry for entry in manager.list_experiments()}
    assert {entry["status"] for entry in ended.values()} == {"completed"}
    assert [entry["parent"] for entry in ended.values() if entry["experiment_id"] != outer.id] == [outer.id] * 2


def test_a_generator_that_nobody_finishes_is_closed(manager):
    """Garbage collection closes it, the record has that reason, and no state is left."""

    @manager.tracked
    def batches(exp):
        yield exp.id
        yield "never asked for"

    generator = batches()
    experiment_id = next(generator)
    del generator
    gc.collect()
    assert read(manager, experiment_id) == ("interrupted", "closed")


def test_an_async_generator_that_is_closed_is_closed(manager):
    """`aclose` leaves the same record."""

    @manager.tracked
    async def batches(exp):
        yield exp.id
        yield "never asked for"

    async def main():
        generator = batches()
        experiment_id = await anext(generator)
        await generator.aclose()
        return experiment_id

    assert read(manager, asyncio.run(main())) == ("interrupted", "closed")


# asyncio's own endings


def test_a_timeout_around_the_block_cancels_it(manager):
    """The block sees a cancellation; that it was a timeout is known only outside of it."""
    ids = []

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                async with manager.experiment({"a": 1}) as exp:
                    ids.append(exp.id)
                    await asyncio.Event().wait()

    asyncio.run(main())
    assert read(manager, *ids) == ("interrupted", "cancelled")


def test_a_timeout_inside_the_block_ends_nothing(manager):
    """The program went on after it."""

    async def main():
        async with manager.experiment({"a": 1}) as exp:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0)
            exp.log(loss=1)
        return exp.id

    assert read(manager, asyncio.run(main())) == ("completed", "returned")


def test_a_timeout_that_leaves_the_block_is_an_error(manager):
    """A TimeoutError is an exception like any other."""

    async def main():
        async with manager.experiment({"a": 1}):
            await asyncio.wait_for(asyncio.Event().wait(), 0)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    (entry,) = manager.list_experiments()
    assert (entry["status"], entry["end_reason"]) == ("failed", "exception")


def test_a_task_group_that_fails_fails_the_block_and_cancels_the_siblings(manager):
    """One task breaks: its experiment failed, its sibling's was cancelled, and the one around both failed."""
    ids = {}

    async def sibling():
        async with manager.experiment({"who": "sibling"}) as exp:
            ids["sibling"] = exp.id
            await asyncio.Event().wait()

    async def breaks():
        async with manager.experiment({"who": "breaks"}) as exp:
            ids["breaks"] = exp.id
            await asyncio.sleep(0)
            raise Boom("in a task")

    async def main():
        async with manager.experiment({"who": "outer"}) as exp:
            ids["outer"] = exp.id
            async with asyncio.TaskGroup() as group:
                group.create_task(sibling())
                group.create_task(breaks())

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())
    assert caught.group_contains(Boom)
    assert read(manager, ids["sibling"]) == ("interrupted", "cancelled")
    assert read(manager, ids["breaks"]) == ("failed", "exception")
    assert read(manager, ids["outer"]) == ("failed", "exception")
    assert "in a task" in record_of(manager.get_experiment(ids["outer"])).failure.traceback


def test_a_cancelled_task_is_cancelled_and_its_cancellation_comes_out(manager):
    """The task counts as cancelled for asyncio, too."""
    ids = []

    @manager.tracked
    async def train(started, exp):
        ids.append(exp.id)
        started.set()
        await asyncio.Event().wait()

    async def main():
        started = asyncio.Event()
        task = asyncio.create_task(train(started))
        await started.wait()
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert asyncio.run(main())
    assert read(manager, *ids) == ("interrupted", "cancelled")


def test_a_cancellation_that_the_code_swallows_ends_nothing(manager):
    """Only what leaves the block counts."""
    ids = []

    async def stubborn(started):
        async with manager.experiment({"a": 1}) as exp:
            ids.append(exp.id)
            started.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def main():
        started = asyncio.Event()
        task = asyncio.create_task(stubborn(started))
        await started.wait()
        task.cancel()
        await task

    asyncio.run(main())
    assert read(manager, *ids) == ("completed", "returned")


# Threads


def test_an_experiment_may_be_closed_by_another_thread(manager):
    """A generator handed from thread to thread closes where it is."""
    block = manager.experiment({"a": 1})
    exp = contextvars.copy_context().run(block.open)
    thread = threading.Thread(target=block.close)
    thread.start()
    thread.join()
    assert read(manager, exp.id) == ("completed", "returned")
    # The handlers of the process can be put back by the main thread only: at its next experiment.
    with manager.experiment({"b": 1}):
        pass


def test_a_thread_that_outlives_the_main_threads_experiment_leaves_no_handlers(manager):
    """The last one to close is a worker; the process is as before all the same, at the next chance."""
    before = [signal.getsignal(signum) for signum in SIGNALS]
    opened, release = threading.Event(), threading.Event()

    def work():
        with manager.experiment({"worker": True}):
            opened.set()
            release.wait(60)

    thread = threading.Thread(target=work)
    with manager.experiment({"main": True}):
        thread.start()
        opened.wait(60)
    release.set()
    thread.join()
    with manager.experiment({"next": True}):
        pass
    assert [signal.getsignal(signum) for signum in SIGNALS] == before
    assert {entry["status"] for entry in manager.list_experiments()} == {"completed"}


def test_two_threads_that_close_one_experiment_close_it_once(manager):
    """A daemon thread leaves its block while the interpreter exits and closes what is open."""
    closing, go_on, problems = threading.Event(), threading.Event(), []

    class Slow(Exception):
        def __str__(self):
            closing.set()
            go_on.wait(60)
            return "slow"

    block = manager.experiment({"a": 1})

    def work():
        try:
            with block:
                raise Slow
        except Slow:
            pass
        except BaseException as error:
            problems.append(error)

    def close_too():
        try:
            block.close()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work), threading.Thread(target=close_too)]
    with manager.experiment({"main": 1}) as outer:
        threads[0].start()
        closing.wait(60)
        threads[1].start()
        threads[1].join(0.2)
        go_on.set()
        for thread in threads:
            thread.join()
    assert problems == []
    with manager.experiment({"next": 1}):
        with manager.experiment({"inner": 1}):
            pass
        # Nobody has miscounted who still watches for signals.
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert read(manager, outer.id) == ("completed", "returned")
    (other,) = [entry for entry in manager.list_experiments() if entry["config"] == {"a": 1}]
    assert other["status"] in {"failed", "completed"}


def test_an_error_in_a_thread_is_that_threads_alone(manager, monkeypatch):
    """The main thread's experiment is not concerned."""
    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_value))
    error = Boom()

    @manager.tracked
    def train():
        raise error

    with manager.experiment({"main": True}) as exp:
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    assert seen == [error]
    assert read(manager, exp.id) == ("completed", "returned")
    assert sorted(entry["status"] for entry in manager.list_experiments()) == ["completed", "failed"]


# The legacy way, in halves


def test_a_second_create_abandons_the_first_and_says_so(manager, caplog):
    """One thread runs one experiment of a manager at a time."""
    first = manager.create_experiment({"n": 1}).name
    second = manager.create_experiment({"n": 2}).name
    assert first in caplog.text
    assert "abandoned" in caplog.text
    assert read(manager, first) == ("interrupted", "abandoned")
    assert current_experiment().id == second
    manager.mark_complete()
    assert read(manager, second) == ("completed", "marked")
    assert manager.get_experiment(second).parent is None


def test_a_create_that_fails_does_not_abandon_the_one_that_runs(manager):
    """Bad input changes nothing."""
    first = manager.create_experiment({"n": 1}).name
    with pytest.raises(errors.ConfigError):
        manager.create_experiment(42)
    assert read(manager, first) == ("running", None)
    manager.mark_complete()


def test_two_managers_do_not_abandon_each_others(tmp_path):
    """Each has its own base directory and its own experiment."""
    one, two = ExperimentManager(tmp_path / "one"), ExperimentManager(tmp_path / "two")
    first, second = one.create_experiment({"n": 1}).name, two.create_experiment({"n": 2}).name
    one.mark_complete()
    assert read(one, first) == ("completed", "marked")
    assert read(two, second) == ("running", None)
    two.mark_complete("failed")
    assert read(two, second) == ("failed", "marked")


def test_mark_complete_inside_a_block_keeps_its_word(manager):
    """The end of the block does not change it."""
    with manager.experiment({"a": 1}) as exp:
        manager.mark_complete("failed", notes="diverged")
    assert read(manager, exp.id) == ("failed", "marked")


def test_an_unknown_status_changes_nothing(manager):
    """The experiment keeps running and can still be completed."""
    name = manager.create_experiment({"a": 1}).name
    with pytest.raises(errors.UnknownStatusError, match="completed, failed, interrupted"):
        manager.mark_complete("done")
    assert read(manager, name) == ("running", None)
    manager.mark_complete()


# Forked children


@needs_fork
def test_a_forked_child_never_closes_its_parents_experiment(manager):
    """It leaves the block in its own way; the record is the parent's alone."""
    for leave in ("return", "error", "exit"):
        with manager.experiment({"leave": leave}) as exp:

            def child(leave=leave, exp=exp):
                # What a child does that runs out of the parent's block.
                (life,) = lifecycle.open_here()
                life.close({"return": None, "error": Boom(), "exit": SystemExit(0)}[leave])

            in_child(child)
            assert read(manager, exp.id) == ("running", None)
        assert read(manager, exp.id) == ("completed", "returned")


@needs_fork
def test_a_forked_child_sees_and_logs_to_its_parents_experiment(manager):
    """Metrics from both processes are in one history, no line torn."""
    with manager.experiment({"a": 1}) as exp:
        exp.log(who=1, step=1)

        def child():
            assert current_experiment().id == exp.id
            for step in range(2, 200):
                current_experiment().log(who=2, step=step)
            exp.save_metrics("child", {"x": 1})

        in_child(child)
        exp.log(who=1, step=200)
    history = manager.get_experiment(exp.id).history()
    assert history["step"] == list(range(1, 201))
    assert history["who"] == [1] + [2] * 198 + [1]
    assert manager.get_experiment(exp.id).load_metrics("child") == {"x": 1}


@needs_fork
def test_a_forked_child_cannot_change_its_parents_record(manager):
    """A record has one writer."""
    with manager.experiment({"a": 1}, tags=["mine"]) as exp:
        before = (exp.path / "experiment.json").read_bytes()

        def child():
            exp.finish("failed")
            exp.note("from the child")
            exp.add_tags("child")

        in_child(child)
        assert (exp.path / "experiment.json").read_bytes() == before
        exp.note("from the parent")
    assert read(manager, exp.id) == ("completed", "returned")
    assert manager.get_experiment(exp.id).notes == "from the parent"


@needs_fork
def test_a_forked_child_may_have_an_experiment_of_its_own(manager):
    """It records the parent's as its parent, and ends by itself."""
    with manager.experiment({"a": 1}) as exp:

        def child():
            with manager.experiment({"child": 1}) as own:
                assert own.parent == exp.id
                assert current_experiment() is own
            assert current_experiment().id == exp.id

        in_child(child)
    entries = {entry["parent"]: entry for entry in manager.list_experiments()}
    assert entries[exp.id]["status"] == "completed"
    record = json.loads((manager.base_dir / entries[exp.id]["experiment_id"] / "experiment.json").read_text())
    assert record["attempts"][0]["owner"]["pid"] != os.getpid()


@needs_fork
def test_a_forked_child_has_the_handlers_from_before(manager):
    """The child has neither its parent's experiment nor its parent's signal handlers."""
    before = [signal.getsignal(signum) for signum in SIGNALS]
    with manager.experiment({"a": 1}):

        def child():
            assert [signal.getsignal(signum) for signum in SIGNALS] == before

        in_child(child)


@pytest.mark.slow
@needs_fork
def test_a_child_forked_while_another_thread_logs_is_not_stuck(manager):
    """A lock that a thread of the parent held at the fork does not block the child."""
    stop = threading.Event()
    with manager.experiment({"a": 1}) as exp:

        def log():
            while not stop.is_set():
                exp.log(loss=1.0)
                exp.note("x")

        thread = threading.Thread(target=log)
        thread.start()
        try:
            for _ in range(10):

                def child():
                    signal.alarm(20)
                    exp.log(child=1.0)
                    with manager.experiment({"child": 1}):
                        pass

                in_child(child)
        finally:
            stop.set()
            thread.join()
    assert manager.get_experiment(exp.id).history()["child"].count(1.0) == 10


@needs_fork
def test_a_child_of_a_child_is_on_its_own(manager):
    """Forks of forks."""
    with manager.experiment({"a": 1}) as exp:

        def child():
            with manager.experiment({"child": 1}) as own:

                def grandchild():
                    own.log(deep=1)
                    with manager.experiment({"grandchild": 1}) as deepest:
                        assert deepest.parent == own.id

                in_child(grandchild)

        in_child(child)
    assert [entry["status"] for entry in manager.list_experiments()] == ["completed"] * 3
    assert read(manager, exp.id) == ("completed", "returned")


# Disabled


def test_disabled_blocks_change_neither_result_nor_exception(monkeypatch, tmp_path):
    """The same program with `RUNBOOK_MODE=disabled` ends the same way."""
    monkeypatch.setenv("RUNBOOK_MODE", "disabled")
    monkeypatch.chdir(tmp_path)
    error = Boom()

    @tracked
    def train(exp):
        exp.log(loss=1)
        assert current_experiment() is exp
        return {"f1": 1}

    assert train() == {"f1": 1}
    with pytest.raises(Boom) as caught, experiment({"a": 1}) as exp:
        raise error
    assert caught.value is error
    assert error.__context__ is None
    assert exp.status == "failed"
    assert list(tmp_path.iterdir()) == []


def test_ending_times_are_in_order(manager):
    """An experiment ends after it began, in UTC, and its attempt ends with it."""
    with manager.experiment({"a": 1}) as exp:
        time.sleep(0)
    record = record_of(manager.get_experiment(exp.id))
    assert record.timestamp <= record.completed_at
    assert record.completed_at.utcoffset().total_seconds() == 0
    assert record.attempts[-1].ended_at == record.completed_at
    assert record.attempts[-1].end_reason == record.end_reason
