"""Runs one operation of one system in a fresh process, on a base directory that is in the state it is to have."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from environments import Unavailable, driver_of

HERE = Path(__file__).parent
MOST_COPIED = 10_000
"""A base directory with more experiments than this is not copied for each measurement, which adds a few to it."""

HELPERS_S = 15
"""How long the helper processes of a worker that has ended may go on writing."""


class Measuring:
    """What the operations need.

    Args:
        environments: the interpreters.
        work: a folder for base directories, kept between runs.
        timeout_s: how long one measurement may take.
        prepare_limit_s: how long it may take to fill a base directory through the API of a system.
    """

    def __init__(self, environments, work, timeout_s, prepare_limit_s):
        self.environments = environments
        self._work = Path(work).absolute()
        self.timeout_s, self._prepare_limit_s = timeout_s, prepare_limit_s
        self._scratch = self._work / "scratch"
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True)

    def worker(self, system, operation, *, is_killed=False, prefix=(), timeout_s=None, **arguments):
        """The numbers of one operation, from a process of its own."""
        process, result = self.start(system, operation, prefix=prefix, **arguments)
        return self.wait(process, result, is_killed=is_killed, timeout_s=timeout_s)

    def start(self, system, operation, *, prefix=(), **arguments):
        """The process of an operation, and the file that its result goes to."""
        result = self.scratch("result")
        python = self.environments.python(system)
        worker = [python, str(HERE / "worker.py"), system, operation, json.dumps(arguments), str(result)]
        # Its own error output goes to a file: a pipe would be held open by whatever it leaves running.
        with open(f"{result}.err", "wb") as errors:
            process = subprocess.Popen(
                [*prefix, *worker],
                cwd=_repository(self._work / "repositories" / system),
                env={**_clean_environment(), **driver_of(system).ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        return process, result

    def wait(self, process, result, *, is_killed=False, timeout_s=None):
        """The numbers of a process that was started."""
        limit_s = timeout_s or self.timeout_s
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            _end(process)
            raise Unavailable(f"took longer than {limit_s:.0f} s") from None
        _let_helpers_end(process.pid)
        if is_killed and code == -signal.SIGKILL:
            return {}
        if code != 0 or not result.exists():
            raise Unavailable(f"fails: {_reason(Path(f'{result}.err'), code)}")
        numbers = json.loads(result.read_text())
        if "unavailable" in numbers:
            raise Unavailable(numbers["unavailable"])
        return numbers

    def statement_ms(self, python, statement, environment):
        """How long a statement takes as the first of a fresh process, in milliseconds."""
        result = self.scratch("statement")
        code = (
            f"import sys, time\nbegun = time.perf_counter()\n{statement}\ntaken = time.perf_counter() - begun\n"
            "with open(sys.argv[1], 'w') as file: file.write(str(1e3 * taken))"
        )
        begun = time.perf_counter()
        done = subprocess.run(
            [python, "-c", code, str(result)],
            cwd=self._scratch,
            env={**_clean_environment(), **environment},
            capture_output=True,
            text=True,
            timeout=self.timeout_s,
        )
        taken_ms = 1e3 * (time.perf_counter() - begun)
        if done.returncode != 0:
            raise Unavailable(f"does not start: {done.stderr.strip().splitlines()[-1][:160]}")
        return float(result.read_text()), taken_ms

    def scratch(self, name):
        """A path that is free."""
        for number in range(10**9):
            path = self._scratch / f"{name}-{number}"
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                return path / name
        raise AssertionError

    def empty(self, system):
        """A base directory with nothing in it."""
        base = self.scratch(system)
        base.mkdir()
        return str(base)

    def base(self, system, there):
        """A base directory with `there` experiments in it: a copy of one that was prepared, or that one itself."""
        if there == 0:
            return self.empty(system)
        pristine = self._prepared(system, there)
        if there > MOST_COPIED:
            return str(pristine)
        base = self.scratch(system)
        subprocess.run(["cp", "-a", str(pristine), str(base)], check=True)
        # Or the first fsync of the measurement would wait for the copy to reach the disk.
        os.sync()
        return str(base)

    def prepared(self, system, there):
        """The base directory with `there` experiments, to read only."""
        return str(self._prepared(system, there)) if there else self.empty(system)

    def _prepared(self, system, there):
        driver = driver_of(system)
        operation = "prepare_directly" if hasattr(driver, "prepare") else "prepare"
        return self._kept(system, f"{there}", lambda base: self._fill(system, operation, base, there))

    def _fill(self, system, operation, base, there):
        print(f"  preparing {there} experiments of {system}", flush=True)
        limit_s = self._prepare_limit_s
        self.worker(system, operation, base=base, count=there, limit_s=limit_s, timeout_s=2 * limit_s + 600)

    def logged(self, system, calls, limit_s):
        """A base directory whose only experiment has a history."""

        def fill(base):
            self.worker(system, "log", base=base, calls=calls, limit_s=limit_s)
            self.worker(system, "index", base=base)

        return str(self._kept(system, f"history-{calls}", fill))

    def _kept(self, system, name, fill):
        """A folder in the work folder that is made once for each version of a system and of its driver."""
        driver = (HERE / "systems" / f"{system}.py").read_bytes() + (HERE / "workload.py").read_bytes()
        # What the floor and the home-made manager write is in their drivers.
        version = "" if system in {"floor", "homemade"} else self.environments.version(system)
        stamp = f"{version} {hashlib.sha256(driver).hexdigest()}"
        folder = self._work / "prepared" / f"{system}-{name}"
        if (folder / "made").exists() and (folder / "made").read_text() == stamp:
            if (folder / "failed").exists():
                raise Unavailable((folder / "failed").read_text())
            return folder / "base"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "base").mkdir(parents=True)
        try:
            fill(str(folder / "base"))
        except Unavailable as error:
            (folder / "failed").write_text(str(error))
            (folder / "made").write_text(stamp)
            raise
        (folder / "made").write_text(stamp)
        return folder / "base"

    def clean(self):
        """Remove what a measurement left."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True)


def _repository(folder):
    """A small git repository with a change that is not committed: what a training script is started in.

    Each system has one of its own: some write into it.
    """
    if not (folder / ".git").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(100):
            (folder / f"module_{number}.py").write_text(f"VALUE = {number}\n" * 20)
        git = ["git", "-C", str(folder), "-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
        for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "A training script"]):
            subprocess.run([*git, *command], check=True)
        (folder / "module_0.py").write_text("VALUE = 'changed'\n")
    return folder


def _clean_environment():
    """Our own environment, without settings of the systems that are measured."""
    prefixes = ("RUNBOOK_", "WANDB_", "MLFLOW_", "TRACKIO_", "AIM_", "SWANLAB_", "DVC_", "PYTHONPATH", "COV")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def _reason(path, code):
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    reason = lines[-1] if lines else f"exit code {code}"
    return reason.removeprefix("operations.TookTooLong: ")[:160]


def _let_helpers_end(session):
    """Wait for the processes that a worker has started and left; what they still write counts. Then end them."""
    deadline = time.monotonic() + HELPERS_S
    while _is_any_in(session) and time.monotonic() < deadline:
        time.sleep(0.1)
    _kill_group(session)


def _is_any_in(session):
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True


def _kill_group(session):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)


def _end(process):
    _kill_group(process.pid)
    process.wait()
