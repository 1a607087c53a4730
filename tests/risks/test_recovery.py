"""A SIGKILL, and an error of the disk, at every step of an experiment's life, one at a time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from runbook import ExperimentManager


def can_trace() -> bool:
    """Whether strace is installed and allowed here."""
    if shutil.which("strace") is None:
        return False
    command = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=rename", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not can_trace(), reason="strace is not installed or may not trace")

# What was acknowledged goes to stderr at once; the folders and the registry of earlier ones are there already.
PROGRAM = """
    import os, sys
    from runbook import ExperimentManager
    # Away from any repository: what git does there is not what is to be disturbed.
    os.chdir(sys.argv[1])

    def say(*words):
        print(*words, file=sys.stderr, flush=True)

    manager = ExperimentManager(sys.argv[1])
    try:
        path = manager.create_experiment({"lr": 0.1}, "victim")
        say("ACK running", path.name)
        manager.save_final_metrics({"f1": 0.5})
        say("ACK metrics", path.name)
        manager.mark_complete(notes="done")
        say("ACK completed", path.name)
    except OSError as error:
        say("RAISED", type(error).__name__, str(error).replace("\\n", " "))
        raise SystemExit(7)
"""
NEXT = """
    import sys
    from runbook import ExperimentManager
    manager = ExperimentManager(sys.argv[1])
    path = manager.create_experiment({}, "next")
    manager.mark_complete()
    print(path.name)
"""


def run(code: str, *args: object, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """A program of its own; one that waits for long is an error."""
    return subprocess.run(
        [*before, sys.executable, "-c", textwrap.dedent(code), *map(str, args)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
        # No files of the interpreter's among ours.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.fixture
def shelf(base) -> Path:
    """A base directory with one experiment that ended long ago."""
    manager = ExperimentManager(base)
    manager.create_experiment({}, "earlier")
    manager.mark_complete()
    return base


def acknowledged(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """What was acknowledged to the program before it ended."""
    return [line.split()[1:] for line in done.stderr.splitlines() if line.startswith("ACK ")]


def temporaries(base: Path) -> list[str]:
    """What is left of unfinished work."""
    found = [path for path in base.rglob(".*") if path.name.endswith((".tmp", ".new", ".old"))]
    return [str(path.relative_to(base)) for path in found]


def check(base: Path, done: subprocess.CompletedProcess[str], *, killed: bool) -> None:
    """Everything that must hold after a fault, whatever the fault."""
    registry = base / "experiment_registry.json"
    json.loads(registry.read_bytes())
    assert len(temporaries(base)) <= (1 if killed else 0)

    promised = acknowledged(done)
    listed = {entry["custom_name"]: entry for entry in ExperimentManager(base).list_experiments()}
    assert listed["earlier"]["status"] == "completed"
    assert set(listed) <= {"earlier", "victim"}
    if promised:
        assert listed["victim"]["experiment_id"] == promised[0][1]
    if "victim" in listed:
        victim = listed["victim"]
        assert (base / victim["experiment_id"] / "experiment.json").is_file()
        words = {word for word, _ in promised}
        if "completed" in words:
            assert (victim["status"], victim["metrics"], victim["notes"]) == ("completed", {"f1": 0.5}, "done")
        elif "metrics" in words:
            assert victim["status"] in {"running", "interrupted", "completed", "failed"}
            assert victim["metrics"] == {"f1": 0.5}
        elif killed:
            assert victim["status"] in {"running", "interrupted"}

    after = run(NEXT, base)
    assert after.returncode == 0, after.stderr
    entries = json.loads(registry.read_bytes())["experiments"]
    names = [entry["custom_name"] for entry in entries]
    assert sorted(set(names)) == sorted(names)
    assert {"earlier", "next"} | ({"victim"} if promised else set()) <= set(names)
    assert os.listdir(base / ".runbook" / "experiment_registry.json.pending") == []


def faulted(base: Path, calls: str, fault: str, nth: int) -> subprocess.CompletedProcess[str]:
    """The program with a fault at the nth of some system calls."""
    strace = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}")
    return run(PROGRAM, base, before=(*strace, "-e", f"inject={calls}:{fault}:when={nth}"))


def counted(base: Path, calls: str, tmp_path: Path) -> int:
    """How many of some system calls the program makes."""
    log = tmp_path / "calls"
    done = run(
        PROGRAM, base, before=("strace", "-f", "-qq", "-o", str(log), "-e", f"trace={calls}", "-e", "signal=none")
    )
    assert done.returncode == 0, done.stderr
    return sum("(" in line for line in log.read_text().splitlines())


# With room for a few more than there are today; a fault that is never reached shows in the last line of each test.
KILLED = [
    *(("rename,renameat,renameat2", nth) for nth in range(1, 17)),
    *(("fsync,fdatasync", nth) for nth in range(1, 27)),
    *(("mkdir,mkdirat", nth) for nth in range(1, 15)),
    *(("unlink,unlinkat", nth) for nth in range(1, 9)),
]


def killed_at(base: Path, calls: str, nth: int) -> bool:
    """Kill the program at one of its system calls; whether it came that far."""
    done = faulted(base, calls, "signal=SIGKILL", nth)
    killed = done.returncode in {-9, 137}
    assert killed or done.returncode == 0, done.stderr
    check(base, done, killed=killed)
    return killed


@pytest.mark.parametrize(("calls", "nth"), KILLED[::4])
def test_a_kill_at_any_step_loses_nothing_that_was_acknowledged(shelf, calls, nth):
    """The registry parses, the next process works at once, at most one temporary is left; every fourth step."""
    killed_at(shelf, calls, nth)


@pytest.mark.campaign
@pytest.mark.parametrize(("calls", "nth"), [step for step in KILLED if step not in KILLED[::4]])
def test_a_kill_at_any_other_step_loses_nothing_that_was_acknowledged(shelf, calls, nth):
    """The other three quarters."""
    killed_at(shelf, calls, nth)


@pytest.mark.parametrize("calls", sorted({calls for calls, _ in KILLED}))
def test_the_steps_that_are_killed_are_all_there_are(shelf, tmp_path, calls):
    """Otherwise the tests above would no longer reach the end of an experiment's life."""
    steps = [nth for named, nth in KILLED if named == calls]
    assert 0 < counted(shelf, calls, tmp_path) <= max(steps)


FAULTS = [
    ("fsync", "EIO", range(1, 23)),
    ("rename", "EIO", range(1, 15)),
    ("rename", "ENOSPC", range(1, 15)),
    ("mkdir", "ENOSPC", range(1, 10)),
    ("mkdir", "EDQUOT", range(1, 10)),
]
EVERY_FAULT = [(call, error, nth) for call, error, steps in FAULTS for nth in steps]


def failed_at(base: Path, call: str, error: str, nth: int) -> None:
    """An error of the disk at one system call: what was acknowledged holds, and the failure is reported."""
    done = faulted(base, call, f"error={error}", nth)
    assert "Traceback" not in done.stderr or "RAISED" in done.stderr
    assert done.returncode in {0, 7}, done.stderr
    check(base, done, killed=False)
    if not acknowledged(done):
        # It got an error, so there is no experiment, in no list and on no disk.
        assert "RAISED BaseDirectoryError" in done.stderr
        assert str(base) in done.stderr
        assert "victim" not in {entry["custom_name"] for entry in ExperimentManager(base).list_experiments()}
        assert not [name for name in os.listdir(base) if "victim" in name]


@pytest.mark.parametrize(("call", "error", "nth"), EVERY_FAULT[::5])
def test_an_error_of_the_disk_at_any_step_is_reported_and_loses_nothing(shelf, call, error, nth):
    """Starting fails loudly and leaves nothing; what was acknowledged stays; every fifth step."""
    failed_at(shelf, call, error, nth)


@pytest.mark.campaign
@pytest.mark.parametrize(("call", "error", "nth"), [step for step in EVERY_FAULT if step not in EVERY_FAULT[::5]])
def test_an_error_of_the_disk_at_any_other_step_is_reported_and_loses_nothing(shelf, call, error, nth):
    """The other four fifths."""
    failed_at(shelf, call, error, nth)


def test_a_start_whose_last_step_fails_leaves_no_entry(shelf, tmp_path):
    """The registry has its entry by then; the folder and the entry are removed."""
    found = []
    for nth in range(1, 12):
        done = faulted(shelf, "fsync", "error=EIO", nth)
        if acknowledged(done):
            break
        found += [entry for entry in ExperimentManager(shelf).list_experiments() if entry["custom_name"] == "victim"]
    assert acknowledged(done)
    assert found == []


def test_killed_writers_leave_one_temporary_of_the_registry_at_most(shelf):
    """It can be as large as the registry itself, so it must not be one for each that was killed."""
    publish = """
        import sys
        from pathlib import Path
        from runbook.record.layout import BaseLayout
        from runbook.index.registry import JsonRegistry
        JsonRegistry(BaseLayout(Path(sys.argv[1])), sys.argv[1]).apply(sys.argv[2])
    """
    (earlier,) = [entry["experiment_id"] for entry in ExperimentManager(shelf).list_experiments()]
    # The first rename is that of the registry.
    inject = ("-e", "trace=rename", "-e", "inject=rename:signal=SIGKILL:when=1")
    for _ in range(3):
        done = run(publish, shelf, earlier, before=("strace", "-f", "-qq", "-o", "/dev/null", *inject))
        assert done.returncode in {-9, 137}, done.stderr
    assert len([name for name in os.listdir(shelf) if name.endswith(".tmp")]) == 1


def test_a_disk_without_locks_still_keeps_every_experiment(shelf):
    """The truth is in the folders; the list reads it from there."""
    strace = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:error=ENOLCK")
    done = run(PROGRAM, shelf, before=strace)
    assert done.returncode == 0, done.stderr
    assert [word for word, _ in acknowledged(done)] == ["running", "metrics", "completed"]
    listed = {entry["custom_name"]: entry["status"] for entry in ExperimentManager(shelf).list_experiments()}
    assert listed == {"earlier": "completed", "victim": "completed"}
    check(shelf, done, killed=False)


def test_a_disk_without_locks_is_warned_about_once(shelf):
    """The warning has the consequence, and that nothing is lost."""
    strace = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:error=ENOLCK")
    done = run(PROGRAM, shelf, before=strace)
    warnings = [line for line in done.stderr.splitlines() if "no file locks" in line]
    assert len(warnings) == 1
    assert "nothing is lost" in warnings[0]


def test_a_killed_experiment_is_listed_with_what_it_was(shelf):
    """The kill comes in the middle of `mark_complete`: it was running, or it was interrupted, never completed."""
    done = faulted(shelf, "rename,renameat,renameat2", "signal=SIGKILL", 8)
    assert done.returncode in {-9, 137}
    listed = {entry["custom_name"]: entry["status"] for entry in ExperimentManager(shelf).list_experiments()}
    assert listed["victim"] in {"running", "interrupted"}
