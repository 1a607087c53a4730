"""The start of an experiment: a new one, another attempt at an old one, or one that writes nothing."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import attrs

from runbook.capture import environment
from runbook.config import settings as configs
from runbook.messages import warn
from runbook.record import identifiers
from runbook.record.model import Attempt, ExperimentRecord
from runbook.record.status import Status
from runbook.run import distributed, resume
from runbook.run.recorder import Recorder
from runbook.run.writer import DiskWriter, NullWriter, RankWriter
from runbook.storage import base_directory, experiment_folder, history
from runbook.storage.process import current_owner
from runbook.storage.run_lock import RunLock

if TYPE_CHECKING:
    from pathlib import Path

    from runbook.index import Index
    from runbook.run.plan import Plan
    from runbook.typing import JsonObject


class Started(NamedTuple):
    """An experiment that has started.

    Args:
        recorder: writes the record and the files.
        config: the user's config object, whose `save_dir` is the experiment's checkpoints folder.
        lock: held while it runs; None if nothing is written.
    """

    recorder: Recorder
    config: object
    lock: RunLock | None = None


def start_experiment(plan: Plan, index: Index | None, parent: str | None) -> Started:
    """Start an experiment; it is on disk when this returns.

    Args:
        plan: its checked options.
        index: the index of its base directory; None if tracking is disabled.
        parent: the id of the experiment inside which it is started.

    Raises:
        BaseDirectoryError: if the base directory cannot be used; nothing is left behind.
        ResumeError: if the plan resumes an experiment that cannot be resumed.
    """
    draft = _draft_record(plan, parent)
    if index is None:
        return Started(Recorder(NullWriter(draft.experiment_id), draft), plan.config)
    base_directory.prepare(index.layout)
    rank = distributed.rank_of(plan.rank)
    rendezvous = distributed.open_rendezvous(index) if rank > 0 or distributed.is_distributed(plan.rank) else None
    if rank > 0 and rendezvous is not None:
        return _follow_rank_0(plan, index, draft, distributed.wait_for_rank_0(index, rendezvous, rank))
    resumed = resume.find_resumable(plan, index)
    lock, record = _start_new(plan, index, draft) if resumed is None else _start_attempt(plan, index, draft, resumed)
    folder = index.layout.experiment(record.experiment_id)
    recorder = Recorder(DiskWriter(folder, index), record)
    config = _point_config(plan, folder.checkpoints)
    if resumed is not None:
        recorder.resume_logging()
    if rendezvous is not None:
        _publish_id(rendezvous, record.experiment_id)
    return Started(recorder, config, lock)


def _follow_rank_0(plan: Plan, index: Index, draft: ExperimentRecord, leader: ExperimentRecord | None) -> Started:
    if leader is None:
        return Started(Recorder(NullWriter(draft.experiment_id), draft), plan.config)
    folder = index.layout.experiment(leader.experiment_id)
    # For this rank it is running, even if rank 0 was faster and has ended it.
    record = attrs.evolve(leader, status=Status.RUNNING, end_reason=None, completed_at=None)
    return Started(Recorder(RankWriter(folder), record), _point_config(plan, folder.checkpoints))


def _publish_id(rendezvous: Path, experiment_id: str) -> None:
    try:
        distributed.publish_id(rendezvous, experiment_id)
    except OSError as error:
        warn(f"{experiment_id}: the other ranks cannot get its id ({error}); they go on without an experiment")


def _draft_record(plan: Plan, parent: str | None) -> ExperimentRecord:
    moment = datetime.now(UTC)
    job = resume.current_job()
    return ExperimentRecord(
        experiment_id=identifiers.make_id(moment, plan.name, plan.config_hash),
        timestamp=moment,
        status=Status.RUNNING,
        config=plan.settings,
        config_hash=plan.config_hash,
        custom_name=plan.name,
        description=plan.description,
        tags=plan.tags,
        parent=parent,
        function=plan.function,
        attempts=(Attempt(started_at=moment, owner=current_owner(), job=job),),
    )


def _start_new(plan: Plan, index: Index, draft: ExperimentRecord) -> tuple[RunLock, ExperimentRecord]:
    layout = index.layout
    record = experiment_folder.reserve(layout, draft)
    folder = layout.experiment(record.experiment_id)
    lock = RunLock(layout.run_lock(record.experiment_id))
    with experiment_folder.undone_on_error(layout, folder), lock.released_on_error():
        pointed = _point_settings(plan, record.config, folder.checkpoints)
        record = _take_run_lock(attrs.evolve(record, config=pointed), lock)
        experiment_folder.write_initial_files(folder, record, environment.capture())
        index.apply(record.experiment_id, record)
    return lock, record


def _start_attempt(
    plan: Plan, index: Index, draft: ExperimentRecord, experiment_id: str
) -> tuple[RunLock, ExperimentRecord]:
    folder = index.layout.experiment(experiment_id)
    lock = RunLock(index.layout.run_lock(experiment_id))
    pointed = attrs.evolve(plan, settings=_point_settings(plan, plan.settings, folder.checkpoints))
    before: list[ExperimentRecord] = []

    def add_attempt(record: ExperimentRecord) -> ExperimentRecord:
        before[:] = [record]
        history_lines = history.mend(folder.history)
        return _take_run_lock(resume.next_attempt(record, pointed, draft.attempts[-1], history_lines), lock)

    with lock.released_on_error():
        record = index.update_record(experiment_id, add_attempt)
        try:
            history.read_rows(folder.history)
            experiment_folder.write_attempt_files(folder, record, environment.capture())
            index.apply(experiment_id)
        except BaseException:
            # The attempt has not started, but its record would say "running" for as long as this process lives.
            with contextlib.suppress(OSError):
                index.update_record(experiment_id, lambda _: before[0])
                index.apply(experiment_id)
            raise
    return lock, record


def _take_run_lock(record: ExperimentRecord, lock: RunLock) -> ExperimentRecord:
    *earlier, last = record.attempts
    owner = attrs.evolve(last.owner, is_locked=lock.acquire())
    return attrs.evolve(record, attempts=(*earlier, attrs.evolve(last, owner=owner)))


def _point_settings(plan: Plan, config: JsonObject, directory: Path) -> JsonObject:
    """Settings in which `save_dir` is the directory, also that of a config among the arguments of a call."""
    inner = {
        key: {**value, "save_dir": str(directory)}
        if plan.is_arguments and isinstance(value, dict) and "save_dir" in value
        else value
        for key, value in config.items()
    }
    return {**inner, "save_dir": str(directory)} if "save_dir" in inner else inner


def _point_config(plan: Plan, directory: Path) -> object:
    config = configs.point_save_dir(plan.config, directory)
    if plan.is_arguments and isinstance(config, dict):
        return {
            name: configs.point_save_dir(value, directory) if configs.is_config(value) else value
            for name, value in config.items()
        }
    return config
