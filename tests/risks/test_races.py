"""Many processes, one base directory: nothing is lost, nothing half-written is read."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from pathlib import Path
from typing import Self

import pytest

from runbook import ExperimentManager

posix = pytest.mark.skipif(os.name != "posix", reason="signals and fork are tested on POSIX")

SAME_SECOND = """
    import sys
    from runbook import ExperimentManager
    manager = ExperimentManager(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    print(manager.create_experiment({"lr": 0.1}, "same").name, flush=True)
    manager.mark_complete()
"""
# Each prints what was acknowledged before it continues.
WORKER = """
    import sys
    from runbook import ExperimentManager
    manager = ExperimentManager(sys.argv[1])
    name, count = sys.argv[2], int(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(count):
        path = manager.create_experiment({"n": n}, f"{name}-{n}")
        print("running", path.name, flush=True)
        with manager.get_experiment(path.name).path.joinpath("logs", "mine.txt").open("w") as file:
            file.write(name)
        manager.save_final_metrics({"n": n})
        status = ("completed", "failed", "interrupted")[n % 3]
        manager.mark_complete(status)
        print(status, path.name, flush=True)
"""
# Many processes without the cost of starting each interpreter anew: what is imported is shared, nothing else.
FORKS = """
    import os, sys, time
    from runbook import ExperimentManager, experiment
    import runbook.serialize.json_text, runbook.capture.environment, runbook.index.registry, filelock, cattrs
    base, processes, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    go_read, go_write = os.pipe()
    children = []
    for p in range(processes):
        child = os.fork()
        if child == 0:
            os.close(go_write)
            os.read(go_read, 1)
            code = 0
            try:
                for n in range(count):
                    began = time.monotonic()
                    with experiment({"p": p, "n": n}, name=f"p{p}-{n}", base_dir=base) as exp:
                        for step in range(3):
                            exp.log(loss=1 / (step + 1))
                        exp.save_final_metrics({"p": p, "n": n})
                    os.write(1, f"{exp.id} {time.monotonic() - began:.3f}\\n".encode())
            except BaseException as error:
                os.write(2, f"{p}: {error!r}\\n".encode())
                code = 1
            os._exit(code)
        children.append(child)
    os.close(go_write)
    raise SystemExit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


def start(code: str, *args: object) -> subprocess.Popen[str]:
    """A program of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def begin(processes: list[subprocess.Popen[str]]) -> None:
    """Let all of them go at once, when all are ready."""
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()


def strictly(path: Path) -> list[dict[str, object]]:
    """The entries of a registry, read without runbook."""
    entries = json.loads(path.read_bytes())["experiments"]
    assert all(isinstance(entry["experiment_id"], str) for entry in entries)
    return entries


class Reader:
    """Reads the registry again and again without runbook, and keeps what it could not understand."""

    def __init__(self, base: Path) -> None:
        self.path = base / "experiment_registry.json"
        self.problems: list[str] = []
        self.reads = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _poll(self) -> None:
        seen = 0
        while not self._stop.wait(0.002):
            try:
                entries = strictly(self.path)
            except FileNotFoundError:
                continue
            except Exception as error:  # it is reported by the test
                self.problems.append(repr(error))
                continue
            self.reads += 1
            ids = [entry["experiment_id"] for entry in entries]
            if len(set(ids)) != len(ids):
                self.problems.append("an id stands twice")
            if len(ids) < seen:
                self.problems.append(f"{seen} experiments became {len(ids)}")
            seen = len(ids)


def pending(base: Path) -> list[str]:
    """The names of the pending marks."""
    return os.listdir(base / ".runbook" / "experiment_registry.json.pending")


def temporaries(base: Path) -> list[str]:
    """The temporaries that are left, in any folder."""
    return [str(path) for path in base.rglob("*.tmp")]


def test_sixteen_processes_that_start_the_same_in_the_same_second_get_sixteen_folders(base, registry_of):
    """And sixteen entries."""
    processes = [start(SAME_SECOND, base) for _ in range(16)]
    begin(processes)
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 16, outputs
    ids = [out.strip() for out, _ in outputs]
    assert len(set(ids)) == 16
    assert Counter(entry["experiment_id"] for entry in registry_of(base)) == Counter(ids)
    assert {entry["status"] for entry in registry_of(base)} == {"completed"}
    for experiment_id in ids:
        record = json.loads((base / experiment_id / "experiment.json").read_text())
        assert record["experiment_id"] == experiment_id
    assert "".join(err for _, err in outputs) == ""


def shelf_after(base: Path, processes: int, count: int) -> float:
    """Many processes with several experiments each: all are listed, none is lost, at every instant.

    Gives the longest time that one of them took from its beginning to its end, in seconds.
    """
    base.mkdir()
    program = start(FORKS, base, processes, count)
    with Reader(base) as reader:
        out, err = program.communicate(timeout=600)
    assert (program.returncode, err) == (0, "")
    ids, took = zip(*(line.split() for line in out.splitlines()), strict=True)
    assert len(set(ids)) == len(ids) == processes * count
    assert reader.problems == []
    assert reader.reads > 0
    # The processes left by os._exit, which settles nothing: what a large registry does not show yet is waiting.
    waiting = set(pending(base))
    is_large = (base / "experiment_registry.json").stat().st_size >= 128 * 1024
    assert is_large or not waiting
    shown = {entry["experiment_id"] for entry in strictly(base / "experiment_registry.json") if is_final(entry)}
    assert shown <= set(ids) <= shown | waiting
    listed = ExperimentManager(base).list_experiments(status="completed")
    assert len(listed) == len(ids)
    lines = strictly(base / "experiment_registry.json")
    assert {line["experiment_id"] for line in lines} == {entry["experiment_id"] for entry in listed} == set(ids)
    assert all(is_final(line) for line in lines)
    assert pending(base) == []
    assert temporaries(base) == []
    return max(map(float, took))


def is_final(line: dict[str, object]) -> bool:
    """Whether an entry has the end of its experiment and its metrics."""
    return line["status"] == "completed" and line["metrics"] == line["config"]


@posix
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_sixty_four_processes_lose_nothing(base):
    """Create, log, save, end: all are listed, none stays pending, and the registry parses at every instant."""
    shelf_after(base, processes=64, count=2)


@posix
@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_sixty_four_processes_with_twenty_five_experiments_each_lose_nothing(base, capsys):
    """1,600 listed; the longest wait is reported."""
    longest = shelf_after(base, processes=64, count=25)
    with capsys.disabled():
        print(f"\nlongest of 1,600 experiments, from begin to end: {longest:.2f} s")


def test_two_managers_see_each_other_at_once(base):
    """The original read the registry once and overwrote it: that loss must be impossible."""
    one, two = ExperimentManager(base), ExperimentManager(base)
    first = one.create_experiment({}, "first").name
    assert [entry["experiment_id"] for entry in two.list_experiments()] == [first]
    second = two.create_experiment({}, "second").name
    assert {entry["experiment_id"] for entry in one.list_experiments()} == {first, second}
    one.mark_complete()
    assert {e["experiment_id"]: e["status"] for e in two.list_experiments()} == {first: "completed", second: "running"}
    two.mark_complete("failed")
    assert {e["experiment_id"]: e["status"] for e in one.list_experiments()} == {first: "completed", second: "failed"}


def test_two_processes_see_each_other_at_once(base, manager):
    """Each step of the one is there for the other as soon as it is acknowledged."""
    mine = manager.create_experiment({}, "mine").name
    worker = start(WORKER, base, "theirs", 3)
    begin([worker])
    for line in worker.stdout:
        status, experiment_id = line.split()
        listed = {entry["experiment_id"]: entry["status"] for entry in manager.list_experiments()}
        assert listed[mine] == "running"
        # It may have continued meanwhile.
        assert listed[experiment_id] in {status, "completed", "failed", "interrupted"}
    worker.communicate()
    assert worker.returncode == 0
    manager.mark_complete()
    assert Counter(entry["status"] for entry in manager.list_experiments()) == {
        "completed": 2,
        "failed": 1,
        "interrupted": 1,
    }


def test_threads_of_one_process_lose_nothing(base, manager):
    """Each with a block of its own."""
    problems: list[BaseException] = []

    def work(number):
        try:
            for n in range(3):
                with manager.experiment({"n": n}, name=f"t{number}") as exp:
                    exp.log(loss=n)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    with Reader(base) as reader:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert problems == []
    assert reader.problems == []
    assert Counter(entry["status"] for entry in strictly(base / "experiment_registry.json")) == {"completed": 24}
    assert pending(base) == []


def test_threads_that_save_under_one_name_at_once_leave_one_of_them_whole(base, manager):
    """The last one wins, nobody fails, and nothing is mixed."""
    problems: list[BaseException] = []
    gate = threading.Barrier(4)
    with manager.experiment({}) as exp:

        def work(number):
            gate.wait()
            try:
                for n in range(10):
                    exp.save_metrics("same", {"who": number, "values": [n] * 2000 * (number + 1)})
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        saved = manager.get_experiment(exp.id).load_metrics("same")
        assert len(saved["values"]) == 2000 * (saved["who"] + 1)


def killed_writers(base: Path, kills: int, writers: int, seed: int) -> None:
    """SIGKILL after SIGKILL, at random moments: the registry parses, and what was acknowledged is listed."""
    chance = random.Random(seed)
    happened: dict[str, set[str]] = {}
    last: dict[str, str] = {}

    def listen(worker):
        for line in worker.stdout:
            words = line.split()
            # The last line may be cut short by the death of its writer.
            if len(words) == 2 and line.endswith("\n"):
                happened.setdefault(words[1], set()).add(words[0])
                last[words[1]] = words[0]

    with Reader(base) as reader:
        for n in range(0, kills, writers):
            workers = [start(WORKER, base, f"w{n}-{w}", 1000) for w in range(writers)]
            begin(workers)
            listeners = [threading.Thread(target=listen, args=(worker,)) for worker in workers]
            for listener in listeners:
                listener.start()
            for worker in workers:
                # The moment is what the test is about; nothing waits for anything.
                threading.Event().wait(chance.uniform(0, 0.12))
                worker.send_signal(signal.SIGKILL)
            for worker, listener in zip(workers, listeners, strict=True):
                listener.join()
                worker.wait()
                for pipe in (worker.stdin, worker.stdout, worker.stderr):
                    pipe.close()
    assert reader.problems == []
    manager = ExperimentManager(base)
    listed = {entry["experiment_id"]: entry["status"] for entry in manager.list_experiments()}
    assert set(last) <= set(listed)
    for experiment_id, status in last.items():
        # What was acknowledged as ended stays so; what was running may have been cut off while it ended.
        if status != "running":
            assert listed[experiment_id] == status
        else:
            assert listed[experiment_id] in {"running", "interrupted", "completed", "failed"}
    assert set(listed.values()) <= {"running", "interrupted", "completed", "failed"}
    manager.create_experiment({}, "after")
    manager.mark_complete()
    # A large registry may leave this to the next reader, who brings it up to date for all.
    assert [entry["status"] for entry in manager.find(name="after")] == ["completed"]
    ids = [entry["experiment_id"] for entry in strictly(base / "experiment_registry.json")]
    assert len(set(ids)) == len(ids)
    assert set(last) <= set(ids)
    assert pending(base) == []


@posix
def test_writers_killed_at_random_moments_lose_nothing_that_was_acknowledged(base):
    """Twelve of them, four at a time."""
    killed_writers(base, kills=12, writers=4, seed=random.randrange(2**32))


@posix
@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_a_thousand_killed_writers_lose_nothing_that_was_acknowledged(base):
    """Four at a time."""
    killed_writers(base, kills=1000, writers=4, seed=random.randrange(2**32))
    assert len([name for name in os.listdir(base) if name.endswith(".tmp")]) <= 1
