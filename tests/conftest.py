"""Fixtures that more than one file uses."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import runbook
from runbook import ExperimentManager

# A shell starts what it puts in the background with Ctrl-C ignored, and nohup has SIGHUP ignored; every program of a
# test would inherit that.
if threading.current_thread() is threading.main_thread():
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The machines that run these tests are shared, and an example may have to wait for them.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("patient"), max_examples=20)
settings.load_profile("patient")

# The programs that tests start import what the tests import, wherever they run: a checkout beside an installed copy, or
# the installed copy itself.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(runbook.__file__).parents[1]), os.environ.get("PYTHONPATH")])
)

_SLOW_FIXTURES = frozenset({"script", "program", "terminal", "server", "run_example", "driver"})
"""They start processes or a browser."""
_RISKS = Path(__file__).parent / "risks"


def pytest_configure(config):
    """Give each worker neighbouring tests, and in the quick lane each property few examples.

    What the tests of a file share (a browser, a run of the benchmarks) is made by one worker then, not by each; a
    worker that is done early takes over tests of the others.
    """
    if getattr(config.option, "dist", None) == "load":
        config.option.dist = "worksteal"
    if config.option.markexpr == "not slow":
        settings.load_profile("quick")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark as slow what is slow by its nature; `-m "not slow"` leaves out the campaign as well."""
    for item in items:
        is_slow = item.get_closest_marker("campaign") or _RISKS in item.path.parents
        if is_slow or not _SLOW_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """Nobody's own settings decide what a test sees."""
    for name in ("RUNBOOK_DIR", "RUNBOOK_MODE", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _no_ending_is_left_over():
    """What a test leaves to be recorded at the end of the program would be a warning after the last test."""
    yield
    lifecycle = sys.modules.get("runbook.run.lifecycle")
    left = [] if lifecycle is None else [recorder.id for _, recorder, *_ in lifecycle._unrecorded]
    if left:
        lifecycle._unrecorded.clear()
    assert left == []


@pytest.fixture
def base(tmp_path) -> Path:
    """A base directory that does not exist yet."""
    return tmp_path / "experiments"


@pytest.fixture
def manager(base) -> ExperimentManager:
    """A manager of `base`."""
    return ExperimentManager(base)


class Script:
    """A program of its own in an empty folder, whose experiments go to `base`."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder = folder
        self.base = base

    def start(self, code: str, *args: str, **environment: str) -> subprocess.Popen[str]:
        """Start it; its output is to be read from the pipes."""
        path = self.folder / "program.py"
        fresh = path.with_suffix(".new")
        fresh.write_text(textwrap.dedent(code), encoding="utf-8")
        # Another process may be reading the same program at this moment.
        fresh.replace(path)
        return subprocess.Popen(
            [sys.executable, str(path), *args],
            cwd=self.folder,
            env={**os.environ, "RUNBOOK_DIR": str(self.base), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, *args: str, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        process = self.start(code, *args, **environment)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def script(tmp_path, base) -> Script:
    """Runs programs against `base`."""
    folder = tmp_path / "program"
    folder.mkdir()
    return Script(folder, base)


@pytest.fixture
def run(base):
    """Calls a command of the command line on `base`, in this process."""
    from cli_runner import cli_runner

    from runbook.cli import main

    def call(*args: str):
        return cli_runner().invoke(main, ["--dir", str(base), *args])

    return call


@pytest.fixture
def program(base, tmp_path):
    """Runs a command of the command line on `base`, as a process of its own."""

    def call(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runbook", *args],
            cwd=tmp_path,
            env={**os.environ, "RUNBOOK_DIR": str(base), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
        )

    return call


HOSTILE_NAME = "evil\x1b[31mred\x1b]0;owned\x07\u202egnp.exe\nnew line\t<b>&,=1+1"


@pytest.fixture(scope="session")
def _shelf(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """What `shelf` copies: making it takes a process of its own."""
    folder = tmp_path_factory.mktemp("shelf")
    manager = ExperimentManager(folder / "experiments")
    ids = {}
    for seed in (0, 1):
        config = {"lr": 0.01, "seed": seed, "model": {"name": "small"}}
        with manager.experiment(config, name="baseline", tags=["quick", "v1"], description="the first") as exp:
            for step in range(20):
                exp.log({"loss": 1 / (step + 1), "val/f1": step / 20}, step=step)
            exp.save_final_metrics({"test_f1": 0.8 + seed / 10, "temperature": 3.0, "test_loss": 0.5 - seed / 10})
            exp.note("looks good\nsecond line")
        ids[f"completed {seed}"] = exp.id
    with pytest.raises(ValueError), manager.experiment({"lr": 3, "seed": 0}, name="baseline") as exp:
        exp.log(loss=1.0, step=0)
        exp.log(loss=float("nan"), step=1)
        raise ValueError("the loss is NaN")
    ids["failed"] = exp.id
    with pytest.raises(RuntimeError), manager.experiment({"\x1b[2J": "\x1b[2J"}, name=HOSTILE_NAME) as exp:
        exp.log({"m\x1b[31m": 1.0})
        exp.note("\x1b[2Jnote\u202e")
        exp.add_tags("\x1b[2J")
        raise RuntimeError("\x1b[2J\x07 boom\u202e\nsecond")
    ids["hostile"] = exp.id
    done = Script(folder, manager.base_dir).run(
        """
        import os, signal
        from runbook import experiment
        with experiment({"lr": 0.5}, name="killed") as exp:
            exp.log(loss=0.25, step=7)
            print(exp.id, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    ids["killed"] = done.stdout.strip()
    return manager.base_dir, ids


@pytest.fixture
def shelf(_shelf, base) -> dict[str, str]:
    """A base directory with an experiment of each kind; their ids by what they are, oldest first."""
    shutil.copytree(_shelf[0], base, dirs_exist_ok=True)
    return dict(_shelf[1])


@pytest.fixture
def terminal(base, tmp_path):
    """Runs a command on `base` in a pseudo-terminal of a given width; the exit code, and what it showed."""
    return functools.partial(_in_a_terminal, base, tmp_path)


def _in_a_terminal(base: Path, folder: Path, *args: str, columns: int = 80, timeout: float = 30) -> tuple[int, str]:
    fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "runbook", *args],
        cwd=folder,
        env={**os.environ, "RUNBOOK_DIR": str(base), "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + timeout
    try:
        # The other end of a terminal that is closed is an error to Linux.
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline and (more := os.read(ours, 65536)):
                shown += more
        return process.wait(timeout=timeout), shown.decode().replace("\r\n", "\n")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture
def registry_of():
    """Reads the registry file of a base directory, without runbook."""

    def read(base: Path) -> list[dict[str, object]]:
        return json.loads((base / "experiment_registry.json").read_text(encoding="utf-8"))["experiments"]

    return read
