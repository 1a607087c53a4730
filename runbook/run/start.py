"""Beginning an experiment: a new one, another attempt at an old one, or one that is not recorded at all."""

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
        recorder: writes what it records.
        config: the user's config object, its `save_dir` pointed at the experiment.
        lock: held while it runs; None where nothing is written.
    """

    recorder: Recorder
    config: object
    lock: RunLock | None = None


def start_experiment(plan: Plan, index: Index | None, parent: str | None) -> Started:
    """Begin an experiment; it is on disk when this returns.

    Args:
        plan: what it is to be.
        index: the index of its base directory; None where tracking is disabled.
        parent: the id of the experiment inside which it is started.

    Raises:
        BaseDirectoryError: if the base directory cannot be used; nothing is left behind.
        ResumeError: if it was to go on with an experiment and cannot.
    """
    draft = _draft(plan, parent)
    if index is None:
        return Started(Recorder(NullWriter(draft.experiment_id), draft), plan.config)
    base_directory.prepare(index.layout)
    rank = distributed.rank_of(plan.rank)
    meeting = distributed.open_rendezvous(index) if rank > 0 or distributed.is_distributed(plan.rank) else None
    if rank > 0 and meeting is not None:
        return _follower(plan, index, draft, distributed.wait_for_rank_0(index, meeting, rank))
    found = resume.find(plan, index)
    lock, record = _new(plan, index, draft) if found is None else _another_attempt(plan, index, draft, found)
    place = index.layout.experiment(record.experiment_id)
    recorder = Recorder(DiskWriter(place, index), record)
    config = _pointed_config(plan, place.checkpoints)
    if found is not None:
        recorder.resume_logging()
    if meeting is not None:
        _announce(meeting, record.experiment_id)
    return Started(recorder, config, lock)


def _follower(plan: Plan, index: Index, draft: ExperimentRecord, met: ExperimentRecord | None) -> Started:
    if met is None:
        return Started(Recorder(NullWriter(draft.experiment_id), draft), plan.config)
    place = index.layout.experiment(met.experiment_id)
    # For this rank it runs, even where rank 0 was faster and has ended.
    record = attrs.evolve(met, status=Status.RUNNING, end_reason=None, completed_at=None)
    return Started(Recorder(RankWriter(place), record), _pointed_config(plan, place.checkpoints))


def _announce(meeting: Path, experiment_id: str) -> None:
    try:
        distributed.publish_id(meeting, experiment_id)
    except OSError as error:
        warn(f"{experiment_id}: the other ranks cannot be told of it ({error}); they go on without an experiment")


def _draft(plan: Plan, parent: str | None) -> ExperimentRecord:
    moment = datetime.now(UTC)
    job = resume.current_job()
    return ExperimentRecord(
        experiment_id=identifiers.make_id(moment, plan.name, plan.config_hash),
        timestamp=moment,
        status=Status.RUNNING,
        config=plan.plain,
        config_hash=plan.config_hash,
        custom_name=plan.name,
        description=plan.description,
        tags=plan.tags,
        parent=parent,
        function=plan.function,
        attempts=(Attempt(started_at=moment, owner=current_owner(), job=job),),
    )


def _new(plan: Plan, index: Index, draft: ExperimentRecord) -> tuple[RunLock, ExperimentRecord]:
    layout = index.layout
    record = experiment_folder.reserve(layout, draft)
    place = layout.experiment(record.experiment_id)
    lock = RunLock(layout.run_lock(record.experiment_id))
    with experiment_folder.undone_on_error(layout, place), lock.released_on_error():
        record = _locked(attrs.evolve(record, config=_pointed(plan, record.config, place.checkpoints)), lock)
        experiment_folder.write_initial_files(place, record, environment.capture())
        index.apply(record.experiment_id, record)
    return lock, record


def _another_attempt(
    plan: Plan, index: Index, draft: ExperimentRecord, experiment_id: str
) -> tuple[RunLock, ExperimentRecord]:
    place = index.layout.experiment(experiment_id)
    lock = RunLock(index.layout.run_lock(experiment_id))
    pointed = attrs.evolve(plan, plain=_pointed(plan, plan.plain, place.checkpoints))
    before: list[ExperimentRecord] = []

    def continued(record: ExperimentRecord) -> ExperimentRecord:
        before[:] = [record]
        lines = history.mend(place.history)
        return _locked(resume.next_attempt(record, pointed, draft.attempts[-1], lines), lock)

    with lock.released_on_error():
        record = index.update_record(experiment_id, continued)
        try:
            history.read_rows(place.history)
            experiment_folder.write_attempt_files(place, record, environment.capture())
            index.apply(experiment_id)
        except BaseException:
            # It has not begun; left as it is, it would be running for as long as this process is there.
            with contextlib.suppress(OSError):
                index.update_record(experiment_id, lambda _: before[0])
                index.apply(experiment_id)
            raise
    return lock, record


def _locked(record: ExperimentRecord, lock: RunLock) -> ExperimentRecord:
    *earlier, last = record.attempts
    owner = attrs.evolve(last.owner, is_locked=lock.acquire())
    return attrs.evolve(record, attempts=(*earlier, attrs.evolve(last, owner=owner)))


def _pointed(plan: Plan, config: JsonObject, directory: Path) -> JsonObject:
    """A plain config whose `save_dir` is the directory, and that of a config among the arguments of a call as well."""
    inner = {
        key: {**value, "save_dir": str(directory)}
        if plan.is_arguments and isinstance(value, dict) and "save_dir" in value
        else value
        for key, value in config.items()
    }
    return {**inner, "save_dir": str(directory)} if "save_dir" in inner else inner


def _pointed_config(plan: Plan, directory: Path) -> object:
    config = configs.point_save_dir(plan.config, directory)
    if plan.is_arguments and isinstance(config, dict):
        return {
            name: configs.point_save_dir(value, directory) if configs.is_config(value) else value
            for name, value in config.items()
        }
    return config
