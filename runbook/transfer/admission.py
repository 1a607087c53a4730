"""Admits experiments from elsewhere: stages one, compares it with those here, and moves it in by one rename."""

from __future__ import annotations

import hashlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from runbook import errors
from runbook.record import identifiers, schema
from runbook.record.layout import ExperimentLayout
from runbook.record.model import RECORD_VERSION, ExperimentRecord
from runbook.record.status import EndReason, Status
from runbook.serialize import json_text
from runbook.storage import experiment_folder, files, staging
from runbook.transfer import bundle
from runbook.typing import JsonObject

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbook.index import Index
    from runbook.record.layout import BaseLayout
    from runbook.storage.meter import Meter

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_OF_ONE_ID: Final = 100_000
_HASH: Final = re.compile(r"[0-9a-f]{8}")
_TIME_LENGTH: Final = 15
_HASH_LENGTH: Final = 8
_BLOCK: Final = 1024 * 1024


@attrs.frozen
class StagedExperiment:
    """An experiment from elsewhere whose folder has been built on the disk of the base directory.

    Args:
        experiment_id: its id in the base directory or the bundle that it comes from.
        layout: the staged folder.
        record: the record that it gets here; None for one of the legacy tool, or with a damaged record.
        entry: its entry in the registry that it comes from, if it has no record.
    """

    experiment_id: str
    layout: ExperimentLayout
    record: ExperimentRecord | None = None
    entry: JsonObject | None = None


def is_admissible(layout: BaseLayout, experiment_id: str) -> bool:
    """Whether an id from elsewhere is allowed here: one of ours, or of the legacy tool, which did not change names."""
    return (
        identifiers.time_of(experiment_id) is not None
        and bundle.problem_with_part(experiment_id) is None
        and experiment_id != Path(layout.registry_name).name
    )


def family_of(experiment_id: str) -> tuple[str, str]:
    """The start and the config hash in an id; `free_id` keeps them when the id is taken."""
    return experiment_id[:_TIME_LENGTH], experiment_id[-_HASH_LENGTH:]


def free_id(layout: BaseLayout, experiment_id: str, taken: Iterable[str] = ()) -> str:
    """The first id of the same family that no experiment has.

    Args:
        layout: the base directory.
        experiment_id: the id that is taken.
        taken: ids that are taken although they have no folder.
    """
    name = experiment_id[_TIME_LENGTH:-_HASH_LENGTH].strip("_")
    config_hash = experiment_id[-_HASH_LENGTH:]
    if _HASH.fullmatch(config_hash) is None:
        config_hash = hashlib.sha256(experiment_id.encode()).hexdigest()[:_HASH_LENGTH]
    moment = identifiers.time_of(experiment_id) or _EPOCH
    for nth in range(2, _MOST_OF_ONE_ID):
        candidate = identifiers.make_id(moment, name, config_hash, nth)
        if candidate not in set(taken) and not os.path.lexists(layout.experiment(candidate).root):
            return candidate
    raise errors.ExperimentExistsError(experiment_id, layout.root)


def copy_members(
    source: ExperimentLayout, found: Iterable[bundle.Member], target: Path, meter: Meter | None = None
) -> None:
    """Copy files into a staged folder, durably.

    Args:
        source: the experiment's folder.
        found: the files in it, its record first.
        target: the staged folder.
        meter: counts the bytes.

    Raises:
        OSError: if one cannot be read or written.
    """
    for member in found:
        with bundle.unless_removed(source), member.path.open("rb") as content:
            copy = staging.make_parents(target, member.name)
            with files.replacing(copy, sync_directory=False) as file:
                while block := content.read(_BLOCK):
                    file.write(block)
                    if meter is not None:
                        meter.advance(len(block))
            os.utime(copy, ns=(member.modified_ns, member.modified_ns))


def finish_copy(layout: ExperimentLayout) -> None:
    """Complete a staged folder: make the folders that every experiment has, and make all of them durable.

    Each folder gets the time of the latest file, because `death.last_sign_of_life` reads the times of folders as well.
    """
    for inner in layout.folders:
        files.ensure_directory(inner)
    own = [member for member in bundle.members(layout.root) if member.name != _name_of_annotations(layout)]
    newest = max((member.modified_ns for member in own), default=0)
    for folder, _, _ in os.walk(layout.root, topdown=False):
        files.fsync_directory(Path(folder))
        os.utime(folder, ns=(newest, newest))


def mark_interrupted(record: ExperimentRecord, ended: datetime, evidence: str) -> ExperimentRecord:
    """The record for a copy of a running experiment: interrupted, because no process works on the copy.

    Args:
        record: the record of the running experiment.
        ended: the last sign of life in the copy.
        evidence: how it is known that this copy has ended.
    """
    ended = max(ended, record.timestamp, *(attempt.started_at for attempt in record.attempts))
    attempts = record.attempts
    if attempts:
        last = attrs.evolve(attempts[-1], ended_at=ended, end_reason=EndReason.VANISHED, evidence=evidence)
        attempts = (*attempts[:-1], last)
    return attrs.evolve(
        record,
        status=Status.INTERRUPTED,
        end_reason=EndReason.VANISHED,
        completed_at=ended,
        attempts=attempts,
    )


def is_same_record(staged: StagedExperiment, present: ExperimentLayout) -> bool:
    """Whether a staged and a present experiment have equal records but for the id, or both have none."""
    if staged.record is None:
        return _read_raw_record(present) == _read_raw_record(staged.layout)
    try:
        record = experiment_folder.read_record(present)
    except (errors.DamagedFileError, errors.NewerFormatError, OSError):
        return False
    return record == attrs.evolve(staged.record, experiment_id=record.experiment_id)


def _read_raw_record(layout: ExperimentLayout) -> bytes | None:
    try:
        return layout.record.read_bytes()
    except FileNotFoundError:
        return None


def is_same_files(one: ExperimentLayout, other: ExperimentLayout, *, is_time_trusted: bool = False) -> bool:
    """Whether two folders hold the same files with the same content.

    Their records and their annotations are not compared; `annotation_log.merge` brings annotations together.

    Args:
        one: a folder.
        other: the other.
        is_time_trusted: whether files of equal size and modification time, in nanoseconds, count as the same without
            a comparison of their content. Copies keep their time, and a merge need not read all checkpoints again.
    """
    here, there = files_of(one), files_of(other)
    return here.keys() == there.keys() and all(
        _is_same_file(here[name], there[name], is_time_trusted=is_time_trusted) for name in here
    )


def files_of(layout: ExperimentLayout) -> dict[str, bundle.Member]:
    """The files of an experiment by their names, without the record and the annotations.

    Other processes than the experiment may have changed those two.
    """
    left_out = {layout.record.name, _name_of_annotations(layout)}
    return {member.name: member for member in bundle.members(layout.root) if member.name not in left_out}


def _name_of_annotations(layout: ExperimentLayout) -> str:
    return layout.annotations.relative_to(layout.root).as_posix()


def _is_same_file(one: bundle.Member, other: bundle.Member, *, is_time_trusted: bool) -> bool:
    if one.size != other.size:
        return False
    return (is_time_trusted and one.modified_ns == other.modified_ns) or _is_same_bytes(one.path, other.path)


def _is_same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as here, other.open("rb") as there:
        while (block := here.read(_BLOCK)) == there.read(_BLOCK):
            if not block:
                return True
    return False


def admit(index: Index, staged: StagedExperiment, experiment_id: str) -> None:
    """Move a staged experiment into the base directory, complete and marked as pending.

    `Index.apply` is still to be called, once for any number of experiments.

    Args:
        index: the index of the base directory.
        staged: the experiment.
        experiment_id: its id here.

    Raises:
        FileExistsError: if the id is taken here; nothing has changed then.
        OSError: if it cannot be written.
    """
    target = index.layout.experiment(experiment_id).root
    rename_record(staged, experiment_id)
    if staged.entry is not None and not os.path.lexists(target):
        # Before the folder moves: if this process is killed in between, no field of the entry is lost.
        index.insert({**staged.entry, "experiment_id": experiment_id})
    staging.place_folder(staged.layout.root, target)
    index.mark_pending(experiment_id)


def rename_record(staged: StagedExperiment, experiment_id: str) -> None:
    """Write the record of a staged experiment with its id here; a file that is right already keeps its bytes."""
    if staged.record is None:
        return
    record = attrs.evolve(staged.record, experiment_id=experiment_id)
    # A record of a newer runbook is never rewritten: readers take the id from the name of the folder.
    if record.format_version > RECORD_VERSION:
        return
    path = staged.layout.record
    if schema.from_json(json_text.read_object(path), ExperimentRecord, path) != record:
        experiment_folder.write_record(staged.layout, record)
