"""What the folder of one experiment says: the record that is true at this moment, and its line in the registry."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from runbook import errors
from runbook.index import pending
from runbook.messages import warn_once
from runbook.record import identifiers, registry_entry
from runbook.record.model import ExperimentRecord
from runbook.record.status import Status
from runbook.serialize import json_text
from runbook.storage import annotation_log, death, experiment_folder, liveness

if TYPE_CHECKING:
    from runbook.record.layout import BaseLayout, ExperimentLayout
    from runbook.typing import JsonObject

_NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)


def resolve_record(base: BaseLayout, experiment_id: str) -> tuple[ExperimentRecord, bool]:
    """The record that is true at this moment, and whether the one on disk still says that it runs.

    Raises:
        FileNotFoundError: if the folder has none.
        DamagedFileError: if it cannot be understood.
        NewerFormatError: if a newer runbook wrote it in a way that this one cannot read.
    """
    layout = base.experiment(experiment_id)
    record = experiment_folder.read_record(layout)
    if record.status is not Status.RUNNING or not record.attempts:
        return record, False
    verdict = liveness.check(record.attempts[-1].owner, base.run_lock(experiment_id))
    if verdict.state is not liveness.State.DEAD:
        return record, False
    # It may have ended in the usual way between the first look at its record and the look at its process.
    record = experiment_folder.read_record(layout)
    if record.status is not Status.RUNNING:
        return record, False
    return death.reconstruct_ending(record, layout, verdict), True


def record_death(base: BaseLayout, experiment_id: str) -> None:
    """Write down the end of an experiment whose process is dead; the registry's lock must be held."""
    # A record that cannot be read stays as it is; whoever looks next finds the same.
    with contextlib.suppress(OSError, errors.DamagedFileError, errors.NewerFormatError):
        record, is_dead = resolve_record(base, experiment_id)
        if is_dead:
            _write_death(base, record)


def build_entry(
    base: BaseLayout,
    experiment_id: str,
    directory: str,
    old: JsonObject,
    written: ExperimentRecord | None = None,
    *,
    record_deaths: bool = False,
) -> JsonObject | None:
    """The line that an experiment's folder calls for; None when the folder says nothing.

    Args:
        base: where the folder lies.
        experiment_id: which.
        directory: its folder as people should see it.
        old: its line in the index, as far as there is one; fields that only it knows are kept.
        written: its record, from the process that writes it; None reads it, and looks whether its process is dead.
        record_deaths: whether the end of one whose process is dead is recorded as well; that needs the lock.
    """
    layout = base.experiment(experiment_id)
    try:
        record, is_dead = (written, False) if written is not None else resolve_record(base, experiment_id)
    except (FileNotFoundError, NotADirectoryError):
        # The legacy tool wrote no record. One of ours that is just being made has no config.json yet.
        if old or not layout.config.is_file():
            return None
    except (errors.DamagedFileError, errors.NewerFormatError, OSError) as error:
        warn_once(f"damaged {layout.root}", f"{experiment_id}: {error}")
    else:
        if record_deaths and is_dead:
            _write_death(base, record)
        return {**old, **_entry_of_record(base, record, directory, old)}
    config = old.get("config") or _config_of(layout)
    record = unknown_record(experiment_id, config if isinstance(config, dict) else {})
    return {**registry_entry.build_entry(record, directory), **old, "status": Status.UNKNOWN.value}


def _entry_of_record(base: BaseLayout, record: ExperimentRecord, directory: str, old: JsonObject) -> JsonObject:
    """The line of a record, with what is said from outside; where that cannot be read, with what the old line said."""
    layout = base.experiment(record.experiment_id)
    try:
        return registry_entry.build_entry(annotation_log.with_annotations(record, layout), directory)
    except OSError as error:
        annotation_log.warn_unreadable(layout, error)
        # Whoever folds or reads next looks again: without a mark, what was said would stay hidden.
        with contextlib.suppress(OSError):
            pending.mark(base, record.experiment_id)
        said: JsonObject = {key: old[key] for key in ("notes", "tags") if key in old}
        return {**registry_entry.build_entry(record, directory), **said}


def unknown_record(experiment_id: str, config: JsonObject) -> ExperimentRecord:
    """The record of an experiment that has none that can be read: what its id and its config say."""
    return ExperimentRecord(
        experiment_id=experiment_id,
        timestamp=identifiers.time_of(experiment_id) or _NO_TIME,
        status=Status.UNKNOWN,
        config=config,
        config_hash=experiment_id[-8:],
    )


def _write_death(base: BaseLayout, record: ExperimentRecord) -> None:
    # One that cannot be written stays as it is, too.
    with contextlib.suppress(OSError, errors.NewerFormatError):
        experiment_folder.write_record(base.experiment(record.experiment_id), record)
        with contextlib.suppress(FileNotFoundError):
            base.run_lock(record.experiment_id).unlink()


def _config_of(layout: ExperimentLayout) -> JsonObject:
    try:
        return json_text.read_object(layout.config)
    except (errors.DamagedFileError, OSError):
        return {}
