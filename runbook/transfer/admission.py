"""An experiment on its way into a base directory: built in private, held against who is there, let in whole."""

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
    """An experiment that could come in: its folder has been built on the disk of the base directory.

    Args:
        experiment_id: the id that it had where it comes from.
        layout: the folder that was built.
        record: what its record is to say here; None for one of the legacy tool, or whose record is damaged.
        line: the fields of its line in the registry that it comes from, where it has no record.
    """

    experiment_id: str
    layout: ExperimentLayout
    record: ExperimentRecord | None = None
    line: JsonObject | None = None


def is_admissible(layout: BaseLayout, experiment_id: str) -> bool:
    """Whether an id from elsewhere can be one here: ours, or the legacy tool's, which took names as they were."""
    return (
        identifiers.time_of(experiment_id) is not None
        and bundle.problem_with_part(experiment_id) is None
        and experiment_id != Path(layout.registry_name).name
    )


def family_of(experiment_id: str) -> tuple[str, str]:
    """What an id has in common with those that it can get when it is taken: the moment, and the hash of the config."""
    return experiment_id[:_TIME_LENGTH], experiment_id[-_HASH_LENGTH:]


def free_id(layout: BaseLayout, experiment_id: str, taken: Iterable[str] = ()) -> str:
    """The first id of the same family that nobody has.

    Args:
        layout: the base directory.
        experiment_id: the id that is taken.
        taken: ids of which there is no folder, and which are taken all the same.
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
    """Copy files into a folder that is being built, durably.

    Args:
        source: the experiment's folder.
        found: the files in it, its record first.
        target: the folder that is being built.
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
    """Complete a folder whose files have been built: the folders that every experiment has, and their durability.

    Every folder in it becomes as old as the latest file, as `liveness.last_sign_of_life` expects of an experiment.
    """
    for inner in layout.folders:
        files.ensure_directory(inner)
    own = [member for member in bundle.members(layout.root) if member.name != _annotations(layout)]
    newest = max((member.modified_ns for member in own), default=0)
    for place, _, _ in os.walk(layout.root, topdown=False):
        files.fsync_directory(Path(place))
        os.utime(place, ns=(newest, newest))


def mark_interrupted(record: ExperimentRecord, ended: datetime, evidence: str) -> ExperimentRecord:
    """The record of a copy of a running experiment, on which nobody works.

    Args:
        record: the experiment as it ran.
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


def is_same_record(arrival: StagedExperiment, there: ExperimentLayout) -> bool:
    """Whether the record that is to come in is the one that is there, but for the id; also when both have none."""
    if arrival.record is None:
        return _raw(there) == _raw(arrival.layout)
    try:
        here = experiment_folder.read_record(there)
    except (errors.DamagedFileError, errors.NewerFormatError, OSError):
        return False
    return here == attrs.evolve(arrival.record, experiment_id=here.experiment_id)


def _raw(layout: ExperimentLayout) -> bytes | None:
    try:
        return layout.record.read_bytes()
    except FileNotFoundError:
        return None


def is_same_files(one: ExperimentLayout, other: ExperimentLayout, *, is_time_trusted: bool = False) -> bool:
    """Whether two folders hold the same files with the same content.

    Their records are passed over, and what was said of them from outside, which `annotation.take_over` unites.

    Args:
        one: a folder.
        other: the other.
        is_time_trusted: files of one size that were last written to at the same nanosecond count as the same. What was
            copied keeps its time, and nobody would merge often if that read all checkpoints again.
    """
    here, there = files_of(one), files_of(other)
    return here.keys() == there.keys() and all(
        _is_same_file(here[name], there[name], is_time_trusted=is_time_trusted) for name in here
    )


def files_of(layout: ExperimentLayout) -> dict[str, bundle.Member]:
    """The files of an experiment by their names, but for the record and what is said of it from outside.

    Those two may have been brought up to date by others than the experiment.
    """
    passed_over = {layout.record.name, _annotations(layout)}
    return {member.name: member for member in bundle.members(layout.root) if member.name not in passed_over}


def _annotations(layout: ExperimentLayout) -> str:
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


def admit(index: Index, arrival: StagedExperiment, experiment_id: str) -> None:
    """Let an experiment in: it is there whole, and announced, when this returns.

    `registry.publish` remains to be called, once for any number of them.

    Args:
        index: the index of the base directory.
        arrival: the experiment.
        experiment_id: its id here.

    Raises:
        FileExistsError: if there is something of that id; nothing has changed then.
        OSError: if the disk does not take it.
    """
    target = index.layout.experiment(experiment_id).root
    rename_record(arrival, experiment_id)
    if arrival.line is not None and not os.path.lexists(target):
        # The line first: of a process that is killed now, the line waits for its folder, and no field is lost.
        index.insert({**arrival.line, "experiment_id": experiment_id})
    staging.place_folder(arrival.layout.root, target)
    index.mark_pending(experiment_id)


def rename_record(arrival: StagedExperiment, experiment_id: str) -> None:
    """Write its record as it is to be under an id here; one that says so already is left as it is, byte for byte."""
    if arrival.record is None:
        return
    record = attrs.evolve(arrival.record, experiment_id=experiment_id)
    # One from a newer runbook is never rewritten: whoever reads it takes the id from the name of the folder.
    if record.format_version > RECORD_VERSION:
        return
    path = arrival.layout.record
    if schema.from_json(json_text.read_object(path), ExperimentRecord, path) != record:
        experiment_folder.write_record(arrival.layout, record)
