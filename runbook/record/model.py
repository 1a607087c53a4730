"""The records of an experiment and of its environment; all are immutable."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import attrs

from runbook.record.status import EndReason, Status
from runbook.typing import Json, JsonObject

RECORD_VERSION: Final = 1
"""The version of the format of `experiment.json`.

It is raised when a reader of the older version would misunderstand the file, and each new version adds a step to
`runbook.record.upgrades`. A new optional field needs no new version. A file with a larger version than this one is
shown as far as this version understands it, and is never rewritten.
"""

ENVIRONMENT_VERSION: Final = 1
"""The version of the format of `logs/environment.json`; the rules are those of `RECORD_VERSION`."""


@attrs.frozen
class Extensible:
    """The base of a record to which a later version may add fields.

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
    """The process that works on an experiment, with the facts by which its liveness can be checked later.

    Args:
        host: the name of the machine.
        pid: the process id.
        boot_id: identifies the boot of the machine that it runs under; None if the system does not provide one.
        process_started: when the process started, in the system's own units; a later process with the same pid has
            another value. None if the system does not provide it.
        pid_namespace: the container's namespace of process ids; None if there is none.
        machine_id: identifies the installation of the operating system; None if the system does not provide one.
        is_locked: whether it holds the experiment's run lock.
        memory_events: the file in which the kernel counts the processes of its control group that it killed for
            lack of memory; None if there is none.
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
        id: the scheduler and the job, such as `slurm:1234..0`.
        restarts: how often the scheduler had requeued it until then.
    """

    id: str
    restarts: int = 0

    def follows(self, former: Job) -> bool:
        """Whether it is the same job after a requeue; a scheduler ends a job before it starts the job again."""
        return self.id == former.id and self.restarts > former.restarts


@attrs.frozen
class Attempt(Extensible):
    """One process working on an experiment; a resumed experiment has several attempts.

    Args:
        started_at: when it started, in UTC.
        owner: the process.
        ended_at: when it ended, in UTC; None while it runs.
        end_reason: what ended it; None while it runs.
        evidence: why the process is known to have ended, if it did not record that itself.
        failure: the exception that ended it, if another attempt followed.
        job: the scheduler's job that it belonged to.
        history_lines: how many lines the live history had when it started.
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
    """The record of one experiment: the content of its `experiment.json`.

    Args:
        experiment_id: the name of its folder.
        timestamp: when it started, in UTC.
        status: what became of it.
        config: the config as JSON-compatible data.
        config_hash: eight hex digits that are the same for the same settings.
        custom_name: the user's name for it, exactly as given.
        description: what it tests.
        tags: words to find it by.
        notes: the user's notes, one on each line.
        metrics: the final metrics, without nesting, with dotted names.
        end_reason: what ended it; None while it runs.
        completed_at: when it ended, in UTC; None while it runs.
        parent: the id of the experiment inside which it was started.
        function: the qualified name of the tracked function.
        failure: the exception that ended it.
        attempts: the processes that worked on it, oldest first.
        checksums: the checksums of the saved files, by their path in the folder; `doctor` compares them.
        format_version: the version of the file that it was read from.
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
    """Notes with one more below them; None if both are empty."""
    return "\n".join(part for part in (notes, more) if part) or None


@attrs.frozen
class GitState:
    """The state of the git repository that the program was started in.

    Args:
        commit: the full hash; None in a repository without commits.
        branch: the branch; None if HEAD is detached.
        dirty: whether tracked files differ from the commit.
        untracked: files that git neither tracks nor ignores, at most a hundred.
        remote: the address of `origin`, without credentials.
        patch_truncated: whether `uncommitted.patch` was cut because it was too large.
    """

    commit: str | None = None
    branch: str | None = None
    dirty: bool = False
    untracked: tuple[str, ...] = ()
    remote: str | None = None
    patch_truncated: bool = False


@attrs.frozen
class Environment:
    """The environment of an experiment: the content of `logs/environment.json`.

    Args:
        python: the version of the interpreter.
        implementation: CPython, PyPy, …
        executable: the interpreter's path.
        platform: the operating system, its version and the processor.
        host: the name of the machine.
        user: the user who ran it; None if the system does not provide one.
        pid: the process id.
        argv: the command line of the program.
        working_directory: the directory in which it was started; None if that could not be found out.
        cpu_count: how many processors the machine has.
        gpus: the names of the GPUs, if torch was already imported.
        git: the state of the repository; None outside of a repository or without git.
        packages: the installed packages and their versions.
        variables: the environment variables on our allow-list.
        problems: what could not be captured, as sentences.
        format_version: the version of the file that it was read from.
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
    """The environment of an experiment and its uncommitted changes.

    Args:
        environment: the record; a field that could not be captured is None or empty, and `problems` says why.
        patch: the uncommitted changes as a diff; None if there are none or git could not provide them.
    """

    environment: Environment
    patch: bytes | None
