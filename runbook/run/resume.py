"""Another attempt at an experiment that was interrupted or failed, in the same folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

from runbook import errors
from runbook.config import settings as configs
from runbook.hints import Hint, ask_for, find_nearest
from runbook.record import identifiers
from runbook.record.model import Attempt, ExperimentRecord, Job
from runbook.record.status import Status
from runbook.run.plan import RESUME_WORDS
from runbook.storage import current_record

if TYPE_CHECKING:
    from datetime import datetime

    from runbook.index import Index
    from runbook.run.plan import Plan
    from runbook.typing import Entry, JsonObject

_RESUMABLE = (Status.INTERRUPTED, Status.FAILED)


def current_job() -> Job | None:
    """The scheduler's job that this process belongs to; None outside of a job.

    Slurm keeps the id of a job that it requeues, and counts the requeues in `SLURM_RESTART_COUNT` (sbatch(1)).
    """
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        return None
    parts = [job, *(os.environ.get(name, "") for name in ("SLURM_ARRAY_TASK_ID", "SLURM_PROCID"))]
    restarts = os.environ.get("SLURM_RESTART_COUNT", "0")
    return Job(id="slurm:" + ".".join(parts), restarts=int(restarts) if restarts.isdecimal() else 0)


def find_resumable(plan: Plan, index: Index) -> str | None:
    """The id of the experiment to resume; None to start a new one.

    Raises:
        ResumeError: if the plan says "must" and there is none.
        ExperimentNotFoundError: if the plan names one that does not exist.
        UsageError: if the plan names one that does not exist and looks like a misspelt `RESUME_WORDS`.
    """
    if plan.resume == "never":
        return None
    if plan.resume not in {"allow", "must", "auto"}:
        return _find_named(plan.resume, index)
    same = index.entries(lambda entry: _is_same(plan, entry))
    found = _find_of_job(index, same) if plan.resume == "auto" else _find_latest(same)
    if plan.resume == "must" and found is None:
        wanted = f"named {plan.name!r}" if plan.name else f"with the config {plan.config_hash}"
        raise errors.ResumeError(
            f"resume='must', but no experiment {wanted} in {index.layout.root} was interrupted or failed",
            Hint("use resume='allow' to start a new one then", None),
        )
    return found


def _find_named(wanted: str, index: Index) -> str:
    try:
        return identifiers.resolve_id(wanted, index.summaries(), index.layout.root)
    except errors.ExperimentNotFoundError as error:
        words = find_nearest(wanted, RESUME_WORDS, most=1, cutoff=0.6)
        if not words:
            raise
        raise errors.UsageError(
            f"resume={wanted!r} is no experiment in {index.layout.root}",
            Hint(ask_for([f"resume={words[0]!r}"]), None),
        ) from error


def _find_latest(same: list[JsonObject]) -> str | None:
    """The latest of the experiments of one name or config, unless it is completed."""
    if not same or same[-1].get("status") not in {*_RESUMABLE, Status.RUNNING}:
        return None
    return str(same[-1]["experiment_id"])


def _is_same(plan: Plan, entry: Entry) -> bool:
    """Whether an entry has the plan's name; for a plan without a name, whether it has the plan's config."""
    if plan.name is not None:
        return entry.get("custom_name") == plan.name
    return str(entry["experiment_id"]).endswith(f"_{plan.config_hash}") and entry.get("custom_name") is None


def _find_of_job(index: Index, same: list[JsonObject]) -> str | None:
    job = current_job()
    if job is None or job.restarts == 0:
        return None
    for entry in reversed(same):
        if entry.get("status") == Status.COMPLETED:
            continue
        experiment_id = str(entry["experiment_id"])
        try:
            record = current_record.read_current(index.layout, experiment_id)
        except (OSError, errors.DamagedFileError, errors.NewerFormatError):
            continue
        last = record.attempts[-1].job if record.attempts else None
        if last is not None and last.id == job.id:
            return experiment_id
    return None


def next_attempt(record: ExperimentRecord, plan: Plan, attempt: Attempt, history_lines: int) -> ExperimentRecord:
    """The record of an experiment with a new attempt.

    Args:
        record: the present record.
        plan: the options with which it is resumed.
        attempt: the new attempt.
        history_lines: how many lines its live history has.

    Raises:
        ResumeError: if it is running or completed.
        ConfigDiffersError: if its config is another one and the plan does not allow that; the message shows the
            difference.
    """
    _check_status(record, attempt)
    changes = _config_changes(record, plan)
    if changes and not plan.allow_config_change:
        raise errors.ConfigDiffersError(record.experiment_id, changes)
    former = _close_former_attempts(record, attempt.started_at)
    return attrs.evolve(
        record,
        status=Status.RUNNING,
        end_reason=None,
        completed_at=None,
        failure=None,
        config=plan.settings if changes else record.config,
        config_hash=plan.config_hash if changes else record.config_hash,
        tags=tuple(dict.fromkeys([*record.tags, *plan.tags])),
        attempts=(*former, attrs.evolve(attempt, history_lines=history_lines, config_changes=changes)),
    )


def _close_former_attempts(record: ExperimentRecord, now: datetime) -> tuple[Attempt, ...]:
    if not record.attempts:
        # Its record was damaged, or the legacy tool made it: nobody knows which processes worked on it.
        return ()
    *earlier, last = record.attempts
    if last.ended_at is None:
        # The scheduler has requeued the job, so the former process has ended.
        last = attrs.evolve(last, ended_at=now, evidence="its job was started anew by the scheduler")
    return (*earlier, attrs.evolve(last, failure=record.failure))


def _check_status(record: ExperimentRecord, attempt: Attempt) -> None:
    if record.status in _RESUMABLE:
        return
    if record.status is Status.RUNNING:
        if not record.attempts:
            raise errors.ResumeError(
                f"{record.experiment_id} is running, and its process is not on record",
                Hint(
                    f"if you know that it has ended, call declare_ended({record.experiment_id!r})",
                    f"if you know that it has ended, 'runbook end {record.experiment_id}' records that",
                ),
            )
        last = record.attempts[-1]
        if last.job is not None and attempt.job is not None and attempt.job.follows(last.job):
            return
        raise errors.ResumeError(
            f"{record.experiment_id} is running (process {last.owner.pid} on {last.owner.host})",
            Hint("wait for its end, or start a new experiment with resume='never'", None),
        )
    raise errors.ResumeError(
        f"{record.experiment_id} is {record.status.value}, there is nothing to resume",
        Hint("start a new experiment with resume='never'", None),
    )


def _config_changes(record: ExperimentRecord, plan: Plan) -> JsonObject:
    if configs.config_hash(record.config, exclude=plan.hash_exclude) == plan.config_hash:
        return {}
    from runbook.config.difference import config_diff

    difference = config_diff({"before": record.config, "now": plan.settings})
    return dict(configs.without_outputs(difference, plan.hash_exclude))


def find_completed(plan: Plan, index: Index) -> ExperimentRecord | None:
    """The latest completed experiment of the same function with the same config; None if there is none."""

    def is_like_it(entry: Entry) -> bool:
        return entry.get("status") == Status.COMPLETED and str(entry["experiment_id"]).endswith(f"_{plan.config_hash}")

    for entry in reversed(index.entries(is_like_it)):
        try:
            record = current_record.read_current(index.layout, str(entry["experiment_id"]))
        except (OSError, errors.DamagedFileError, errors.NewerFormatError):
            continue
        # A later attempt may have another config than the one whose hash stands in the id.
        if record.function == plan.function and record.config_hash == plan.config_hash:
            return record
    return None
