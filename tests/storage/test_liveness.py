"""Whether the process that works on an experiment is still there: alive until it is proven dead."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from runbook.record.model import Owner
from runbook.storage import liveness, run_lock
from runbook.storage.liveness import State
from runbook.storage.process import current_owner

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc, which only Linux has")


@pytest.fixture
def lock(tmp_path) -> Path:
    """A run lock that no process holds and that has no file."""
    return tmp_path / "lock"


class Worker:
    """A process that prints its identity and then waits."""

    CODE = """
import json, sys
import attrs
from runbook.storage import process
print(json.dumps(attrs.asdict(process.current_owner())), flush=True)
sys.stdin.readline()
"""

    def __init__(self, *before: str) -> None:
        import json

        self.process = subprocess.Popen(
            [*before, sys.executable, "-c", self.CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.owner = Owner(**json.loads(self.process.stdout.readline()))

    def end(self) -> None:
        """Let it go and reap it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def worker():
    """A process that works on an experiment."""
    made = Worker()
    yield made
    made.end()


def test_this_process_is_alive(lock):
    """By its own account."""
    owner = current_owner()
    assert owner.pid == os.getpid()
    assert owner.host == os.uname().nodename
    assert liveness.check(owner, lock).state is State.ALIVE


@linux
def test_an_owner_says_what_it_takes_to_tell_it_from_another(worker):
    """Two processes of one boot differ in pid or start, and agree in everything else."""
    here = current_owner()
    assert worker.owner.pid == worker.process.pid
    assert worker.owner.process_started != here.process_started
    assert worker.owner.boot_id == here.boot_id is not None
    assert worker.owner.pid_namespace == here.pid_namespace is not None
    ticks = os.sysconf("SC_CLK_TCK")
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 <= uptime - int(worker.owner.process_started) / ticks < 3600


@linux
def test_a_forked_child_is_another_process():
    """It does not get the facts that its parent has cached."""
    here = current_owner()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        owner = current_owner()
        os.write(writing, f"{owner.pid} {owner.process_started}".encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as answer:
        pid, started = answer.read().split()
    os.waitpid(child, 0)
    assert int(pid) == child
    assert int(started) >= int(here.process_started)
    assert current_owner().pid == os.getpid()


@linux
@pytest.mark.parametrize("name", ["python", "a b", "a) S 1 (b", ")", "((", "0 0 0 0 0 0"])
def test_a_program_of_any_name_is_understood(tmp_path, lock, name):
    """The name is in the middle of the line of the kernel, in parentheses."""
    program = tmp_path / name
    shutil.copy(shutil.which("sleep"), program)
    process = subprocess.Popen([program, "60"])
    try:
        raw = Path(f"/proc/{process.pid}/stat").read_text()
        started = raw[raw.rindex(")") + 2 :].split()[19]
        here = current_owner()
        owner = attrs.evolve(here, pid=process.pid, process_started=started)
        assert liveness.check(owner, lock).state is State.ALIVE
        other = attrs.evolve(owner, process_started=str(int(started) + 1))
        assert liveness.check(other, lock).state is State.DEAD
    finally:
        process.kill()
        process.wait()


@linux
def test_a_process_that_is_gone_is_dead(worker, lock):
    """The plain case."""
    assert liveness.check(worker.owner, lock).state is State.ALIVE
    worker.end()
    checked = liveness.check(worker.owner, lock)
    assert checked.state is State.DEAD
    assert str(worker.owner.pid) in checked.evidence


@linux
def test_a_process_that_waits_to_be_reaped_is_dead(worker, lock):
    """Its pid still answers."""
    worker.process.kill()
    os.waitid(os.P_PID, worker.process.pid, os.WEXITED | os.WNOWAIT)
    os.kill(worker.process.pid, 0)
    assert liveness.check(worker.owner, lock).state is State.DEAD


@linux
def test_a_process_that_is_stopped_is_alive(worker, lock):
    """SIGSTOP, a debugger, a laptop asleep."""
    worker.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, worker.process.pid, os.WSTOPPED | os.WNOWAIT)
    assert liveness.check(worker.owner, lock).state is State.ALIVE
    worker.process.send_signal(signal.SIGCONT)


@linux
def test_a_pid_that_was_given_to_another_process_is_dead(worker, lock):
    """The start tells them apart."""
    former = attrs.evolve(worker.owner, process_started=str(int(worker.owner.process_started) - 1))
    assert liveness.check(former, lock).state is State.DEAD


@linux
def test_a_process_of_another_user_is_alive(lock):
    """One may not signal it, but it is there."""
    raw = Path("/proc/1/stat").read_text()
    owner = attrs.evolve(current_owner(), pid=1, process_started=raw[raw.rindex(")") + 2 :].split()[19])
    assert liveness.check(owner, lock).state is State.ALIVE


@pytest.mark.parametrize("held", [False, True])
def test_a_process_on_another_host_is_unknown(lock, held):
    """It cannot be seen from here, whatever its pid: without proof it is unknown."""
    owner = attrs.evolve(
        current_owner(), host="elsewhere", boot_id="another", machine_id="other", is_locked=held, pid=2**22 - 1
    )
    checked = liveness.check(owner, lock)
    assert checked.state is State.UNKNOWN
    assert "elsewhere" in checked.evidence


def test_a_host_of_the_same_name_is_not_the_same_host(lock):
    """Containers and cloned machines share their names."""
    owner = attrs.evolve(current_owner(), boot_id="another", machine_id="other", pid=2**22 - 1)
    assert liveness.check(owner, lock).state is State.UNKNOWN


@linux
def test_a_process_in_another_container_is_not_called_dead(lock):
    """Its pid means something else here."""
    owner = attrs.evolve(current_owner(), pid_namespace="pid:[1]", pid=2**22 - 1)
    assert liveness.check(owner, lock).state is State.UNKNOWN


@pytest.mark.parametrize("pid", [0, -1, 2**31, 2**63, 2**22 - 1])
def test_a_pid_that_cannot_be_is_no_error(lock, pid):
    """A record may have been edited by hand; no process is killed for it."""
    owner = attrs.evolve(current_owner(), pid=pid)
    assert liveness.check(owner, lock).state in State


def test_an_owner_that_says_little_is_not_called_dead(lock):
    """A record from a system without a boot id."""
    owner = Owner(host="elsewhere", pid=os.getpid())
    assert liveness.check(owner, lock).state is State.UNKNOWN


@linux
def test_a_run_lock_that_is_held_is_proof_of_life(tmp_path, lock):
    """Even where the pid cannot be seen; and it is free as soon as its holder is dead."""
    code = """
import sys
from pathlib import Path
from runbook.storage.run_lock import RunLock
lock = RunLock(Path(sys.argv[1]))
print(lock.acquire(), flush=True)
sys.stdin.readline()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "True\n"
        owner = attrs.evolve(current_owner(), pid_namespace="pid:[1]", pid=2**22 - 1, is_locked=True)
        assert liveness.check(owner, lock).state is State.ALIVE
    finally:
        holder.kill()
        holder.communicate()
    assert liveness.check(owner, lock).state is State.DEAD


def test_a_run_lock_that_is_let_go_leaves_no_file(lock):
    """One for each running experiment, none for the others; it can be released twice."""
    life = run_lock.RunLock(lock)
    assert life.acquire()
    assert lock.exists()
    life.release()
    life.release()
    assert not lock.exists()
