"""What git says about the current directory: the commit, and what is not committed."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Final, Self

import attrs

from runbook.record.model import GitState

if TYPE_CHECKING:
    from queue import SimpleQueue
    from subprocess import Popen
    from types import TracebackType

PATCH_LIMIT: Final = 1024 * 1024
"""The bytes of uncommitted changes that are kept."""

_SECONDS: Final = 2.0
"""The time that git has for all its answers."""

_GRACE: Final = 0.5
"""The seconds after that in which killed processes must be gone, or are left to the kernel."""

_LOOK_UP: Final = 0.05
"""The seconds after which a wait lets the handler of a signal run that another thread received."""

_MOST_UNTRACKED: Final = 100
_CHUNK: Final = 64 * 1024


@attrs.frozen
class Answer:
    """What git said.

    Args:
        state: the repository; None outside of one, or when git could not say.
        patch: the changes of tracked files since the commit, at most `PATCH_LIMIT` bytes and cut at the end
            of a line; None when there are none. Binary files are named in it, their content is not kept.
        problems: what git could not say, in words.
    """

    state: GitState | None = None
    patch: bytes | None = None
    problems: tuple[str, ...] = ()


@attrs.frozen
class _Question:
    """One thing to ask git.

    Args:
        words: the command and its options.
        limit: the bytes of its answer that are read.
        without: what is not known without the answer.
    """

    words: str
    limit: int
    without: str

    def __str__(self) -> str:
        return f"git {self.words.split()[0]}"


# Both pass over untracked files inside of submodules: they are no change of a tracked file.
_STATUS: Final = _Question(
    "status --porcelain=v2 --branch -z --no-ahead-behind --no-renames "
    "--untracked-files=normal --ignore-submodules=untracked",
    limit=64 * PATCH_LIMIT,
    without="the commit and the uncommitted changes are unknown",
)
_DIFF: Final = _Question(
    # What the user's configuration could change is said here, so that `git apply` understands every patch.
    "diff HEAD --patch --unified=3 --full-index --find-renames=100% --src-prefix=a/ --dst-prefix=b/ "
    "--submodule=short --ignore-submodules=untracked --no-ext-diff --no-textconv --no-color",
    limit=PATCH_LIMIT,
    without="the uncommitted changes are not kept",
)
_REMOTE: Final = _Question("config --get remote.origin.url", limit=_CHUNK, without="the address of origin is unknown")

_GIT: Final = (
    "git",
    "--no-pager",
    "-c",
    "core.fsmonitor=false",
    # `git diff` writes the refreshed index back, under its lock, even where GIT_OPTIONAL_LOCKS forbids it.
    "-c",
    "diff.autoRefreshIndex=false",
    "-c",
    "diff.relative=false",
)

_SETTINGS: Final = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    # Empty, git asks no other program for a password either.
    "GIT_ASKPASS": "",
    # In a partial clone the diff would otherwise fetch what it lacks from the network.
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}

# Inside a git hook most of these name the hook's repository, whatever the current directory is; the last one
# overrides the options of `git diff`.
_MISLEADING: Final = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_WORK_TREE",
        "GIT_DIFF_OPTS",
    }
)


class Inquiry:
    """Git at work on the current directory while the caller does something else.

    Leaving the block kills what is still running, whatever ended it::

        with Inquiry() as inquiry:
            ...
            answer = inquiry.answer()
    """

    # One thread starts, awaits, kills and reaps all processes. In the main thread a KeyboardInterrupt between
    # a fork and the note of the new process would leave one behind that nobody knows of.

    def __init__(self) -> None:
        from queue import SimpleQueue

        self._deadline = time.monotonic() + _SECONDS
        self._events: SimpleQueue[_Command | None] = SimpleQueue()
        self._done: dict[_Question, _Command] = {}
        self._fault: str | None = None
        self._thread: threading.Thread | None = None
        self._finished = threading.Event()

    def __enter__(self) -> Self:
        try:
            # Here, because the other thread could wait for an import that this one is in the middle of.
            import subprocess  # noqa: F401

            self._thread = threading.Thread(target=self._work, name="runbook-git", daemon=True)
            self._thread.start()
        except Exception as error:
            # Systems without processes, and processes that may have no more threads.
            self._thread = None
            self._fault = f"git could not be asked, {_STATUS.without}: {error}"
        except BaseException:
            # Without the wait the interpreter could end before the new thread has killed what it started.
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def answer(self) -> Answer:
        """What git said, after two seconds at the latest."""
        self._await(self._left() + _GRACE)
        if self._fault is not None:
            return Answer(problems=(self._fault,))
        status = self._done.get(_STATUS)
        if status is None:
            return Answer(problems=(_too_late(_STATUS),))
        if (status.code != 0 and not status.cut) or not status.output.startswith(b"# branch.oid "):
            return Answer(problems=_refusal(status))
        return self._understood(status)

    def _stop(self) -> None:
        self._events.put(None)
        self._await(_GRACE)

    def _await(self, seconds: float) -> None:
        if self._thread is None:
            return
        # A signal that reaches another thread does not wake this one, and only this one runs its handler: it looks up
        # now and then. And Python 3.11 takes a thread for dead once a signal has interrupted a `join`.
        until = time.monotonic() + seconds
        while not self._finished.wait(max(0.0, min(_LOOK_UP, until - time.monotonic()))):
            if time.monotonic() >= until:
                return
        self._thread.join()

    def _understood(self, status: _Command) -> Answer:
        problems: list[str] = []
        state = _state(status.output)
        if status.cut:
            problems.append("git status listed more than is read: the untracked files are incomplete")
        remote = patch = None
        if _REMOTE in self._done:
            remote = without_credentials(_text(self._done[_REMOTE].output).strip()) or None
        else:
            problems.append(_too_late(_REMOTE))
        if state.dirty and state.commit is None:
            problems.append("git diff has no commit to compare with: what is staged is not kept")
        elif state.dirty:
            patch = self._patch(problems)
        truncated = patch is not None and self._done[_DIFF].cut
        return Answer(attrs.evolve(state, remote=remote, patch_truncated=truncated), patch, tuple(problems))

    def _patch(self, problems: list[str]) -> bytes | None:
        reply = self._done.get(_DIFF)
        if reply is None:
            problems.append(_too_late(_DIFF))
            return None
        if reply.cut:
            kept = reply.output[:PATCH_LIMIT]
            return bytes(kept[: kept.rfind(b"\n") + 1])
        if reply.code != 0 or not reply.output:
            problems.extend(_refusal(reply))
            return None
        return bytes(reply.output)

    def _work(self) -> None:
        commands: list[_Command] = []
        try:
            environment = _environment()
            for question in (_STATUS, _DIFF, _REMOTE):
                commands.append(_Command(question, environment, self._events))
                commands[-1].listen()
            self._collect(commands)
        except FileNotFoundError:
            self._fault = f"git was not found on the PATH: {_STATUS.without}"
        except Exception as error:
            # Whatever goes wrong in here is one more thing that is not known; raised, it would be printed.
            self._fault = f"git could not be asked, {_STATUS.without}: {error}"
        finally:
            try:
                for command in commands:
                    command.end()
            finally:
                self._finished.set()

    def _collect(self, commands: list[_Command]) -> None:
        from queue import Empty
        from subprocess import TimeoutExpired

        streams = [command for command in commands for _ in ("stdout", "stderr")]
        with contextlib.suppress(Empty, TimeoutExpired):
            while streams:
                command = self._events.get(timeout=self._left())
                if command is None:
                    return
                streams.remove(command)
                if command.cut:
                    command.end()
                elif command not in streams:
                    command.wait(self._left())
                if command not in streams:
                    self._done[command.question] = command

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())


class _Command:
    """A question that a git process is answering.

    Attributes:
        question: what it was asked.
        output: what it wrote to stdout so far.
        errors: what it wrote to stderr so far.
        cut: whether it wrote more than was to be read.
    """

    def __init__(self, question: _Question, environment: dict[str, str], events: SimpleQueue[_Command | None]) -> None:
        from subprocess import DEVNULL, PIPE, Popen

        self.question = question
        self.output = bytearray()
        self.errors = bytearray()
        self.cut = False
        self._events = events
        self._readers: list[threading.Thread] = []
        self._process: Popen[bytes] = Popen(
            (*_GIT, *question.words.split()),
            bufsize=0,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env=environment,
            # Its own session: git finds no terminal to prompt on, Ctrl-C reaches us alone, and its helpers
            # can be killed together with it.
            start_new_session=True,
            # CREATE_NO_WINDOW, or a program without a console would show one for a moment.
            creationflags=0x08000000 if sys.platform == "win32" else 0,
        )

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.returncode

    def listen(self) -> None:
        """Read both streams at the same time, because git would wait for ever on one that is full."""
        for stream, kept in ((self._process.stdout, self.output), (self._process.stderr, self.errors)):
            reader = threading.Thread(target=self._read, args=(stream, kept), name="runbook-git", daemon=True)
            reader.start()
            self._readers.append(reader)

    def _read(self, stream: IO[bytes], kept: bytearray) -> None:
        try:
            while chunk := stream.read(_CHUNK):
                kept += chunk
                if len(kept) > self.question.limit:
                    self.cut = True
                    break
        except Exception:
            # What was read is not whole then either; raised in this thread, it would be printed.
            self.cut = True
        self._events.put(self)

    def wait(self, seconds: float) -> None:
        """Wait for the process after its streams have ended."""
        self._process.wait(seconds)

    def end(self) -> None:
        """Kill it, unless it has ended, and leave no zombie, thread or open pipe."""
        # Only this thread reaps the process, so until it has, the number belongs to nobody else.
        if self._process.returncode is None:
            with contextlib.suppress(OSError):
                _kill(self._process)
        self._process.wait()
        for reader in self._readers:
            reader.join(_GRACE)
        # A helper that left its session can still hold a pipe, and a file must not be closed under a read.
        if not any(reader.is_alive() for reader in self._readers):
            for stream in (self._process.stdout, self._process.stderr):
                assert stream is not None
                stream.close()


def _kill(process: Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        import signal

        os.killpg(process.pid, signal.SIGKILL)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    return kept | _SETTINGS


def _too_late(question: _Question) -> str:
    return f"{question} took longer than {_SECONDS:g} seconds: {question.without}"


def _refusal(reply: _Command) -> tuple[str, ...]:
    """Why a command failed; nothing where there is just no repository."""
    lines = _text(reply.errors).splitlines()
    reason = next((line for line in lines if line.startswith(("fatal: ", "error: "))), None)
    if reason is None:
        reason = f"exit code {reply.code}" if reply.code else "no output"
    if reason.startswith("fatal: not a git repository (or any"):
        return ()
    return (f"{reply.question} failed, {reply.question.without}: {reason}",)


def _state(status: bytearray) -> GitState:
    """The records of `git status --porcelain=v2 --branch -z`, as git-status(1) describes them."""
    commit = branch = None
    dirty = False
    untracked: list[str] = []
    for record in bytes(status).split(b"\0")[:-1]:
        kind, _, rest = record.partition(b" ")
        if kind == b"?":
            if len(untracked) < _MOST_UNTRACKED:
                untracked.append(_text(rest))
        elif kind != b"#":
            dirty = True
        elif rest.startswith(b"branch.oid ") and rest != b"branch.oid (initial)":
            commit = _text(rest.removeprefix(b"branch.oid "))
        elif rest.startswith(b"branch.head ") and rest != b"branch.head (detached)":
            branch = _text(rest.removeprefix(b"branch.head "))
    return GitState(commit=commit, branch=branch, dirty=dirty, untracked=tuple(untracked))


def _text(value: bytes | bytearray) -> str:
    return value.decode("utf-8", "backslashreplace")


def without_credentials(address: str) -> str:
    """The address without the user and the password in it.

    >>> without_credentials("https://me:token@example.org/x.git")
    'https://example.org/x.git'

    The user of ssh stays: it is a part of the address, not a secret.

    >>> without_credentials("ssh://git:pw@example.org/x.git"), without_credentials("git@example.org:x.git")
    ('ssh://git@example.org/x.git', 'git@example.org:x.git')
    """
    if "ssh://" in address:
        return re.sub(r"(://[^/@:]*):[^/]*@", r"\1@", address)
    return re.sub(r"://[^/]*@", "://", re.sub(r"(://[^?#]*)[?#].*", r"\1", address))
