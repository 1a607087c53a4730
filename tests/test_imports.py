"""Importing costs next to nothing, and nothing happens by it."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

import pytest

import runbook

HEAVY = {"cattrs", "filelock", "rich", "click", "pandas", "numpy", "scipy", "sklearn", "torch", "omegaconf", "pydantic"}
DOORS = [
    "import runbook",
    "from runbook import experiment, tracked, ExperimentManager",
    "from runbook import *",
]


def fresh(code, cwd=None):
    """Run code in an interpreter that has imported nothing yet, and give what it prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize("door", DOORS)
def test_an_import_loads_nothing_heavy(door):
    """The libraries that only some calls need are loaded by those calls."""
    loaded = set(
        fresh(f"{door}\nimport sys, json\nprint(json.dumps([name.partition('.')[0] for name in sys.modules]))")
    )
    assert "runbook" in loaded
    assert loaded & HEAVY == set()


def test_the_bare_import_loads_none_of_our_modules():
    """`import runbook` is the door alone; a module comes when its name is used."""
    loaded = fresh(
        "import runbook, sys, json\nprint(json.dumps([name for name in sys.modules if name[:7] == 'runbook']))"
    )
    assert loaded == ["runbook"]


def test_the_three_names_load_only_their_doors():
    """The modules that they need, and attrs, are loaded by the first experiment and not by the import."""
    loaded = fresh(f"{DOORS[1]}\nimport sys; names = sorted(sys.modules)\nimport json; print(json.dumps(names))")
    assert [name for name in loaded if name.startswith("runbook")] == [
        "runbook",
        "runbook.api",
        "runbook.api.manager",
        "runbook.api.tracking",
    ]
    assert {"attr", "attrs", "inspect", "json", "pathlib"} & set(loaded) == set()


def test_an_experiment_loads_no_table_no_command_line_and_nothing_to_read_records_with(tmp_path):
    """What only people at a terminal and other processes need does not slow down a training."""
    loaded = fresh(
        "import runbook, sys, json\n"
        "with runbook.experiment({'lr': 0.1}) as exp: exp.log(loss=1)\n"
        "print(json.dumps(sorted(sys.modules)))",
        cwd=tmp_path,
    )
    assert {name.partition(".")[0] for name in loaded} & (HEAVY - {"filelock"}) == set()
    packages = {name.split(".")[1] for name in loaded if name.startswith("runbook.")}
    assert {"run", "index", "storage"} <= packages
    assert packages & {"render", "query", "compare", "maintain", "transfer", "pages", "cli", "display"} == set()


NOTHING_HAPPENS = """
import atexit, json, os, signal, sys, threading, warnings

reads = []

class Recorder(dict):
    # Only what is read by our own code; the standard library reads its settings when it is first imported.
    def _note(self, key):
        frame = sys._getframe(2)
        while frame is not None and os.path.basename(frame.f_code.co_filename) in {"os.py", "<frozen os>"}:
            frame = frame.f_back
        if frame is not None and os.sep + "runbook" + os.sep in frame.f_code.co_filename:
            reads.append(str(key))
    def get(self, key, default=None):
        self._note(key)
        return dict.get(self, key, default)
    def __getitem__(self, key):
        self._note(key)
        return dict.__getitem__(self, key)
    def __contains__(self, key):
        self._note(key)
        return dict.__contains__(self, key)

import asyncio, functools, inspect, logging, pathlib, shutil, tempfile, attrs, contextvars, unicodedata, traceback
import dataclasses, enum, typing, weakref, fnmatch, difflib, hashlib, csv, socket, platform, subprocess, getpass

os.environ = Recorder(os.environ)
opened = []
sys.addaudithook(lambda event, args: opened.append((event, str(args[0]), args[1]))
    if event == "open" and not str(args[0]).endswith((".py", ".pyc")) else None)
events = []
sys.addaudithook(lambda event, args: events.append(event)
    if event.startswith(("os.mkdir", "subprocess", "socket", "os.fork", "os.system", "os.rename")) else None)

def state():
    return {
        "signals": {number: repr(signal.getsignal(number)) for number in signal.valid_signals()},
        "atexit": atexit._ncallbacks(),
        "threads": threading.active_count(),
        "handlers": repr(logging.getLogger().handlers + logging.getLogger("runbook").handlers),
        "level": logging.getLogger("runbook").level,
        "filters": repr(warnings.filters),
        "hooks": repr([sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook]),
        "path": list(sys.path),
        "umask": None,
        "recursion": sys.getrecursionlimit(),
    }

before = state()
import runbook
from runbook import *
from runbook import experiment, tracked, ExperimentManager
import runbook.api.manager, runbook.render.summary, runbook.transfer.bundle, runbook.compare.comparison, runbook.capture.environment, runbook.capture.git
import runbook.render.tables, runbook.compare.statistics, runbook.compare.grouping, runbook.compare.predictions, runbook.compare.groups
after = state()

@tracked
def train(lr, exp): ...

@tracked(name="x")
async def atrain(lr): ...

print(json.dumps({
    "same": before == after,
    "reads": reads,
    "events": [event for event in events],
    "written": [entry for entry in opened if entry[2] and set(str(entry[2])) & set("wax+")],
    "files": os.listdir("."),
}))
"""


def test_nothing_happens_on_import(tmp_path):
    """No handlers, no hooks, no threads, no files or folders, no reads of the environment; decorating adds none."""
    found = fresh(NOTHING_HAPPENS, cwd=tmp_path)
    assert found == {"same": True, "reads": [], "events": [], "written": [], "files": []}


def test_the_recorder_of_the_test_above_can_tell(tmp_path):
    """It sees the read that the first experiment makes, so that an empty list means something."""
    code = NOTHING_HAPPENS.replace("after = state()", "experiment({'lr': 1})\nafter = state()")
    assert "RUNBOOK_MODE" in fresh(code, cwd=tmp_path)["reads"]


def test_the_door_is_a_sorted_list():
    """Whoever adds a name finds its place."""
    assert runbook.__all__ == sorted(runbook.__all__)
    assert len(set(runbook.__all__)) == len(runbook.__all__)


@pytest.mark.parametrize("name", runbook.__all__)
def test_every_name_of_the_door_is_there(name):
    """And is the one that its own module defines."""
    value = getattr(runbook, name)
    assert value.__module__.startswith("runbook.")
    assert value is getattr(importlib.import_module(value.__module__), name)
    assert name in dir(runbook)


def test_a_name_that_is_not_there_is_an_attribute_error():
    """As of any module; `hasattr` and `from … import` work as ever."""
    with pytest.raises(AttributeError, match="module 'runbook' has no attribute 'nothing'"):
        runbook.nothing  # noqa: B018
    assert not hasattr(runbook, "nothing")
    with pytest.raises(ImportError, match="nothing"):
        exec("from runbook import nothing")


def test_the_version_is_that_of_the_package():
    """One number, in one place."""
    metadata = pytest.importorskip("importlib.metadata")
    try:
        installed = metadata.version("runbook")
    except metadata.PackageNotFoundError:
        pytest.skip("runbook runs from a checkout here, not from an installed package")
    assert runbook.__version__ == installed


def test_a_program_may_have_a_module_of_the_same_name_as_one_of_ours(tmp_path):
    """`typing.py` and `signals.py` are inside of a package and hide nothing, and the user's hide none of ours."""
    for name in ("history", "records", "signals", "store", "manager", "codec", "config", "errors"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module was imported')")
    (tmp_path / "main.py").write_text(
        "from runbook import ExperimentManager\n"
        "m = ExperimentManager('e')\n"
        "with m.experiment({'lr': 1}) as exp: exp.log(loss=1)\n"
        "print(m.list_experiments()[0]['status'])\n"
    )
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "completed\n", done.stderr
