"""How far exports, imports and merges have come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from runbook import ExperimentManager
from runbook.storage.meter import Meter

MIB = 1024 * 1024


@pytest.fixture
def calls():
    """A hook that keeps its calls."""

    class Calls(list):
        def __call__(self, done, total):
            self.append((done, total))

    return Calls()


@pytest.fixture
def large(manager):
    """An experiment with a checkpoint of some MiB."""
    with manager.experiment({"lr": 0.1}, name="large") as exp:
        (exp.checkpoints_dir / "weights.bin").write_bytes(os.urandom(5 * MIB))
        exp.log(loss=1.0)
    return exp.id


def check(calls):
    dones = [done for done, _ in calls]
    assert dones == sorted(dones) and dones[0] == 0
    assert len({total for _, total in calls}) == 1
    assert calls[-1][0] == calls[-1][1] > 0


def everything_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize(("steps", "expected"), [([2, 2], [0, 2, 4, 5]), ([4, 4], [0, 4, 5]), ([], [0, 5])])
def test_a_meter_never_goes_beyond_the_total_and_ends_at_it(calls, steps, expected):
    """A file that grew or shrank while it was read changes nothing about that."""
    meter = Meter(calls, 5)
    for step in steps:
        meter.advance(step)
    meter.finish()
    assert [done for done, _ in calls] == expected


def test_a_meter_of_nothing_is_done_at_once(calls):
    """There is one call, with 0 of 0."""
    Meter(calls, 0).finish()
    assert calls == [(0, 0)]


@pytest.mark.parametrize("target", ["copies", "copy.zip"])
def test_an_export_tells_its_bytes(manager, tmp_path, calls, large, target):
    """From 0 to all of them, in steps that a bar can show."""
    manager.export_experiment(large, tmp_path / target, progress=calls)
    check(calls)
    assert calls[-1][1] > 5 * MIB and len(calls) > 5


@pytest.mark.parametrize("target", ["copies", "copy.zip"])
def test_an_import_tells_its_bytes(manager, tmp_path, calls, large, target):
    """Whether it comes from a folder or from a bundle."""
    made = manager.export_experiment(large, tmp_path / target)
    other = ExperimentManager(tmp_path / "other")
    assert other.import_experiment(made, progress=calls) == large
    check(calls)
    assert calls[-1][1] > 5 * MIB and len(calls) > 5


def test_a_merge_tells_its_experiments(manager, tmp_path, calls):
    """One after the other."""
    for nth in range(3):
        with manager.experiment({"nth": nth}):
            pass
    ExperimentManager(tmp_path / "other").merge(manager.base_dir, progress=calls)
    assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)]


@pytest.mark.slow
@pytest.mark.parametrize("error", [ValueError("mine"), RuntimeError("mine"), OSError("mine"), KeyboardInterrupt()])
@pytest.mark.parametrize("target", ["copies", "copy.zip"])
def test_what_the_hook_raises_comes_out_and_nothing_half_made_is_left(manager, tmp_path, large, target, error):
    """The user's own error is never taken for one of the bundle."""

    def hook(done, total):
        if done:
            raise error

    made = manager.export_experiment(large, tmp_path / "good" / target)
    with pytest.raises(type(error)):
        manager.export_experiment(large, tmp_path / "bad" / target, progress=hook)
    assert everything_in(tmp_path / "bad") in ([], ["copies"])
    other = ExperimentManager(tmp_path / "other")
    with pytest.raises(type(error)):
        other.import_experiment(made, progress=hook)
    assert other.list_experiments() == []
    assert everything_in(tmp_path / "other" / ".runbook" / "incoming") == []
    assert other.import_experiment(made) == large


def test_an_interrupted_merge_keeps_what_has_come_in_whole(manager, tmp_path):
    """And the rest comes with the next one."""
    for nth in range(3):
        with manager.experiment({"nth": nth}):
            pass

    def hook(done, total):
        if done == 2:
            raise KeyboardInterrupt

    other = ExperimentManager(tmp_path / "other")
    with pytest.raises(KeyboardInterrupt):
        other.merge(manager.base_dir, progress=hook)
    assert len(other.list_experiments()) == 2 and [finding for finding in other.doctor() if finding.is_repairable] == []
    assert len(other.merge(manager.base_dir).added) == 1


INTERRUPTED = """
import sys
from runbook import ExperimentManager

def hook(done, total):
    print(done, flush=True)
    import time
    time.sleep(0.02)

manager = ExperimentManager(sys.argv[1])
getattr(manager, sys.argv[2])(*sys.argv[3:], progress=hook)
"""


def interrupted(*args):
    """Run it, and press Ctrl-C when it has done some of its work."""
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *map(str, args)], stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE
    )
    for line in process.stdout:
        if int(line) > MIB:
            time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            break
    _, err = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in err and process.returncode == -signal.SIGINT


@pytest.mark.slow
@pytest.mark.parametrize("target", ["copies", "copy.zip"])
def test_ctrl_c_in_an_export_leaves_nothing(manager, tmp_path, large, target):
    """Neither the copy nor a temporary; the experiment is untouched."""
    (tmp_path / "out").mkdir()
    interrupted(manager.base_dir, "export_experiment", large, tmp_path / "out" / target)
    assert everything_in(tmp_path / "out") in ([], ["copies"])
    assert manager.export_experiment(large, tmp_path / "out" / target).exists()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["copies", "copy.zip"])
def test_ctrl_c_in_an_import_leaves_nothing(manager, tmp_path, large, target):
    """Neither an experiment nor what was being built."""
    made = manager.export_experiment(large, tmp_path / target)
    interrupted(tmp_path / "other", "import_experiment", made)
    other = ExperimentManager(tmp_path / "other")
    assert other.list_experiments() == []
    assert everything_in(tmp_path / "other" / ".runbook" / "incoming") == []
    assert other.import_experiment(made) == large
