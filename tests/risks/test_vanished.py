"""Endings that no program can record: the next reader records them, and only on proof."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest

from runbook import EndReason, ExperimentManager, Status
from runbook.read.view import record_of
from runbook.record.layout import BaseLayout
from runbook.record.model import Owner
from runbook.storage import liveness
from runbook.storage import process as process_module
from runbook.storage.process import current_owner

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

SUDDEN = {
    "os._exit": "os._exit(1)",
    "os.abort": "os.abort()",
    "segfault": "import ctypes; ctypes.string_at(0)",
    "sigkill": "os.kill(os.getpid(), signal.SIGKILL)",
    "sigkill_with_forked_workers": """
import multiprocessing
workers = [multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,)) for _ in range(2)]
[worker.start() for worker in workers]
print([worker.pid for worker in workers], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""",
}
WAYS = {
    "block": "with experiment({'lr': 1}, name='x') as exp:\n    exp.log(loss=1)\n    die()",
    "decorator": "@tracked(name='x')\ndef train(): die()\ntrain()",
    "coroutine": "import asyncio\n@tracked(name='x')\nasync def train(): die()\nasyncio.run(train())",
    "generator": "@tracked(name='x')\ndef train():\n    yield 1\n    die()\nlist(train())",
    "create": "ExperimentManager().create_experiment({'lr': 1}, custom_name='x')\ndie()",
    "thread": (
        "import threading\n@tracked(name='x')\ndef train(): die()\n"
        "thread = threading.Thread(target=train)\nthread.start()\nthread.join()"
    ),
    "forked child": (
        "pid = os.fork()\nif pid == 0:\n    with experiment({'lr': 1}, name='x'):\n        die()\n"
        "os.waitpid(pid, 0)\nos._exit(1)"
    ),
    "multiprocessing worker": (
        "import multiprocessing\n@tracked(name='x')\ndef train(): die()\n"
        "worker = multiprocessing.get_context('fork').Process(target=train)\nworker.start()\nworker.join()\nos._exit(1)"
    ),
}
HEAD = "import os, signal, time\nfrom runbook import ExperimentManager, experiment, tracked\n"


def program(way: str, ending: str) -> str:
    body = "\n    ".join(SUDDEN[ending].strip().splitlines())
    return f"{HEAD}def die():\n    {body}\n{WAYS[way]}\n"


@LINUX
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ending", SUDDEN)
def test_a_process_that_died_without_an_ending_is_interrupted_and_vanished(script, base, way, ending, registry_of):
    """The next reader finds it, records it once, and takes the last sign of life for its end."""
    process = script.start(program(way, ending))
    workers = json.loads(process.stdout.readline() or "[]")
    assert process.wait() != 0
    manager = ExperimentManager(base)
    (entry,) = manager.list_experiments()
    try:
        assert (entry["status"], entry["end_reason"]) == ("interrupted", "vanished")
        assert entry["timestamp"] <= entry["completed_at"]
        (attempt,) = record_of(manager.get_experiment("x")).attempts
        assert attempt.end_reason is EndReason.VANISHED
        assert "is gone" in attempt.evidence
        assert registry_of(base) == json.loads(json.dumps(registry_of(base)))
        assert registry_of(base)[0]["status"] == "interrupted"
        assert manager.list_experiments() == [entry], "a second look changes nothing"
        assert list((base / ".runbook" / "running").iterdir()) == []
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        process.communicate()


@LINUX
def test_a_process_that_died_did_not_end_before_it_started(sleeper, base):
    """The clock of a file server may be behind: the times of files then lie before the start of the attempt."""
    sleeper.kill()
    sleeper.wait()
    (folder,) = base.glob("*_x_*")
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (0, 0))
    (attempt,) = record_of(ExperimentManager(base).get_experiment("x")).attempts
    assert attempt.end_reason is EndReason.VANISHED
    assert attempt.ended_at == attempt.started_at
    (entry,) = ExperimentManager(base).list_experiments()
    assert entry["timestamp"] <= entry["completed_at"]


@pytest.fixture
def sleeper(script):
    """A running experiment in a process of its own."""
    process = script.start(
        HEAD + "with experiment({}, name='x') as exp:\n    print('ready', flush=True)\n    time.sleep(60)\n"
    )
    assert process.stdout.readline() == "ready\n"
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    process.communicate()


def test_a_stopped_process_is_alive(sleeper, base):
    """A laptop that sleeps, a process under Ctrl-Z: it may continue at any time."""
    sleeper.send_signal(signal.SIGSTOP)
    (entry,) = ExperimentManager(base).list_experiments()
    assert (entry["status"], entry["end_reason"], entry["completed_at"]) == ("running", None, None)


@LINUX
def test_a_zombie_is_dead(sleeper, base):
    """A killed process whose parent has not waited for it still has its pid."""
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert ExperimentManager(base).get_experiment("x").status is Status.INTERRUPTED
    (attempt,) = record_of(ExperimentManager(base).get_experiment("x")).attempts
    assert "waits to be reaped" in attempt.evidence


def change_owner(base, **changes):
    """Change the record as if it had been made elsewhere."""
    (path,) = base.glob("*/experiment.json")
    record = json.loads(path.read_text())
    record["attempts"][0]["owner"].update(changes)
    path.write_text(json.dumps(record))


@LINUX
@pytest.mark.parametrize(
    ("changes", "status", "evidence"),
    [
        pytest.param({}, "running", None, id="the process itself"),
        pytest.param({"process_started": "1"}, "interrupted", "another one by now", id="pid reused"),
        pytest.param({"boot_id": "former", "is_locked": False}, "interrupted", "started anew", id="rebooted"),
        pytest.param({"boot_id": "former"}, "running", None, id="another boot, but the lock is held"),
        pytest.param({"boot_id": "x", "host": "gpu-7", "is_locked": False}, "running", None, id="other host"),
        pytest.param(
            {"boot_id": "x", "machine_id": "other", "is_locked": False},
            "running",
            None,
            id="a machine of the same name",
        ),
        pytest.param(
            {"boot_id": "x", "pid_namespace": "pid:[4026532000]", "is_locked": False},
            "running",
            None,
            id="a container of the same name on another machine",
        ),
        pytest.param({"pid_namespace": "pid:[1]"}, "running", None, id="another container that holds its lock"),
        pytest.param(
            {"pid_namespace": "pid:[1]", "is_locked": False}, "running", None, id="another container without locks"
        ),
    ],
)
def test_an_experiment_is_dead_on_proof_only(sleeper, base, changes, status, evidence):
    """What one machine cannot do is simulated in the record of a process that runs."""
    if "boot_id" in changes and current_owner().machine_id is None:
        pytest.skip("this machine has no machine-id to tell a reboot by")
    change_owner(base, **changes)
    view = ExperimentManager(base).get_experiment("x")
    assert view.status == status
    if evidence:
        assert evidence in record_of(view).attempts[0].evidence


@LINUX
def test_another_container_is_dead_when_its_lock_is_free(sleeper, base):
    """Its process ids mean nothing here; its lock on the shared disk does."""
    change_owner(base, pid_namespace="pid:[1]")
    assert ExperimentManager(base).get_experiment("x").status is Status.RUNNING
    sleeper.kill()
    sleeper.wait()
    view = ExperimentManager(base).get_experiment("x")
    assert view.status is Status.INTERRUPTED
    assert "lock is free" in record_of(view).attempts[0].evidence


def can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-pfm", "--mount-proc", "true"], capture_output=True).returncode == 0


@LINUX
@pytest.mark.skipif(not can_unshare(), reason="needs unshare and the right to make a namespace of process ids")
def test_a_real_container_on_this_kernel(script, base):
    """Its experiment lives while it lives, and is dead when it is gone."""
    program_path = script.folder / "inside.py"
    program_path.write_text(
        HEAD + "with experiment({}, name='x') as exp:\n    print('ready', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        ["unshare", "-pfm", "--mount-proc", "--uts", "--kill-child", sys.executable, str(program_path)],
        env={**os.environ, "RUNBOOK_DIR": str(base)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        manager = ExperimentManager(base)
        owner = record_of(manager.get_experiment("x")).attempts[0].owner
        assert owner.pid_namespace != current_owner().pid_namespace
        assert manager.get_experiment("x").status is Status.RUNNING
    finally:
        process.kill()
        process.communicate()
    os.sched_yield()
    assert wait_until(lambda: manager.get_experiment("x").status is Status.INTERRUPTED)


def wait_until(condition, tries=200):
    """The kernel ends a namespace's processes a little after its parent."""

    for _ in range(tries):
        if condition():
            return True
        time.sleep(0.02)
    return False


@LINUX
def test_a_signal_before_the_death_names_the_reason(script, base):
    """A scheduler sends SIGTERM and, when the program takes too long, SIGKILL."""
    process = script.start(
        HEAD
        + """
with experiment({}, name='x') as exp:
    try:
        print('ready', flush=True)
        time.sleep(60)
    finally:
        print('saving', flush=True)
        time.sleep(60)
"""
    )
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.stdout.readline() == "saving\n"
    process.kill()
    process.communicate()
    view = ExperimentManager(base).get_experiment("x")
    assert (view.status, view.end_reason) == ("interrupted", "sigterm")
    assert "SIGTERM had arrived" in record_of(view).attempts[0].evidence


@LINUX
def test_a_signal_during_a_long_c_call_is_handled_when_it_returns(script, base):
    """Python runs its handlers between two of its own steps; the process still ends by the signal, and records that."""
    process = script.start(
        HEAD
        + """
import hashlib
with experiment({}, name='x'):
    print('ready', flush=True)
    hashlib.pbkdf2_hmac('sha512', b'x', b'y', 1_500_000)
    print('went on', flush=True)
"""
    )
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (-signal.SIGTERM, "")
    view = ExperimentManager(base).get_experiment("x")
    assert (view.status, view.end_reason) == ("interrupted", "sigterm")


@LINUX
def test_a_kill_for_lack_of_memory_is_named_where_the_kernel_counted_it(script, base, tmp_path):
    """The count of the control group has grown since the experiment started."""
    script.run(program("block", "sigkill"))
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 1\noom_kill 3\n")
    change_owner(base, memory_events=str(events), oom_kills=2)
    view = ExperimentManager(base).get_experiment("x")
    assert (view.status, view.end_reason) == ("interrupted", "memory")
    assert "lack of memory" in record_of(view).attempts[0].evidence


@LINUX
def test_running_into_a_memory_limit_is_a_failure_with_its_name(script, base):
    """Under a limit of the process itself, Python raises a MemoryError."""
    done = script.run(
        HEAD
        + """
import resource
with experiment({}, name='x') as exp:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    held = bytearray(1 << 34)
"""
    )
    assert "MemoryError" in done.stderr
    view = ExperimentManager(base).get_experiment("x")
    assert (view.status, view.end_reason, record_of(view).failure.type) == ("failed", "exception", "MemoryError")


@LINUX
def test_a_read_only_base_directory_shows_the_truth_without_writing_it(script, base):
    """A user who may only read still sees how it ended."""
    if os.getuid() == 0 and not can_unshare():
        pytest.skip("as root, a read-only directory needs a mount namespace")
    script.run(program("block", "sigkill"))
    before = {path: path.read_bytes() for path in base.rglob("*") if path.is_file()}
    code = "from runbook import ExperimentManager; print(ExperimentManager().list_experiments()[0]['status'])"
    command = f"mount --bind -o ro {base} {base} 2>/dev/null || mount --bind {base} {base}; "
    command += f"mount -o remount,ro,bind {base} && exec {sys.executable} -c {json.dumps(code)}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", command],
        env={**os.environ, "RUNBOOK_DIR": str(base)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "interrupted\n", done.stderr
    assert {path: path.read_bytes() for path in base.rglob("*") if path.is_file()} == before


def test_the_record_of_the_process_itself_has_what_it_takes():
    """Everything that the check of liveness needs is known on this system."""
    owner = current_owner()
    assert owner.pid == os.getpid()
    assert owner.host == process_module.host_name()
    if sys.platform.startswith("linux"):
        assert None not in (owner.boot_id, owner.process_started, owner.pid_namespace)


def test_without_any_knowledge_of_the_system_only_a_missing_process_is_dead(tmp_path, monkeypatch):
    """On a system without a boot id, only the process id on the same host can be checked."""
    nothing_known = Owner(host=process_module.host_name(), pid=os.getpid())
    monkeypatch.setattr(process_module, "identify", lambda pid: attrs.evolve(nothing_known, pid=pid))
    lock = BaseLayout(tmp_path).run_lock("x")
    here = current_owner()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert liveness.check(here, lock).state is liveness.State.ALIVE
    assert liveness.check(attrs.evolve(here, pid=gone.pid), lock).state is liveness.State.DEAD
    assert liveness.check(attrs.evolve(here, host="other", pid=gone.pid), lock).state is liveness.State.UNKNOWN


@pytest.fixture
def small_group():
    """A control group of version 1 with little memory."""
    group = Path("/sys/fs/cgroup/memory") / f"runbook-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(200 * 1024 * 1024))
    except OSError as error:
        pytest.skip(f"no memory control group can be made here: {error}")
    yield group
    for _ in range(100):
        # It can be removed when its last process has gone.
        with contextlib.suppress(OSError):
            group.rmdir()
            break
        time.sleep(0.05)


@LINUX
def test_a_real_kill_for_lack_of_memory_is_named(script, base, small_group):
    """The kernel kills with SIGKILL, and counts it in the control group."""
    done = script.run(
        HEAD
        + """
import sys
import time
from pathlib import Path
with open(sys.argv[1], 'w') as group:
    group.write(str(os.getpid()))
with experiment({}, name='x'):
    held = [bytearray(os.urandom(1 << 20)) for _ in range(1000)]
""",
        str(small_group / "cgroup.procs"),
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    view = ExperimentManager(base).get_experiment("x")
    assert (view.status, view.end_reason) == ("interrupted", "memory")
    assert "lack of memory" in record_of(view).attempts[0].evidence
