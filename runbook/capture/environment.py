"""The environment of an experiment: interpreter, packages, git, command line and machine."""

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
"""The environment variables that are kept: they set devices, threads, randomness and jobs, and hold no secret."""

_NVIDIA: Final = Path("/proc/driver/nvidia/gpus")


def capture() -> Capture:
    """The environment of this process, and the uncommitted changes at the time of the first call.

    The first call collects everything, in some tens of milliseconds; git is killed after two seconds.
    Later calls, also in a forked child, return the same with the present process id, command line and
    variables. No call raises an Exception, prints, or initialises CUDA.
    """
    global _kept  # noqa: PLW0603
    # A lock for each process: one that a thread of the parent held during the fork is never released in the
    # child. It is reentrant, because a signal handler may capture while its own thread does.
    with _locks.setdefault(os.getpid(), threading.RLock()):
        if _kept is None:
            _kept = _collect()
        kept = _kept
    problems = list(kept.environment.problems)
    environment = attrs.evolve(
        kept.environment,
        pid=os.getpid(),
        argv=_try_to(problems, "argv", _redact_argv, ()),
        variables=_try_to(problems, "variables", _select_variables, {}),
        problems=tuple(problems),
    )
    return attrs.evolve(kept, environment=environment)


_locks: Final[dict[int, threading.RLock]] = {}
_kept: Capture | None = None


def _collect() -> Capture:
    problems: list[str] = []
    directory = _try_to(problems, "working_directory", lambda: _escape(str(Path.cwd())), None)
    if directory is None:
        return Capture(_collect_environment(None, problems), None)
    with Inquiry() as inquiry:
        environment = _collect_environment(directory, problems)
        answer = _try_to(problems, "git", inquiry.answer, Answer())
    problems.extend(map(_escape, answer.problems))
    return Capture(attrs.evolve(environment, git=answer.state, problems=tuple(problems)), answer.patch)


def _collect_environment(directory: str | None, problems: list[str]) -> Environment:
    """The environment without git and without the parts that each call adds."""
    return Environment(
        python=sys.version.split()[0],
        implementation=_try_to(problems, "implementation", _find_implementation, sys.implementation.name),
        executable=_escape(sys.executable or ""),
        platform=_try_to(problems, "platform", _find_platform, sys.platform),
        host=_try_to(problems, "host", _find_host, ""),
        user=_try_to(problems, "user", _find_user, None),
        pid=os.getpid(),
        argv=(),
        working_directory=directory,
        cpu_count=os.cpu_count(),
        gpus=_try_to(problems, "gpus", _find_gpus, ()),
        packages=_try_to(problems, "packages", _list_packages, {}),
        problems=tuple(problems),
    )


def _try_to(problems: list[str], name: str, find: Callable[[], _T], otherwise: _T) -> _T:
    """The result of `find`; if it raises, `otherwise`, and the reason is added to the problems."""
    try:
        return find()
    except Exception as error:
        # An error of the machine or of another library must not keep the training from starting.
        from traceback import format_exception_only

        problems.append(_escape(f"{name}: {format_exception_only(error)[-1].strip()}"))
        return otherwise


def _escape(text: str) -> str:
    """The text with an escape for each character that UTF-8 cannot encode, such as a stray byte of a path."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _find_implementation() -> str:
    import platform

    return platform.python_implementation()


def _find_platform() -> str:
    if sys.platform == "linux":
        # The same text as platform.platform(), which searches the interpreter's file for the libc that it was
        # built with; this is the libc that it runs with.
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
    return _escape(text)


def _find_host() -> str:
    return _escape(host_name())


def _find_user() -> str:
    import getpass

    return _escape(getpass.getuser())


def _redact_argv() -> tuple[str, ...]:
    return redact_arguments(_escape(str(argument)) for argument in getattr(sys, "argv", ()))


def _select_variables() -> dict[str, str]:
    return {name: _escape(os.environ[name]) for name in VARIABLES if name in os.environ}


def _find_gpus() -> tuple[str, ...]:
    """The GPUs of the machine; where CUDA is already initialised, only those that this process may use.

    A call of CUDA would initialise it, and then the forked workers of a data loader could not use it.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return ()
    if torch.cuda.is_initialized():
        found = [str(torch.cuda.get_device_name(index)) for index in range(torch.cuda.device_count())]
    elif not (found := _read_nvidia_models()) and torch.backends.mps.is_available():
        found = ["Apple MPS"]
    return tuple(_escape(name) for name in found)


def _read_nvidia_models() -> list[str]:
    models = []
    for information in sorted(_NVIDIA.glob("*/information")):
        text = information.read_text(encoding="utf-8", errors="replace")
        models += [line.removeprefix("Model:").strip() for line in text.splitlines() if line.startswith("Model:")]
    return models


def _list_packages() -> dict[str, str]:
    """The versions of the installed packages by normalised name, read from the names of their metadata folders.

    Of two versions the first on `sys.path` counts, which an import finds. The folder of a package in
    development names no version: then that of a later folder counts, or the version is empty.
    """
    found: dict[str, str] = {}
    for entry in tuple(sys.path):
        try:
            # `iterdir` would make an object of each name, and there are thousands.
            names = os.listdir(entry or os.curdir)
        except (OSError, TypeError, ValueError):
            # An import too ignores entries that are missing, no folder or no path.
            continue
        for name, version in filter(None, map(_parse_package, names)):
            found[name] = found.get(name) or version
    return dict(sorted(found.items()))


def _parse_package(folder: str) -> tuple[str, str] | None:
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
    return re.sub(r"[-_.]+", "-", _escape(name)).lower(), _escape(version)
