"""Watching: running experiments, their metrics, and whether they are alive."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from runbook.cli import follow
from runbook.read.view import layout_of
from runbook.storage import experiment_folder
from runbook.storage.progress import Progress

TRAINING = """
import os, sys, time
from runbook import experiment
with experiment({"lr": 1}, name="training") as exp:
    exp.log({"loss": 0.5, "m\\x1b[2J": 1}, step=3)
    exp.progress(25, 100)
    time.sleep(0.6)
    exp.progress(50, 100)
    print(exp.id, flush=True)
    sys.stdin.readline()
"""
ENDED = "20260101_000000_aaaaaaaa"


@pytest.fixture
def training(base, tmp_path):
    """A training of its own process that waits for a line; its id and the process."""
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINING],
        env={**os.environ, "RUNBOOK_DIR": str(base)},
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process.stdout.readline().strip(), process
    process.kill()
    process.communicate()


@pytest.fixture
def watching(base, tmp_path):
    """Starts `watch` as a process of its own, with its output in a pipe."""
    with contextlib.ExitStack() as stack:

        def start(*args):
            process = subprocess.Popen(
                [sys.executable, "-m", "runbook", "watch", "--interval", "0.1", *args],
                env={**os.environ, "RUNBOOK_DIR": str(base)},
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield start


def snapshot(**given):
    """A snapshot of a running experiment."""
    now = datetime.now(UTC)
    fields = {"experiment_id": ENDED, "custom_name": None, "status": "running", "end_reason": None, "state": "alive"}
    fields |= {
        "evidence": "",
        "step": None,
        "metrics": {},
        "progress": None,
        "last_sign_of_life": now,
        "duration_s": 1.0,
    }
    return follow.Snapshot(**fields | given)


def test_a_look_has_everything_a_program_may_want(training, run):
    """The documented shape."""
    experiment_id, process = training
    result = run("watch", "--json")
    assert result.exit_code == 0
    (seen,) = json.loads(result.stdout)
    assert set(seen) == {
        "experiment_id", "custom_name", "status", "end_reason", "state", "evidence", "step", "metrics", "progress",
        "last_sign_of_life", "duration_s",
    }  # fmt: skip
    assert (seen["experiment_id"], seen["state"], seen["status"]) == (experiment_id, "alive", "running")
    assert seen["evidence"] == f"process {process.pid} is there"
    assert (seen["step"], seen["metrics"]["loss"]) == (3, 0.5)
    assert set(seen["progress"]) == {"done", "total", "time", "per_second", "remaining_s"}
    assert (seen["progress"]["done"], seen["progress"]["total"]) == (50, 100)
    assert 20 < seen["progress"]["per_second"] < 50


def test_once_prints_and_ends(training, run):
    """Who it is, whether it lives, how far it is, its metrics."""
    experiment_id, _ = training
    text = run("watch", "--once").stdout
    for part in (experiment_id, "alive", "step 3", "50/100 (50%)", "loss=0.5", "m\\x1b[2J=1"):
        assert part in text
    assert "training" in run("watch", "--once", "training").stdout


def test_lines_in_a_pipe_end_with_the_experiment(training, watching):
    """A line for each change, and the ending."""
    experiment_id, process = training
    watch = watching(experiment_id)
    first = watch.stdout.readline()
    assert experiment_id in first
    assert "alive" in first
    process.stdin.write("\n")
    process.stdin.flush()
    rest, err = watch.communicate(timeout=30)
    assert watch.returncode == 0
    assert err == ""
    assert rest.splitlines()[-1].split("  ")[2] == "completed (returned)"
    assert len(rest.splitlines()) <= 2


def test_a_killed_training_is_shown_as_interrupted(training, watching):
    """No process recorded its ending, and the watch concludes it from the evidence."""
    experiment_id, process = training
    watch = watching(experiment_id)
    watch.stdout.readline()
    process.kill()
    process.wait()
    rest, _ = watch.communicate(timeout=30)
    assert "interrupted (vanished)" in rest


@pytest.mark.slow
def test_it_goes_on_until_it_is_stopped(training, watching):
    """Without a name it waits for whatever comes; SIGTERM and Ctrl-C end it with their codes."""
    for signum, code in ((signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 130)):
        watch = watching()
        assert training[0] in watch.stdout.readline()
        watch.send_signal(signum)
        _, err = watch.communicate(timeout=30)
        assert (watch.returncode, err) == (code, "")


def test_a_terminal_is_left_as_it_was(training, base, tmp_path):
    """Live in place; what has ended stays in view; after Ctrl-C the cursor is back."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    watch = subprocess.Popen(
        [sys.executable, "-m", "runbook", "watch", "--interval", "0.1"],
        env={**os.environ, "RUNBOOK_DIR": str(base), "TERM": "xterm", "COLUMNS": "80", "LINES": "30"},
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        shown = _read_until(ours, b"1 running")
        training[1].stdin.write("\n")
        training[1].stdin.flush()
        shown += _read_until(ours, b"0 running, 1 ended")
        watch.send_signal(signal.SIGINT)
        shown += _read_until(ours, None)
        assert watch.wait(timeout=30) == 130
    finally:
        watch.kill()
        watch.wait()
        os.close(ours)
    assert b"completed (returned)" in shown
    assert b"Traceback" not in shown
    assert b"\x1b[2J" not in shown
    assert re.findall(rb"\x1b\[\?25[lh]", shown)[-1] == b"\x1b[?25h"


def _read_until(descriptor, wanted) -> bytes:
    shown = b""
    deadline = time.monotonic() + 30
    with contextlib.suppress(OSError):
        while time.monotonic() < deadline and (wanted is None or wanted not in shown):
            more = os.read(descriptor, 65536)
            if not more:
                break
            shown += more
    assert wanted is None or wanted in shown
    return shown


def test_one_on_another_machine_cannot_be_seen(training, run, manager):
    """It is shown neither as alive nor as dead, but with its last sign of life."""
    experiment_id, _ = training
    layout = layout_of(manager.get_experiment(experiment_id))
    record = experiment_folder.read_record(layout)
    owner = attrs.evolve(
        record.attempts[-1].owner, host="elsewhere", boot_id="another", machine_id="another", is_locked=False
    )
    attempt = attrs.evolve(record.attempts[-1], owner=owner)
    experiment_folder.write_record(layout, attrs.evolve(record, attempts=(attempt,)))
    assert "cannot be seen from here, last sign of life" in run("watch", "--once").stdout
    (seen,) = json.loads(run("watch", "--json").stdout)
    assert seen["state"] == "unknown"
    assert "elsewhere" in seen["evidence"]


def test_the_remaining_time_is_shown_only_where_it_is_no_guess():
    """A process that has been silent for far longer than one unit takes may be stuck."""
    now = datetime.now(UTC)

    def snapshot_of(ago, done=50.0):
        recorded = now - timedelta(seconds=ago)
        return snapshot(progress=Progress(done, 100, recorded, 0, recorded - timedelta(seconds=50)))

    assert snapshot_of(0).remaining_s(now) == pytest.approx(50, abs=1)
    assert snapshot_of(30).remaining_s(now) == pytest.approx(20, abs=1)
    assert snapshot_of(59).remaining_s(now) == 0
    assert snapshot_of(100).remaining_s(now) is None
    # One unit takes five minutes: four minutes of silence are nothing.
    assert snapshot_of(240, done=1 / 6).remaining_s(now) is not None
    assert snapshot().remaining_s(now) is None
    assert attrs.evolve(snapshot_of(0), state=follow.ENDED).remaining_s(now) is None


def test_one_that_is_stopped_is_silent(training, run, manager):
    """The rate and the remaining time of a silent process are unknown."""
    experiment_id, process = training
    process.send_signal(signal.SIGSTOP)
    layout = layout_of(manager.get_experiment(experiment_id))
    moment = time.time() - 25
    for path in (layout.root, *layout.root.rglob("*")):
        os.utime(path, (moment, moment))
    (line,) = [line for line in run("watch", "--once").stdout.splitlines() if "alive" in line]
    assert re.search(r"alive, silent for 2[5-9]\.\d s", line)
    assert "50/100 (50%)" in line
    assert "/s" not in line
    assert "left" not in line
    assert json.loads(run("watch", "--json").stdout)[0]["progress"]["remaining_s"] is None


@pytest.mark.parametrize(
    ("usual", "silence", "is_silent"),
    [(0.1, 9, False), (0.1, 11, True), (30, 140, False), (30, 160, True), (None, 50, False), (None, 70, True)],
)
def test_silence_is_measured_by_what_is_usual(usual, silence, is_silent):
    """10 seconds, five times the usual pause, or a minute where that is not known."""
    now = datetime.now(UTC)
    seen = snapshot(usual_pause_s=usual, last_sign_of_life=now - timedelta(seconds=silence))
    assert seen.is_silent(now) is is_silent
    assert not attrs.evolve(seen, state=follow.ENDED).is_silent(now)


def test_the_end_of_a_history_is_enough(tmp_path):
    """The last value of each metric, though they are not in one line, of a file of any size; a torn line is none."""
    path = tmp_path / "history.jsonl"
    lines = [json.dumps({"step": step, "time": "t", "loss": step, "pad": "x" * 100}) for step in range(5000)]
    path.write_text("\n".join([*lines, '{"step": 5000, "time": "t", "val": "NaN"}', '{"step": 5001, "lo']))
    step, metrics = follow.read_last_values(path)
    assert step == 5000
    assert metrics["loss"] == 4999
    assert metrics["val"] != metrics["val"]
    assert follow.read_last_values(tmp_path / "none") == (None, {})
