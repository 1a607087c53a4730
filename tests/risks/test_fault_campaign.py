"""A fault at every system call that touches a base directory, one at a time, through a whole life and what comes after.

The program is run once under strace to learn which calls of its main thread touch the base directory; then once for
each of them with a fault there. Nothing about the number or the order of the calls is written down here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runbook import ExperimentManager

CALLS = ("openat", "write", "fsync", "rename", "mkdir", "unlink", "flock")
ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EINTR", "ENOLCK")


def can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not can_trace(), reason="strace is not installed or may not trace")

PROGRAM = """
import os, sys
from runbook import ExperimentManager, experiment

def say(*words):
    print(*words, file=sys.stderr, flush=True)

def life(base, bundle, say):
    manager = ExperimentManager(base)
    began = False
    try:
        with experiment({"lr": 0.1}, name="victim", base_dir=base) as exp:
            began = True
            say("ACK started", exp.id)
            exp.log(loss=1.0)
            exp.log(loss=2.0)
            try:
                exp.save_predictions([1, 2], "predictions.json")
                say("ACK predictions", exp.id)
                exp.save_final_metrics({"f1": 0.5})
                say("ACK metrics", exp.id)
            except OSError as error:
                say("RAISED save", error)
        say("LEFT", exp.id)
    except OSError as error:
        say("KILLED BY THE TRACKER" if began else "RAISED start", error)
    for name, step in {
        "imported": lambda: manager.import_experiment(bundle),
        "noted": lambda: manager.add_note("earlier", "from outside") or "earlier",
        "deleted": lambda: manager.delete_experiment("earlier").name,
    }.items():
        try:
            say("ACK", name, step())
        except OSError as error:
            say("RAISED", name, error)

os.chdir(sys.argv[1])
# Everything is imported, and looked up once, before it counts.
life(sys.argv[2], sys.argv[4], lambda *_: None)
life(sys.argv[3], sys.argv[4], say)
"""
NEXT = """
import sys
from runbook import ExperimentManager, experiment
with experiment({}, name="next", base_dir=sys.argv[1]):
    pass
"""


class Stage:
    """A base directory with something in it, made anew for each run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.template = folder / "template"
        self.bundle = folder / "traveller.zip"
        for base in (self.template, folder / "elsewhere"):
            manager = ExperimentManager(base)
            with manager.experiment({"base": base.name}, name="earlier"):
                pass
        with manager.experiment({}, name="traveller") as exp:
            exp.save_metrics("m", {"a": 1})
        manager.export_experiment("traveller", self.bundle)
        self.traveller = exp.id
        self.base = folder / "base"
        self.reset()

    def reset(self) -> None:
        for path in (self.base, self.folder / "warm"):
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(self.template, path)

    def run(self, *strace: str) -> subprocess.CompletedProcess[str]:
        arguments = (self.folder, self.folder / "warm", self.base, self.bundle)
        return subprocess.run(
            ["strace", "-f", "-qq", *strace, sys.executable, "-c", PROGRAM, *map(str, arguments)],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )

    def touching(self, call: str) -> list[int]:
        """Which of the main thread's calls of that name touch the base directory, counted from 1."""
        self.reset()
        log = self.folder / "log"
        done = self.run("-y", "-o", str(log), "-e", f"trace=execve,{call}", "-e", "signal=none")
        assert done.returncode == 0, done.stderr
        lines = log.read_text(errors="replace").splitlines()
        main = lines[0].split()[0] if lines else ""
        own = [line for line in lines if line.split()[0] == main and re.search(rf"\b{call}\(", line)]
        return [number for number, line in enumerate(own, start=1) if f"{self.base}/" in line]


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    return Stage(tmp_path_factory.mktemp("stage"))


def check(stage: Stage, done: subprocess.CompletedProcess[str], *, killed: bool) -> None:
    said = [line.split() for line in done.stderr.splitlines()]
    assert killed or done.returncode == 0, done.stderr
    assert "KILLED BY THE TRACKER" not in done.stderr
    promised = {words[1]: words[2] for words in said if words[:1] == ["ACK"] and len(words) > 2}
    json.loads((stage.base / "experiment_registry.json").read_bytes())
    manager = ExperimentManager(stage.base)
    listed = {entry["experiment_id"]: entry for entry in manager.list_experiments()}
    names = {entry["custom_name"]: entry for entry in listed.values()}
    if "started" in promised:
        victim = listed[promised["started"]]
        assert victim["status"] in {"completed", "interrupted"}
        assert victim["end_reason"] in {"returned", "vanished"}
        view = manager.get_experiment(promised["started"])
        if "predictions" in promised:
            assert view.load_predictions("predictions.json") == [1, 2]
        if "metrics" in promised:
            assert victim["metrics"] == {"f1": 0.5}
        assert set(view.history().get("loss", [])) <= {1.0, 2.0}
        if ["LEFT"] in [words[:1] for words in said] and "could not be recorded" not in done.stderr:
            assert victim["status"] == "completed"
    elif not killed:
        assert "victim" not in names, "it was told that there is none"
    if "imported" in promised:
        assert listed[stage.traveller]["status"] == "completed"
    notes = [entry["notes"] for entry in [*listed.values(), *manager.list_trash()] if entry["custom_name"] == "earlier"]
    assert notes == ["from outside"] or (notes == [None] and "noted" not in promised), notes
    if "deleted" in promised:
        assert "earlier" not in names
        assert [entry["custom_name"] for entry in manager.list_trash()] == ["earlier"]
    else:
        trash = [entry["custom_name"] for entry in manager.list_trash()]
        assert [*trash, *(name for name in names if name == "earlier")] == ["earlier"], "in one place, and in one only"
    temporaries = [path for path in stage.base.rglob(".*.tmp")]
    assert len(temporaries) <= (1 if killed else 0), temporaries
    after = subprocess.run([sys.executable, "-c", NEXT, stage.base], capture_output=True, text=True, timeout=30)
    assert (after.returncode, after.stderr) == (0, "")
    assert "next" in {entry["custom_name"] for entry in ExperimentManager(stage.base).list_experiments()}


def faults(stage: Stage, call: str, places: int | None = None) -> None:
    """A kill and each error at every call of a name, or one of them at each of so many places."""
    touching = stage.touching(call)
    assert touching, f"no {call} touches the base directory; this test would test nothing"
    kinds = ["signal=SIGKILL", *(f"error={error}" for error in ERRORS)]
    sample = touching if places is None else touching[:: max(1, len(touching) // places)][:places]
    for number, nth in enumerate(sample):
        for kind in kinds if places is None else [kinds[(number + 3 * CALLS.index(call)) % len(kinds)]]:
            if call == "flock" and kind == "error=ENOLCK" and nth != touching[0]:
                # A disk has locks or has none; tests of a disk without any are elsewhere.
                continue
            stage.reset()
            done = stage.run("-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:{kind}:when={nth}")
            try:
                check(stage, done, killed=kind == "signal=SIGKILL")
            except Exception as error:
                raise AssertionError(f"{kind} at {call} number {nth}: {error}\n{done.stderr}") from error


@pytest.mark.parametrize("call", ["openat", "write", "fsync", "rename"])
def test_a_fault_at_some_calls_of_each_kind_is_survived(stage, call):
    """A sample of the campaign, one fault for each of a few places."""
    faults(stage, call, places=3)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("call", CALLS)
def test_each_fault_at_each_call_is_survived(stage, call):
    """The registry parses, what was promised is there, the training goes on, and so does the next process."""
    faults(stage, call)
