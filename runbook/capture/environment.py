"""What an experiment runs on and with: interpreter, packages, git, command line, machine."""

from __future__ import annotations

import os
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from runbook.capture.git import Answer, Inquiry
from runbook.config.redaction import redact_arguments
from runbook.record.model import Capture, Environment
from runbook.storage.process import host_name

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

VARIABLES: Final = (
    "CONDA_DEFAULT_ENV",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "PYTHONHASHSEED",
    "RANK",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_JOB_ID",
    "SLURM_JOB_NAME",
    "SLURM_JOB_NODELIST",
    "SLURM_NTASKS",
    "SLURM_PROCID",
    "SLURM_RESTART_COUNT",
    "TF_DETERMINISTIC_OPS",
    "VIRTUAL_ENV",
    "WORLD_SIZE",
)
"""The variables that are kept: they steer devices, threads, randomness and jobs, and hold no secret."""

_NVIDIA: Final = Path("/proc/driver/nvidia/gpus")


def capture() -> Capture:
    """The environment of this process, and what was not committed when it was first asked for.

    The first call looks around, in some tens of milliseconds; a slow git is given up after two seconds.
    Later calls, also in a forked child, return the same with the process id, command line and variables of
    the moment. No call raises an Exception, prints, or initialises CUDA.
    """
    global _kept  # noqa: PLW0603
    # A lock for each process: one that a thread of the parent held during the fork is never released in the
    # child. It is reentrant for the sake of signal handlers.
    with _locks.setdefault(os.getpid(), threading.RLock()):
        if _kept is None:
            _kept = _look_around()
        kept = _kept
    problems = list(kept.environment.problems)
    environment = attrs.evolve(
        kept.environment,
        pid=os.getpid(),
        argv=_attempt(problems, "argv", _argv, ()),
        variables=_attempt(problems, "variables", _variables, {}),
        problems=tuple(problems),
    )
    return attrs.evolve(kept, environment=environment)


_locks: Final[dict[int, threading.RLock]] = {}
_kept: Capture | None = None


def _look_around() -> Capture:
    problems: list[str] = []
    directory = _attempt(problems, "working_directory", lambda: _readable(str(Path.cwd())), None)
    if directory is None:
        return Capture(_environment(None, problems), None)
    with Inquiry() as inquiry:
        environment = _environment(directory, problems)
        answer = _attempt(problems, "git", inquiry.answer, Answer())
    problems.extend(map(_readable, answer.problems))
    return Capture(attrs.evolve(environment, git=answer.state, problems=tuple(problems)), answer.patch)


def _environment(directory: str | None, problems: list[str]) -> Environment:
    """All but git and the part that each call adds."""
    return Environment(
        python=sys.version.split()[0],
        implementation=_attempt(problems, "implementation", _implementation, sys.implementation.name),
        executable=_readable(sys.executable or ""),
        platform=_attempt(problems, "platform", _platform, sys.platform),
        host=_attempt(problems, "host", _host, ""),
        user=_attempt(problems, "user", _user, None),
        pid=os.getpid(),
        argv=(),
        working_directory=directory,
        cpu_count=os.cpu_count(),
        gpus=_attempt(problems, "gpus", _gpus, ()),
        packages=_attempt(problems, "packages", _packages, {}),
        problems=tuple(problems),
    )


def _attempt(problems: list[str], name: str, find: Callable[[], _T], otherwise: _T) -> _T:
    """What `find` returns; where it fails, `otherwise`, and the reason among the problems."""
    try:
        return find()
    except Exception as error:
        # No error of the machine or of another library is worth a training that does not start.
        from traceback import format_exception_only

        problems.append(_readable(f"{name}: {format_exception_only(error)[-1].strip()}"))
        return otherwise


def _readable(text: str) -> str:
    """The text with an escape for each character that UTF-8 cannot write, such as a stray byte of a path."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _implementation() -> str:
    import platform

    return platform.python_implementation()


def _platform() -> str:
    if sys.platform == "linux":
        # The words of platform.platform(), which would search the interpreter's file for the libc that it
        # was built for; this is the one that runs.
        system = os.uname()
        try:
            libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
        except (OSError, ValueError):
            libc = ""
        words = (system.sysname, system.release, system.machine, libc and f"with-{libc.replace(' ', '')}")
        text = "-".join(word for word in words if word)
    else:
        import platform

        text = platform.platform()
    return _readable(text)


def _host() -> str:
    return _readable(host_name())


def _user() -> str:
    import getpass

    return _readable(getpass.getuser())


def _argv() -> tuple[str, ...]:
    return redact_arguments(_readable(str(argument)) for argument in getattr(sys, "argv", ()))


def _variables() -> dict[str, str]:
    return {name: _readable(os.environ[name]) for name in VARIABLES if name in os.environ}


def _gpus() -> tuple[str, ...]:
    """The GPUs of the machine; those that this process may use where CUDA is already initialised.

    Asking CUDA itself would initialise it, and then the forked workers of a data loader could not use it.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return ()
    if torch.cuda.is_initialized():
        found = [str(torch.cuda.get_device_name(index)) for index in range(torch.cuda.device_count())]
    elif not (found := _nvidia_models()) and torch.backends.mps.is_available():
        found = ["Apple MPS"]
    return tuple(_readable(name) for name in found)


def _nvidia_models() -> list[str]:
    models = []
    for information in sorted(_NVIDIA.glob("*/information")):
        text = information.read_text(encoding="utf-8", errors="replace")
        models += [line.removeprefix("Model:").strip() for line in text.splitlines() if line.startswith("Model:")]
    return models


def _packages() -> dict[str, str]:
    """The installed packages by their normalised names, as the names of their metadata folders say.

    The first on `sys.path` is the one that an import finds. Where a folder names no version, as the one
    beside the source of a package in development, a later one that does is taken, or the version is empty.
    """
    found: dict[str, str] = {}
    for entry in tuple(sys.path):
        try:
            # `iterdir` would make an object of each name, and there are thousands.
            names = os.listdir(entry or os.curdir)
        except (OSError, TypeError, ValueError):
            # An import passes over entries that are missing, no folder or no path as well.
            continue
        for name, version in filter(None, map(_package, names)):
            found[name] = found.get(name) or version
    return dict(sorted(found.items()))


def _package(folder: str) -> tuple[str, str] | None:
    stem, _, suffix = folder.rpartition(".")
    if suffix == "egg-info":
        stem = re.sub(r"-py\d[\d.]*(?:-.*)?$", "", stem)
    elif suffix != "dist-info":
        return None
    name, dash, version = stem.rpartition("-")
    if not dash:
        name, version = stem, ""
    # pip renames what it is about to remove to `~ame-1.0.dist-info`; interrupted, it leaves that behind.
    if not name[:1].isalnum():
        return None
    return re.sub(r"[-_.]+", "-", _readable(name)).lower(), _readable(version)
