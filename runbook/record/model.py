"""What runbook knows about an experiment, as immutable records."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import attrs

from runbook.record.status import EndReason, Status
from runbook.typing import Json, JsonObject

RECORD_VERSION: Final = 1
"""The version of the format of `experiment.json`.

It grows when a reader of the older version would misunderstand the file, and each growth adds a step to
`runbook.record.upgrades`; a new optional field needs no new version. A file with a larger version than this one is
shown as far as it can be understood and never rewritten.
"""

ENVIRONMENT_VERSION: Final = 1
"""The version of the format of `logs/environment.json`; the rules are those of `RECORD_VERSION`."""


@attrs.frozen
class Extensible:
    """A part of a record to which a later version may add fields.

    Args:
        unknown: the fields of the file that this version does not know, by name; they are written back as they are.
    """

    unknown: JsonObject = attrs.field(factory=dict, kw_only=True, repr=False, hash=False)


@attrs.frozen
class Failure(Extensible):
    """The exception that ended an experiment.

    Args:
        type: the qualified name of its class.
        message: its text.
        traceback: the formatted traceback, innermost call last.
    """

    type: str
    message: str
    traceback: str


@attrs.frozen
class Owner(Extensible):
    """The process that works on an experiment, with what it takes to tell later whether it is alive.

    Args:
        host: the name of the machine.
        pid: the process id.
        boot_id: which boot of the machine it runs under; None where the system does not say.
        process_started: when the process started, in the system's own units: a pid that was given
            to another process since has another value. None where the system does not say.
        pid_namespace: the container's namespace of process ids; None where there is none.
        machine_id: which installation of an operating system it is; None where the system does not say.
        is_locked: whether it holds the experiment's run lock.
        memory_events: the file in which the kernel counts the processes of its control group that it killed for
            lack of memory; None where there is none.
        oom_kills: that count when the experiment started.
    """

    host: str
    pid: int
    boot_id: str | None = None
    process_started: str | None = None
    pid_namespace: str | None = None
    machine_id: str | None = None
    is_locked: bool = False
    memory_events: str | None = None
    oom_kills: int | None = None


@attrs.frozen
class Job(Extensible):
    """The scheduler's job that an attempt belonged to.

    Args:
        id: which job, such as `slurm:1234..0`.
        restarts: how often the scheduler had started it anew by then.
    """

    id: str
    restarts: int = 0

    def follows(self, former: Job) -> bool:
        """Whether it is the same job, started anew by the scheduler, which ends the former run of it first."""
        return self.id == former.id and self.restarts > former.restarts


@attrs.frozen
class Attempt(Extensible):
    """One process working on an experiment; a resumed experiment has several.

    Args:
        started_at: when it began, in UTC.
        owner: the process.
        ended_at: when it ended, in UTC; None while it runs.
        end_reason: what ended it; None while it runs.
        evidence: for a process that could not say so itself, how it is known to have ended.
        failure: the exception that ended it, when another attempt followed.
        job: the scheduler's job that it belonged to.
        history_lines: how many lines the live history had when it began.
        config_changes: the settings that it changed, by dotted path: `{"before": …, "now": …}`.
    """

    started_at: datetime
    owner: Owner
    ended_at: datetime | None = None
    end_reason: EndReason | None = None
    evidence: str | None = None
    failure: Failure | None = None
    job: Job | None = None
    history_lines: int = 0
    config_changes: JsonObject = attrs.field(factory=dict)


@attrs.frozen
class ExperimentRecord(Extensible):
    """The truth about one experiment: the content of its `experiment.json`.

    Args:
        experiment_id: the name of its folder.
        timestamp: when it started, in UTC.
        status: what became of it.
        config: the config as plain data.
        config_hash: eight hex digits that are the same for the same settings.
        custom_name: the user's name for it, exactly as given.
        description: what it tests.
        tags: words to find it by.
        notes: the user's notes, one a line.
        metrics: the final metrics, flat with dotted names.
        end_reason: what ended it; None while it runs.
        completed_at: when it ended, in UTC; None while it runs.
        parent: the id of the experiment inside which it was started.
        function: the qualified name of the tracked function.
        failure: the exception that ended it.
        attempts: the processes that worked on it, oldest first.
        checksums: of the files that were saved in it, by their path in the folder; `doctor` compares them.
        format_version: the version of the file it was read from.
    """

    experiment_id: str
    timestamp: datetime
    status: Status
    config: JsonObject
    config_hash: str
    custom_name: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    notes: str | None = None
    metrics: dict[str, Json] = attrs.field(factory=dict)
    end_reason: EndReason | None = None
    completed_at: datetime | None = None
    parent: str | None = None
    function: str | None = None
    failure: Failure | None = None
    attempts: tuple[Attempt, ...] = ()
    checksums: dict[str, str] = attrs.field(factory=dict)
    format_version: int = RECORD_VERSION

    @property
    def host(self) -> str | None:
        """The machine that worked on it last."""
        return self.attempts[-1].owner.host if self.attempts else None


def join_notes(notes: str | None, more: str | None) -> str | None:
    """Notes with another one below them; None if there are none at all."""
    return "\n".join(part for part in (notes, more) if part) or None


@attrs.frozen
class GitState:
    """The state of the git repository that the program was started in.

    Args:
        commit: the full hash; None in a repository without commits.
        branch: the branch; None when the head is detached.
        dirty: whether tracked files differ from the commit.
        untracked: files that git neither tracks nor ignores, at most a hundred.
        remote: the address of `origin`, without credentials.
        patch_truncated: whether `uncommitted.patch` was cut because of its size.
    """

    commit: str | None = None
    branch: str | None = None
    dirty: bool = False
    untracked: tuple[str, ...] = ()
    remote: str | None = None
    patch_truncated: bool = False


@attrs.frozen
class Environment:
    """What an experiment ran on and with: the content of `logs/environment.json`.

    Args:
        python: the version of the interpreter.
        implementation: CPython, PyPy, …
        executable: the interpreter's path.
        platform: the operating system, its version and the processor.
        host: the name of the machine.
        user: who ran it; None where the system does not say.
        pid: the process id.
        argv: the command line of the program.
        working_directory: where it was started.
        cpu_count: how many processors the machine has.
        gpus: the names of the GPUs, where torch was already imported.
        git: the repository; None outside of one or without git.
        packages: the installed packages and their versions.
        variables: the environment variables on our allow-list.
        problems: what could not be captured, in words.
        format_version: the version of the file it was read from.
    """

    python: str
    implementation: str
    executable: str
    platform: str
    host: str
    user: str | None
    pid: int
    argv: tuple[str, ...]
    working_directory: str | None
    cpu_count: int | None
    gpus: tuple[str, ...] = ()
    git: GitState | None = None
    packages: dict[str, str] = attrs.field(factory=dict)
    variables: dict[str, str] = attrs.field(factory=dict)
    problems: tuple[str, ...] = ()
    format_version: int = ENVIRONMENT_VERSION


@attrs.frozen
class Capture:
    """What was found out about the surroundings of an experiment.

    Args:
        environment: the record; what could not be found out is None or empty, and named in `problems`.
        patch: the uncommitted changes as a diff; None when there are none, or when they could not be had.
    """

    environment: Environment
    patch: bytes | None
