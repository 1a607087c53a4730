"""The commit of the current directory and its uncommitted changes, as git reports them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, Self

import attrs

from runbook.config.redaction import without_credentials
from runbook.record.model import GitState

if TYPE_CHECKING:
    from collections.abc import Collection
    from subprocess import CompletedProcess, Popen

PATCH_LIMIT: Final = 1024 * 1024
"""The bytes of uncommitted changes that are kept."""

_SECONDS: Final = 2.0
"""The time that git has for all its answers."""

_GRACE: Final = 0.5
"""The seconds that the caller waits after that, for killed processes to end."""

_SLICE: Final = 0.02
"""The seconds of one wait: in between, handlers of signals run, and sizes and the deadline are checked."""

_MOST_UNTRACKED: Final = 100

_LIMITS: Final = {"status": 64 * PATCH_LIMIT, "diff": PATCH_LIMIT, "config": PATCH_LIMIT}
"""The commands, and the bytes that are read of what each writes."""

_OPTIONS: Final = {
    # Status and diff ignore untracked files inside of submodules: they are no change of a tracked file.
    "status": "--porcelain=v2 --branch -z --no-ahead-behind --no-renames "
    "--untracked-files=normal --ignore-submodules=untracked",
    # These override the user's configuration, so that `git apply` understands every patch.
    "diff": "HEAD --patch --unified=3 --full-index --find-renames=100% --src-prefix=a/ --dst-prefix=b/ "
    "--submodule=short --ignore-submodules=untracked --no-ext-diff --no-textconv --no-color",
    "config": "--get remote.origin.url",
}

_LOSSES: Final = {
    "status": "the commit and the uncommitted changes are unknown",
    "diff": "the uncommitted changes are not kept",
    "config": "the address of origin is unknown",
}

# `git diff` writes the refreshed index back, under its lock, even where GIT_OPTIONAL_LOCKS forbids it.
_GIT: Final = "git --no-pager -c core.fsmonitor=false -c diff.autoRefreshIndex=false -c diff.relative=false"

_VARIABLES: Final = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    # Empty, git asks no other program for a password either.
    "GIT_ASKPASS": "",
    # In a partial clone the diff would otherwise fetch from the network what it lacks.
    "GIT_NO_LAZY_FETCH": "1",
}

# GIT_DIFF_OPTS overrides the options of `git diff`. The others name the repository of a git hook, whatever the
# current directory is.
_MISLEADING: Final = re.compile(
    "GIT_(ALTERNATE_OBJECT_DIRECTORIES|COMMON_DIR|DIFF_OPTS|DIR|INDEX_FILE|NAMESPACE|OBJECT_DIRECTORY|PREFIX|WORK_TREE)"
)


@attrs.frozen
class Answer:
    """The state of the repository, as far as git reported it.

    Args:
        state: the repository; None outside of one, or when git could not report it.
        patch: the changes of tracked files since the commit, at most `PATCH_LIMIT` bytes and cut at the end
            of a line; None when there are none. Binary files are named in it, their content is not kept.
        problems: a sentence for each thing that git could not report.
    """

    state: GitState | None = None
    patch: bytes | None = None
    problems: tuple[str, ...] = ()


class Inquiry:
    """Git at work on the current directory while the caller does something else.

    Leaving the block kills what is still running, also when an exception leaves it::

        with Inquiry() as inquiry:
            ...
            answer = inquiry.answer()
    """

    # One thread starts, kills and reaps all processes. In the main thread a KeyboardInterrupt between a fork and
    # the assignment of the new process would leave one behind that nobody knows of.

    def __init__(self) -> None:
        # Here, because the other thread could wait for an import that this one is in the middle of.
        import subprocess  # noqa: F401

        self._deadline = time.monotonic() + _SECONDS
        self._replies: dict[str, CompletedProcess[bytes]] = {}
        self._problem: str | None = None
        self._is_left = False
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run_commands, name="runbook-git", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._thread.start()
        except Exception as error:  # the process may have no more threads
            self._problem = f"git could not be asked, {_LOSSES['status']}: {error}"
            self._finished.set()
        except BaseException:
            # Without the wait the interpreter could end before the new thread has killed what it started.
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._is_left = True
        self._wait(time.monotonic() + _GRACE)

    def answer(self) -> Answer:
        """The state of the repository; git has two seconds for it, and half a second more to end."""
        self._wait(max(self._deadline, time.monotonic()) + _GRACE)
        if self._problem is not None:
            return Answer(problems=(self._problem,))
        status, diff, remote = (self._replies.get(name) for name in ("status", "diff", "config"))
        if status is None or status.returncode or not status.stdout.startswith(b"# branch.oid "):
            return Answer(problems=_failure("status", status))
        state, patch, problems = _parse_status(status.stdout), None, () if remote else _failure("config", remote)
        if len(status.stdout) > _LIMITS["status"]:
            problems += ("git status listed more than is read: the untracked files are incomplete",)
        if state.dirty and state.commit is None:
            problems += ("git diff has no commit to compare with: what is staged is not kept",)
        elif state.dirty and (diff is None or diff.returncode or not diff.stdout):
            problems += _failure("diff", diff)
        elif state.dirty and diff:
            truncated = len(patch := diff.stdout) > PATCH_LIMIT
            if truncated:
                patch = patch[: patch.rfind(b"\n", 0, PATCH_LIMIT) + 1]
            state = attrs.evolve(state, patch_truncated=truncated)
        if remote:
            state = attrs.evolve(state, remote=without_credentials(_text(remote.stdout).strip()) or None)
        return Answer(state, patch, problems)

    def _wait(self, until: float) -> None:
        """Wait for the thread, and let the handlers of signals run that other threads received."""
        # Not by `join`: Python 3.11 takes a thread for dead once a signal has interrupted it.
        while not self._finished.wait(_SLICE):
            if time.monotonic() >= until:
                return
        if self._thread.is_alive():
            self._thread.join()

    def _run_commands(self) -> None:
        processes: dict[str, Popen[bytes]] = {}
        try:
            for name in _LIMITS:
                processes[name] = _start(name)
            for name, process in processes.items():
                if reply := self._collect(process, _LIMITS[name]):
                    self._replies[name] = reply
        except FileNotFoundError:
            self._problem = f"git was not found on the PATH: {_LOSSES['status']}"
        except Exception as error:
            # Whatever goes wrong in here is one more thing that is not known; raised, it would be printed.
            self._problem = f"git could not be asked, {_LOSSES['status']}: {error}"
        finally:
            try:
                _end(processes.values())
            finally:
                self._finished.set()

    def _collect(self, process: Popen[bytes], limit: int) -> CompletedProcess[bytes] | None:
        """What a process wrote until it ended or exceeded the limit; None if it took too long."""
        from subprocess import CompletedProcess, TimeoutExpired

        # In slices, because until it returns `communicate` keeps in memory all that an endless diff writes. One slice
        # after the deadline is for those that ended while another was waited for.
        while not self._is_left:
            try:
                output, errors = process.communicate(timeout=_SLICE)
                return CompletedProcess((), process.returncode, output, errors)
            except TimeoutExpired as error:
                # Only POSIX gives what was written so far. Elsewhere an endless diff ends at the deadline.
                output, errors = error.output or b"", error.stderr or b""
                if len(output) > limit or len(errors) > PATCH_LIMIT:
                    return CompletedProcess((), 0, output, errors)
            if time.monotonic() >= self._deadline:
                break
        return None


def _start(name: str) -> Popen[bytes]:
    import subprocess

    return subprocess.Popen(
        [*_GIT.split(), name, *_OPTIONS[name].split()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={key: value for key, value in os.environ.items() if not _MISLEADING.fullmatch(key)} | _VARIABLES,
        # Its own session: git finds no terminal to prompt on, Ctrl-C reaches us alone, and its helpers
        # can be killed together with it.
        start_new_session=True,
        # On Windows a program without a console would show one for a moment.
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _end(processes: Collection[Popen[bytes]]) -> None:
    """Kill the processes and their helpers, unless they have ended, and leave no zombie and no open pipe."""
    for process in processes:
        # Only this thread reaps the process, so until it has, the number belongs to nobody else.
        if process.returncode is None:
            with contextlib.suppress(OSError):
                if sys.platform == "win32":
                    process.kill()
                else:
                    os.killpg(process.pid, signal.SIGKILL)
    for process in processes:
        process.wait()
        # A helper that left its session can still hold the pipes, so they are not read to their ends.
        for pipe in filter(None, (process.stdout, process.stderr)):
            pipe.close()


def _failure(name: str, reply: CompletedProcess[bytes] | None) -> tuple[str, ...]:
    """Why a command reported nothing; empty where there is just no repository."""
    if reply is None:
        return (f"git {name} took longer than {_SECONDS:g} seconds: {_LOSSES[name]}",)
    lines = _text(reply.stderr).splitlines()
    otherwise = f"exit code {reply.returncode}" if reply.returncode else "no output"
    reason = next((line for line in lines if line.startswith(("fatal: ", "error: "))), otherwise)
    if reason.startswith("fatal: not a git repository (or any"):
        return ()
    return (f"git {name} failed, {_LOSSES[name]}: {reason}",)


def _parse_status(output: bytes) -> GitState:
    """The state in the output of `git status --porcelain=v2 --branch -z`; git-status(1) describes its records."""
    records = [_text(record) for record in output.split(b"\0")[:-1]]
    headers = dict(record.split(" ", 2)[1:] for record in records if record.startswith("# "))
    commit, branch = headers.get("branch.oid"), headers.get("branch.head")
    return GitState(
        commit=None if commit == "(initial)" else commit,
        branch=None if branch == "(detached)" else branch,
        dirty=not all(record.startswith(("# ", "? ")) for record in records),
        untracked=tuple(record[2:] for record in records if record.startswith("? "))[:_MOST_UNTRACKED],
    )


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
