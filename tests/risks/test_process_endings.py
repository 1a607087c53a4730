"""The truth table: real processes end in every way, and another process reads what became of their experiments.

Each program runs twice, once without a line of tracking: its exit code and the last line that it prints must not differ.
To be quick, one process imports everything and forks a fresh program for each scenario; that program runs as the main
program of its own process, to the interpreter's own end.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from runbook import ExperimentManager
from runbook.read.view import record_of

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
]

TIMEOUT_S = 30

PROGRAMS = '''
import asyncio
import contextlib
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import time

STOP = threading.Event()


def is_plain():
    return "PLAIN" in os.environ


def ready(number=1):
    """Tell the test that the signal may come."""
    path = os.path.join(os.environ["SCENARIO"], f"ready{number}")
    with open(path + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(path + ".part", path)


def block(**config):
    if is_plain():
        return contextlib.nullcontext()
    from runbook import experiment

    return experiment(config, name=config.get("name"))


def track(function):
    if is_plain():
        return function
    from runbook import tracked

    return tracked(function)


def pause():
    if threading.current_thread() is threading.main_thread():
        # In pieces: Python sees a signal that arrives just before it falls asleep only when it wakes up.
        for _ in range(60):
            time.sleep(1)
    else:
        STOP.wait(60)


def body(ending):
    if ending == "exception":
        raise ValueError("boom")
    if ending == "exception in finally":
        try:
            raise KeyError("first")
        finally:
            raise ValueError("second")
    if ending == "sys.exit(0)":
        sys.exit(0)
    if ending == "sys.exit(3)":
        sys.exit(3)
    if ending == "sys.exit(text)":
        sys.exit("text")
    if ending in ("SIGINT", "SIGTERM", "SIGHUP"):
        ready()
        pause()
    if ending == "SIGINT twice":
        try:
            ready()
            pause()
        finally:
            ready(2)
            pause()
    if ending == "SIGHUP under nohup":
        os.kill(os.getpid(), signal.SIGHUP)
    if ending == "SIGTERM in asyncio":
        ready()
        asyncio.run(asyncio.sleep(60))
    if ending == "SIGTERM in thread.join":
        thread = threading.Thread(target=STOP.wait, daemon=True)
        thread.start()
        ready()
        thread.join()
    if ending == "SIGTERM in queue.get":
        ready()
        queue.Queue().get()
    if ending == "SIGTERM in subprocess.run":
        # Ends when this process does: the other end of the pipe is here.
        reading, writing = os.pipe()
        ready()
        subprocess.run(["cat"], stdin=reading, stdout=subprocess.DEVNULL)
    if ending == "SIGTERM in a C call":
        ready()
        sum(range(30_000_000))
        time.sleep(60)
    if ending == "os._exit(1)":
        os._exit(1)
    if ending == "os.abort":
        os.abort()
    if ending == "segmentation fault":
        import ctypes

        ctypes.string_at(0)
    if ending == "SIGKILL":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"accuracy": 1.0}


async def async_body(ending):
    if ending in ("SIGINT", "SIGTERM", "SIGHUP", "SIGTERM in asyncio"):
        ready()
        await asyncio.sleep(60)
    if ending == "SIGINT twice":
        try:
            ready()
            await asyncio.sleep(60)
        finally:
            ready(2)
            await asyncio.sleep(60)
    return body(ending)


def steps(ending):
    yield 1
    body(ending)
    yield 2


def with_block(ending):
    with block(ending=ending):
        body(ending)


def decorator(ending):
    track(body)(ending)


def async_decorator(ending):
    asyncio.run(track(async_body)(ending))


def generator(ending):
    for _ in track(steps)(ending):
        pass


def legacy(ending):
    if is_plain():
        body(ending)
        return
    from runbook import ExperimentManager

    manager = ExperimentManager(os.environ["RUNBOOK_DIR"])
    manager.create_experiment({"ending": ending})
    body(ending)
    manager.mark_complete()


def worker_thread(ending):
    done = threading.Event()

    def work():
        try:
            with_block(ending)
        finally:
            done.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        STOP.set()
        # Not `join`: an interrupted one takes the thread for ended (python/cpython#90882 and relatives).
        done.wait()
        raise


def forked_child(ending):
    with block(name="parent"):
        pid = os.fork()
        if pid == 0:
            # It leaves its own block, then its parent's, and runs to the end of the program.
            with_block(ending)
            return
        print("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def worker_process(method, ending):
    process = multiprocessing.get_context(method).Process(target=with_block, args=(ending,))
    process.start()
    process.join()
    print("worker", process.exitcode)


def forked_worker(ending):
    with block(name="parent"):
        worker_process("fork", ending)


def spawned_worker(ending):
    worker_process("spawn", ending)
'''

SERVER = '''
import json
import os
import sys

import programs


def next_job():
    """Fork a program for each line of input; give the job back in the program, and None at the end."""
    for line in iter(sys.stdin.readline, ""):
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            return job
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    return None


def prepare(job):
    os.chdir(job["folder"])
    os.environ.update(job["environment"])
    for number, name, flags in ((0, "/dev/null", os.O_RDONLY), (1, "out", os.O_WRONLY | os.O_CREAT), (2, "err", os.O_WRONLY | os.O_CREAT)):
        descriptor = os.open(name, flags, 0o666)
        os.dup2(descriptor, number)
        os.close(descriptor)


if __name__ == "__main__":
    import resource

    import runbook.api.manager
    import runbook.api.tracking

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    job = next_job()
    if job is not None:
        prepare(job)
        if job["nohup"]:
            import signal

            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if job["way"] is not None:
            getattr(programs, job["way"])(job["ending"])
        else:
            # In the namespace of the main program, or a pool could not send its functions to its workers.
            globals().update({name: value for name, value in vars(programs).items() if not name.startswith("__")})
            exec(compile(job["code"], "scenario.py", "exec"), globals())
'''


class Ended(NamedTuple):
    """What a program left behind."""

    code: int
    out: str
    err: str

    @property
    def visible(self) -> tuple[int, str, str]:
        """What its caller sees: the exit code, its output and the last line that it printed."""
        return self.code, self.out, (self.err.strip().splitlines() or [""])[-1]


class Server:
    """Forks programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "programs.py").write_text(PROGRAMS)
        (folder / "server.py").write_text(SERVER)
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            environment = {name: value for name, value in os.environ.items() if not name.startswith("RUNBOOK")}
            self._process = subprocess.Popen(
                [sys.executable, str(self.folder / "server.py")],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
        return self._process

    def _line(self, deadline: float) -> int:
        process = self._started()
        found = b""
        while not found.endswith(b"\n"):
            readable, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
            if not readable:
                raise TimeoutError("the program does not end")
            byte = process.stdout.read(1)
            assert byte, "the server died"
            found += byte
        return int(found)

    def run(self, base: Path, *, signals=(), **job) -> Ended:
        """Run one program to its end, sending it signals one after another each time it reports that it is ready."""
        self._count += 1
        folder = self.folder / f"{self._count}"
        folder.mkdir()
        environment = {"RUNBOOK_DIR": str(base), "SCENARIO": str(folder), **job.pop("environment", {})}
        job = {
            "folder": str(folder), "environment": environment, "nohup": False, "way": None, "ending": None, **job,
        }  # fmt: skip
        process = self._started()
        deadline = time.monotonic() + TIMEOUT_S
        process.stdin.write(json.dumps(job).encode() + b"\n")
        pid = self._line(deadline)
        try:
            for number, signum in enumerate(signals, 1):
                target = self._ready(folder, number, deadline)
                if target is not None:
                    os.kill(target, signum)
            code = self._line(deadline)
        except TimeoutError:
            for file in sorted(folder.glob("ready*")):
                self._kill(int(file.read_text()))
            self._kill(pid)
            self._line(time.monotonic() + TIMEOUT_S)
            pytest.fail(f"the program hangs; it printed: {(folder / 'err').read_text()}")
        return Ended(code, (folder / "out").read_text(), (folder / "err").read_text())

    def _ready(self, folder: Path, number: int, deadline: float) -> int | None:
        path = folder / f"ready{number}"
        while not path.exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the program never became ready ({number})")
            if select.select([self._process.stdout], [], [], 0)[0]:
                return None  # It has ended already.
            time.sleep(0.002)
        target = int(path.read_text())
        # It reports that a moment before it begins to wait; a few more moments and it does wait.
        asleep = 0
        for _ in range(100):
            asleep = asleep + 1 if _state(target) in {"S", None} else 0
            if asleep == 3:
                break
            time.sleep(0.002)
        return target

    @staticmethod
    def _kill(pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def close(self) -> None:
        if self._process is not None:
            self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait(TIMEOUT_S)


def _state(pid: int) -> str | None:
    """The state of a process in one letter; None where the system does not provide it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return None


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The process that forks the programs of this file."""
    server = Server(tmp_path_factory.mktemp("programs"))
    yield server
    server.close()


@pytest.fixture
def program(server, base):
    """Runs a piece of code as a program, with tracking and without."""

    def run(code: str, *, signals=(), plain: bool = False, **environment: str) -> Ended:
        if plain:
            environment["PLAIN"] = "1"
        return server.run(base, signals=signals, code=textwrap.dedent(code), environment=environment)

    return run


@pytest.fixture
def endings(base):
    """What this process reads about all experiments, oldest first."""
    return lambda: [(entry["status"], entry["end_reason"]) for entry in ExperimentManager(base).list_experiments()]


# The table

RETURNED = ("completed", "returned")
EXCEPTION = ("failed", "exception")
EXIT = ("failed", "exit")
KEYBOARD = ("interrupted", "keyboard")
SIGTERM = ("interrupted", "sigterm")
SIGHUP = ("interrupted", "sighup")
MARKED = ("completed", "marked")
ABANDONED = ("interrupted", "abandoned")
NOTHING_FALSE = "it could record nothing, so nothing false is recorded"

ENDINGS = {
    "return": RETURNED,
    "exception": EXCEPTION,
    "exception in finally": EXCEPTION,
    "sys.exit(0)": ("completed", "exit"),
    "sys.exit(3)": EXIT,
    "sys.exit(text)": EXIT,
    "SIGINT": KEYBOARD,
    "SIGINT twice": KEYBOARD,
    "SIGTERM": SIGTERM,
    "SIGHUP": SIGHUP,
    "SIGHUP under nohup": RETURNED,
    "SIGTERM in asyncio": SIGTERM,
    "SIGTERM in thread.join": SIGTERM,
    "SIGTERM in queue.get": SIGTERM,
    "SIGTERM in subprocess.run": SIGTERM,
    "SIGTERM in a C call": SIGTERM,
    "os._exit(1)": NOTHING_FALSE,
    "os.abort": NOTHING_FALSE,
    "segmentation fault": NOTHING_FALSE,
    "SIGKILL": NOTHING_FALSE,
}
WAYS = [
    "with_block",
    "decorator",
    "async_decorator",
    "generator",
    "legacy",
    "worker_thread",
    "forked_child",
    "forked_worker",
    "spawned_worker",
]
DIFFERENT = {
    # Between create_experiment and mark_complete, an exit does not show how the experiment ended.
    ("legacy", "return"): MARKED,
    ("legacy", "SIGHUP under nohup"): MARKED,
    ("legacy", "sys.exit(0)"): ABANDONED,
    ("legacy", "sys.exit(3)"): ABANDONED,
    ("legacy", "sys.exit(text)"): ABANDONED,
    # Ctrl-C reaches the main thread, which tells the worker to stop: it returns.
    ("worker_thread", "SIGINT"): RETURNED,
    # The main thread has no experiment, so runbook may not touch the handlers of the process: it dies at once.
    ("worker_thread", "SIGTERM"): NOTHING_FALSE,
    ("worker_thread", "SIGHUP"): NOTHING_FALSE,
}


def _table():
    for way in WAYS:
        for ending in ENDINGS:
            if way == "worker_thread" and (" in " in ending or "twice" in ending) and "SIG" in ending:
                continue  # What the main thread waits in is the same in all of them: thread.join.
            if ending == "SIGTERM in a C call" and way != "with_block":
                continue  # It takes a second each.
            yield pytest.param(way, ending, id=f"{way}-{ending}")


def _signals(ending: str) -> list[int]:
    if ending == "SIGINT twice":
        return [signal.SIGINT, signal.SIGINT]
    name = ending.partition(" ")[0]
    if name in {"SIGINT", "SIGTERM", "SIGHUP"} and not ending.endswith("nohup"):
        return [getattr(signal, name)]
    return []


@pytest.mark.parametrize(("way", "ending"), list(_table()))
def test_the_truth_table(server, base, way, ending):
    """Another process reads the true ending, and the program ends as it does without a line of tracking."""
    job = {"way": way, "ending": ending, "signals": _signals(ending), "nohup": ending.endswith("nohup")}
    plain = server.run(base, environment={"PLAIN": "1"}, **job)
    assert not base.exists()
    tracked = server.run(base, **job)
    assert tracked.visible == plain.visible, tracked.err
    entries = ExperimentManager(base).list_experiments()
    parents = [entry for entry in entries if entry["custom_name"] == "parent"]
    (entry,) = [entry for entry in entries if entry["custom_name"] != "parent"]
    expected = DIFFERENT.get((way, ending), ENDINGS[ending])
    if expected is NOTHING_FALSE:
        assert entry["status"] in {"running", "interrupted"}
        assert entry["end_reason"] in {None, "vanished", "sigterm", "sighup"}
    else:
        assert (entry["status"], entry["end_reason"]) == expected
        record = json.loads((base / entry["experiment_id"] / "experiment.json").read_text())
        assert (record["status"], record["end_reason"]) == expected
        assert (record["failure"] is not None) == (expected[0] == "failed")
    # A child's end is not its parent's.
    assert [(parent["status"], parent["end_reason"]) for parent in parents] == [RETURNED] * len(parents)
    if parents:
        assert entry["parent"] == parents[0]["experiment_id"]


@pytest.mark.parametrize(
    ("ending", "type_", "message"),
    [("exception", "ValueError", "boom"), ("exception in finally", "ValueError", "second"), ("sys.exit(text)", "SystemExit", "text")],
)  # fmt: skip
@pytest.mark.parametrize("way", ["decorator", "legacy"])
def test_the_record_names_what_the_terminal_showed(server, base, way, ending, type_, message):
    """Type, message and traceback of the failure are in the record and in logs/traceback.txt."""
    if way == "legacy" and "exit" in ending:
        way = "generator"
    ended = server.run(base, way=way, ending=ending)
    (entry,) = ExperimentManager(base).list_experiments()
    record = record_of(ExperimentManager(base).get_experiment(entry["experiment_id"]))
    assert (record.failure.type, record.failure.message) == (type_, message)
    text = (base / entry["experiment_id"] / "logs" / "traceback.txt").read_text()
    assert text == record.failure.traceback
    assert text.strip().splitlines()[-1] == f"{type_}: {message}"
    assert message in ended.err.strip().splitlines()[-1]


# Threads


def test_a_signal_ends_the_experiments_of_all_threads(program, endings):
    """The main thread's experiment and its workers' end by the signal, at once, as the process does."""
    code = """
    def work(opened):
        with block(name="worker"):
            opened.wait()
            STOP.wait(60)
    opened = threading.Barrier(3)
    with block(name="main"):
        threads = [threading.Thread(target=work, args=(opened,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        opened.wait()
        ready()
        pause()
    """
    plain = program(code, signals=[signal.SIGTERM], plain=True)
    assert program(code, signals=[signal.SIGTERM]).visible == plain.visible == (-signal.SIGTERM, "", "")
    assert endings() == [SIGTERM] * 3


@pytest.mark.parametrize("kind", ["thread", "executor"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, getattr(signal, "SIGHUP", 1)])
def test_threads_that_continue_do_not_keep_the_process_alive(program, endings, kind, signum):
    """Without us the signal does not wait for threads; nor does it with us."""
    code = """
    import concurrent.futures
    with block(name="main"):
        if KIND == "thread":
            threading.Thread(target=STOP.wait).start()
        else:
            executor = concurrent.futures.ThreadPoolExecutor()
            executor.submit(STOP.wait)
        ready()
        pause()
    """.replace("KIND", repr(kind))
    ended = program(code, signals=[signum])
    assert ended.visible == (-signum, "", "")
    assert endings() == [SIGTERM if signum == signal.SIGTERM else SIGHUP]


def test_a_signal_while_the_interpreter_waits_for_threads_kills_it(program, endings):
    """The main program is over, its last thread still trains: SIGTERM ends that as it does without us."""
    code = """
    def work():
        with block(name="worker"):
            opened.set()
            STOP.wait(60)
    opened = threading.Event()
    with block(name="main"):
        threading.Thread(target=work).start()
        opened.wait()
    threading._register_atexit(ready)  # Called when the interpreter begins to wait for its threads.
    """
    plain = program(code, signals=[signal.SIGTERM], plain=True)
    assert program(code, signals=[signal.SIGTERM]).visible == plain.visible == (-signal.SIGTERM, "", "")
    assert endings() == [RETURNED, SIGTERM]


def test_a_signal_during_the_exit_functions_kills_it(program, endings):
    """`atexit` functions are part of the program: a signal that arrives there is not swallowed."""
    code = """
    import atexit
    def slowly():
        ready()
        pause()
        print("went on", flush=True)
    if not is_plain():
        from runbook import ExperimentManager
        ExperimentManager().create_experiment({"a": 1})
    atexit.register(slowly)
    """
    plain = program(code, signals=[signal.SIGTERM], plain=True)
    assert program(code, signals=[signal.SIGTERM]).visible == plain.visible == (-signal.SIGTERM, "", "")
    assert [status for status, _ in endings()] == ["interrupted"]


def test_a_daemon_threads_experiment_is_abandoned_at_the_end(program, endings):
    """The program ends without waiting for it."""
    ended = program(
        """
        def work():
            with block():
                opened.set()
                STOP.wait(60)
        opened = threading.Event()
        threading.Thread(target=work, daemon=True).start()
        opened.wait()
        """
    )
    assert ended.visible == (0, "", "")
    assert endings() == [ABANDONED]


def test_a_thread_that_ends_after_the_main_program_ends_by_itself(program, endings):
    """The interpreter waits for it, and so does the record."""
    ended = program(
        """
        def work():
            with block():
                opened.set()
                threading.main_thread().join()
        opened = threading.Event()
        threading.Thread(target=work).start()
        opened.wait()
        """
    )
    assert ended.visible == (0, "", "")
    assert endings() == [RETURNED]


# What programs do about their end


def test_a_finally_outside_of_the_block_runs(program, endings):
    """The program unwinds, and the process dies of the signal all the same."""
    ended = program(
        """
        try:
            with block():
                try:
                    ready()
                    pause()
                finally:
                    print("inner")
        finally:
            print("outer")
        """,
        signals=[signal.SIGTERM],
    )
    assert ended.visible == (-signal.SIGTERM, "inner\nouter\n", "")
    assert endings() == [SIGTERM]


def test_a_program_that_turns_the_signal_into_its_own_exit_keeps_it(program, endings):
    """`except SystemExit` around the block decides about the exit code, as far as the record it was the signal."""
    code = """
    try:
        with block():
            ready()
            pause()
    except BaseException:
        sys.exit(5)
    """
    assert program(code, signals=[signal.SIGTERM]).code == 5
    assert endings() == [SIGTERM]


@pytest.mark.parametrize("handler", ["sys.exit(0)", "sys.exit(3)", "raise_(TimeoutError())", "raise_(KeyboardInterrupt())", "flag.append(1)"])  # fmt: skip
@pytest.mark.parametrize("when", ["before", "inside"])
def test_a_host_handler_decides_how_the_process_ends(program, endings, handler, when):
    """Its exit code and its output are the program's own; the record has the reason that runbook can see."""
    code = f"""
    flag = []
    def raise_(error):
        raise error
    def handle(signum, frame):
        print("handled", flush=True)
        {handler}
    when = {when!r}
    if when == "before":
        signal.signal(signal.SIGTERM, handle)
    with block():
        if when == "inside":
            signal.signal(signal.SIGTERM, handle)
        ready()
        while not flag:
            time.sleep(0.01)
    print("after", signal.getsignal(signal.SIGTERM) is handle)
    """
    plain = program(code, signals=[signal.SIGTERM], plain=True)
    assert program(code, signals=[signal.SIGTERM]).visible == plain.visible
    (ending,) = endings()
    if handler == "flag.append(1)":
        assert ending == RETURNED
    elif when == "before":
        assert ending == SIGTERM
    else:
        # A handler that replaced ours did not ask us; its exception is all there is to see.
        expected = {"sys.exit(0)": ("completed", "exit"), "sys.exit(3)": EXIT, "raise_(TimeoutError())": EXCEPTION}
        assert ending == expected.get(handler, KEYBOARD)


def test_a_message_by_signal_does_not_hide_a_later_failure(program, endings):
    """SIGHUP meant "read your settings again"; what ended the experiment was an exception."""
    ended = program(
        """
        from runbook import ExperimentManager
        signal.signal(signal.SIGHUP, lambda *_: print("settings read again"))
        manager = ExperimentManager()
        manager.create_experiment({"a": 1})
        os.kill(os.getpid(), signal.SIGHUP)
        raise ValueError("boom")
        """
    )
    assert ended.visible == (1, "settings read again\n", "ValueError: boom")
    assert endings() == [EXCEPTION]


def test_two_signals_of_different_kinds(program, endings):
    """A service manager sends SIGTERM and SIGHUP together; the process dies of one of them."""
    ended = program(
        """
        with block():
            try:
                ready()
                pause()
            finally:
                ready(2)
                pause()
        """,
        signals=[signal.SIGTERM, signal.SIGHUP],
    )
    assert ended.code in {-signal.SIGTERM, -signal.SIGHUP}
    assert ended.err == ""
    assert endings()[0] in {SIGTERM, SIGHUP}


def test_a_consumer_that_dies_ends_its_generator(program, endings):
    """The signal arrives between two steps of a tracked generator, in the code of its consumer."""
    code = """
    def numbers(n):
        for number in range(n):
            yield number
    for number in track(numbers)(3):
        ready()
        pause()
    """
    assert program(code, signals=[signal.SIGTERM]).visible == (-signal.SIGTERM, "", "")
    assert endings() == [SIGTERM]


def test_an_exception_in_the_middle_of_the_legacy_pipeline(program, endings, base):
    """The guide's pipeline without any try: the failure is recorded with its traceback, the next run is a new one."""
    ended = program(
        """
        from runbook import ExperimentManager
        manager = ExperimentManager()
        manager.create_experiment({"lr": 1}, custom_name="first")
        manager.save_training_history({"loss": [1, 2]})
        manager.mark_complete()
        manager.create_experiment({"lr": 2}, custom_name="second")
        def train():
            raise ValueError("diverged")
        train()
        """
    )
    assert ended.visible == (1, "", "ValueError: diverged")
    assert endings() == [MARKED, EXCEPTION]
    failure = record_of(ExperimentManager(base).get_experiment("second")).failure
    assert "in train" in failure.traceback


def test_a_program_that_never_marks_any_of_its_experiments(program, endings):
    """The first is abandoned for the second, the second for the end of the program; the exit code is untouched."""
    ended = program(
        """
        from runbook import ExperimentManager
        manager = ExperimentManager()
        manager.create_experiment({"lr": 1})
        manager.create_experiment({"lr": 2})
        """
    )
    assert ended.code == 0
    assert "never marked complete" in ended.err
    assert endings() == [ABANDONED] * 2


# At a prompt


def test_at_a_prompt_an_old_error_is_not_the_ending(program, endings):
    """In a notebook an error in one cell does not end what another cell started."""
    ended = program(
        """
        import code
        sys.ps1 = "In : "
        console = code.InteractiveInterpreter()
        for cell in [
            "from runbook import ExperimentManager, experiment",
            "manager = ExperimentManager(); manager.create_experiment({'lr': 1}, custom_name='open')",
            "1 / 0",
            "manager.save_final_metrics({'f1': 1})",
            "with experiment({'lr': 2}): 1 / 0",
            "with experiment({'lr': 3}): raise KeyboardInterrupt",
            "with experiment({'lr': 4}): pass",
        ]:
            console.runsource(cell + "\\n", "<cell>", "exec")
        """
    )
    assert ended.code == 0
    assert ended.err.count("ZeroDivisionError") == 2
    assert endings() == [ABANDONED, EXCEPTION, KEYBOARD, RETURNED]


def test_at_a_prompt_mark_complete_still_completes(program, endings):
    """The next cell continues with the experiment of the last one."""
    ended = program(
        """
        import code
        sys.ps1 = ">>> "
        console = code.InteractiveInterpreter()
        for cell in [
            "from runbook import ExperimentManager; manager = ExperimentManager()",
            "manager.create_experiment({'lr': 1})",
            "1 / 0",
            "manager.mark_complete()",
        ]:
            console.runsource(cell + "\\n", "<cell>", "exec")
        """
    )
    assert ended.code == 0
    assert endings() == [MARKED]


# asyncio


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("blocking", [False, True], ids=["awaiting", "blocking"])
def test_a_signal_in_a_task_beside_the_main_one(program, endings, signum, blocking):
    """Each task's experiment ends by the signal, and nothing more is printed than without us."""
    wait = "time.sleep(0.3); await asyncio.sleep(60)" if blocking else "await asyncio.sleep(60)"
    code = f"""
    async def train(number):
        with block(number=number):
            if number == 1:
                ready()
                {wait}
            await asyncio.sleep(60)
    async def main():
        with block(name="outer"):
            await asyncio.gather(train(0), train(1))
    asyncio.run(main())
    """
    plain = program(code, signals=[signum], plain=True)
    assert program(code, signals=[signum]).visible == plain.visible
    expected = KEYBOARD if signum == signal.SIGINT else SIGTERM
    assert endings() == [expected] * 3


@pytest.mark.parametrize("when", ["before", "inside"])
def test_a_handler_of_the_event_loop_is_called_and_kept(program, endings, when):
    """`loop.add_signal_handler` is how servers stop: they cancel, clean up and exit with 0."""
    code = f"""
    async def main():
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        def stop():
            print("stopping")
            task.cancel()
        when = {when!r}
        if when == "before":
            loop.add_signal_handler(signal.SIGTERM, stop)
        try:
            with block():
                if when == "inside":
                    loop.add_signal_handler(signal.SIGTERM, stop)
                ready()
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            print("cleaned up")
        print(loop.remove_signal_handler(signal.SIGTERM))
    asyncio.run(main())
    print(signal.getsignal(signal.SIGTERM))
    """
    plain = program(code, signals=[signal.SIGTERM], plain=True)
    assert program(code, signals=[signal.SIGTERM]).visible == plain.visible
    assert endings() == [SIGTERM if when == "before" else ("interrupted", "cancelled")]


def test_ctrl_c_in_a_task_group(program, endings):
    """Ctrl-C cancels the main task, which cancels its group; the program ends by KeyboardInterrupt."""
    code = """
    async def train(number):
        with block(number=number):
            if number == 2:
                ready()
            await asyncio.sleep(60)
    async def main():
        with block(name="outer"):
            async with asyncio.TaskGroup() as group:
                for number in range(3):
                    group.create_task(train(number))
    asyncio.run(main())
    """
    plain = program(code, signals=[signal.SIGINT], plain=True)
    assert program(code, signals=[signal.SIGINT]).visible == plain.visible
    assert endings() == [KEYBOARD] * 4


# Pools

TASK = """
    import concurrent.futures
    def task(number):
        with block(number=number):
            if number == 1:
                ready()
                pause()
        return number
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, getattr(signal, "SIGHUP", 1)])
def test_a_worker_of_an_executor_that_is_killed_breaks_the_pool(program, endings, signum):
    """The worker dies of its signal as without us; it does not send its death home as a result."""
    code = (
        TASK
        + """
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        future = executor.submit(task, 1)
        print(type(future.exception()).__name__)
    """
    )
    plain = program(code, signals=[signum], plain=True)
    assert program(code, signals=[signum]).visible == plain.visible == (0, "BrokenProcessPool\n", "")
    assert endings() == [SIGTERM if signum == signal.SIGTERM else SIGHUP]


def test_a_worker_that_is_killed_while_it_closes_breaks_the_pool(program, endings):
    """The signal had to wait for the record; the worker dies of it all the same."""
    code = """
    import concurrent.futures
    class Slow(Exception):
        asked = 0
        def __str__(self):
            # Asked for while the record is being written: the signal arrives in the middle of that.
            Slow.asked += 1
            if Slow.asked == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return "slow"
    def task():
        with block():
            raise Slow
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        print(type(executor.submit(task).exception()).__name__)
    """
    assert program(code).visible == (0, "BrokenProcessPool\n", "")
    assert endings() == [EXCEPTION]


def test_workers_of_an_executor_run_task_after_task(program, endings):
    """Each task has its own ending, and a worker is as fresh for the second as for the first."""
    ended = program(
        """
        import concurrent.futures
        def task(number):
            before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
            try:
                with block(number=number):
                    if number == 1:
                        raise ValueError("boom")
                    if number == 2:
                        sys.exit(3)
            finally:
                assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
            return number
        context = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
            futures = [executor.submit(task, number) for number in range(4)]
            print([type(future.exception()).__name__ for future in futures])
        """
    )
    assert ended.visible == (0, "['NoneType', 'ValueError', 'SystemExit', 'NoneType']\n", "")
    assert endings() == [RETURNED, EXCEPTION, EXIT, RETURNED]


@pytest.mark.parametrize(
    "leaving",
    [
        pytest.param("pass", id="the signal passes"),
        # As in the locks of multiprocessing, which raise one when they are left in the midst of a wait.
        pytest.param("raise ValueError('in its place')", id="another error takes its place"),
    ],
)
def test_terminating_a_pool_ends_its_workers(program, endings, leaving):
    """`Pool.terminate` sends SIGTERM and waits: a worker that survived it would hang the parent."""
    code = f"""
    def task(number):
        with block(number=number):
            try:
                barrier.wait()
                pause()
            finally:
                {leaving}
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    with block(name="parent"):
        pool = context.Pool(2)
        pool.map_async(task, range(2), chunksize=1)
        barrier.wait()
        pool.terminate()
        pool.join()
        print("joined")
    """
    plain = program(code, plain=True)
    assert program(code).visible == plain.visible == (0, "joined\n", "")
    assert endings() == [RETURNED, SIGTERM, SIGTERM]


def test_a_worker_without_an_experiment_dies_as_it_did(program, endings):
    """Forked inside its parent's block (a DataLoader's), it logs, is terminated, and the parent continues."""
    code = """
    def work(exp, pipe):
        if exp is not None:
            exp.log(batches=1)
        pipe.send("ready")
        pause()
    context = multiprocessing.get_context("fork")
    with block(name="parent") as exp:
        here, there = context.Pipe()
        process = context.Process(target=work, args=(exp, there))
        process.start()
        here.recv()
        process.terminate()
        process.join()
        print(process.exitcode)
    """
    plain = program(code, plain=True)
    assert program(code).visible == plain.visible == (0, f"{-signal.SIGTERM}\n", "")
    assert endings() == [RETURNED]


def test_a_parent_that_is_killed_with_live_workers(program, endings):
    """The parent's record has the reason SIGTERM although its forked worker still holds everything open."""
    ended = program(
        """
        reading, writing = os.pipe()
        with block(name="parent"):
            if os.fork() == 0:
                # Lives until its parent is gone.
                os.close(writing)
                os.read(reading, 1)
                os._exit(0)
            ready()
            pause()
        """,
        signals=[signal.SIGTERM],
    )
    assert ended.visible == (-signal.SIGTERM, "", "")
    assert endings() == [SIGTERM]


def test_joblib_workers_end_as_without_us(script, base):
    """A killed loky worker is a TerminatedWorkerError, and what it ran was ended by SIGTERM."""
    pytest.importorskip("joblib", reason="joblib is not installed")
    (script.folder / "work.py").write_text(
        textwrap.dedent(
            """
            import os, signal, sys
            from runbook import tracked

            @tracked
            def square(n):
                return {"square": n * n}

            @tracked
            def die(n):
                os.kill(os.getpid(), signal.SIGTERM)

            @tracked
            def fail(n):
                raise ValueError(n)
            """
        )
    )
    done = script.run(
        """
        import warnings
        from joblib import Parallel, delayed
        import work

        if __name__ == "__main__":
            print(Parallel(2)(delayed(work.square)(n) for n in range(3)))
            for function in (work.fail, work.die):
                try:
                    Parallel(2)(delayed(function)(n) for n in range(1))
                    print("nothing")
                except BaseException as error:
                    print(type(error).__name__)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "[{'square': 0}, {'square': 1}, {'square': 4}]",
        "ValueError",
        "TerminatedWorkerError",
    ]
    found = {}
    for entry in ExperimentManager(base).list_experiments():
        found.setdefault(entry["custom_name"], set()).add((entry["status"], entry["end_reason"]))
    assert found == {"square": {RETURNED}, "fail": {EXCEPTION}, "die": {SIGTERM}}


# A slow disk


def _strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=fsync:delay_enter=1", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def on_a_slow_disk(script):
    """Runs a program each of whose fsyncs takes a tenth of a second."""
    if not _strace_works():
        pytest.skip("strace cannot slow the disk down here")

    def run(code: str) -> subprocess.CompletedProcess[str]:
        path = script.folder / "slow.py"
        path.write_text(textwrap.dedent(code))
        return subprocess.run(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=100000"]
            + [sys.executable, str(path)],
            cwd=script.folder,
            env={**os.environ, "RUNBOOK_DIR": str(script.base)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


KILLER = """
import glob, os, signal, sys, threading, time
from runbook import experiment
def kill_when(pattern, *signums):
    def wait():
        while not glob.glob(os.path.join(os.environ["RUNBOOK_DIR"], pattern), include_hidden=True):
            time.sleep(0.001)
        for signum in signums:
            os.kill(os.getpid(), signum)
    threading.Thread(target=wait, daemon=True).start()
"""


@pytest.mark.parametrize(
    ("signum", "ending"), [(signal.SIGTERM, SIGTERM), (signal.SIGINT, KEYBOARD)], ids=["SIGTERM", "SIGINT"]
)
def test_a_signal_during_the_start_waits_for_it(on_a_slow_disk, endings, base, signum, ending):
    """No half-made experiment: its start is completed, the block never runs, and the process dies of the signal."""
    done = on_a_slow_disk(
        KILLER
        + f"""
kill_when("*/.*.tmp", {int(signum)})
with experiment({{"a": 1}}):
    print("ran")
"""
    )
    assert (done.returncode, done.stdout) == (-signum, "")
    assert endings() == [ending]
    assert list(base.rglob("*.tmp")) == []


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_during_the_closing_waits_for_it(on_a_slow_disk, endings, base, signum):
    """The block had returned, and the record is completed with that ending; then the process dies of the signal."""
    done = on_a_slow_disk(
        KILLER
        + f"""
with experiment({{"a": 1}}):
    kill_when("*/.experiment.json.*", {int(signum)})
print("not reached")
"""
    )
    assert (done.returncode, done.stdout) == (-signum, "")
    assert endings() == [RETURNED]
    assert list(base.rglob("*.tmp")) == []


def test_two_signals_during_the_closing_do_not_wait(on_a_slow_disk, endings, base):
    """A second signal ends the process at once; the files on the disk are whole and not false."""
    done = on_a_slow_disk(
        KILLER
        + """
with experiment({"a": 1}):
    kill_when("*/.experiment.json.*", signal.SIGTERM, signal.SIGTERM)
print("not reached")
"""
    )
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")
    assert [status for status, _ in endings()][0] in {"running", "interrupted", "completed"}
    json.loads((base / "experiment_registry.json").read_text())
