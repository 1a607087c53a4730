"""Bringing an experiment into a base directory from a bundle, or from a copy of its folder.

Nothing of it appears in the base directory before all of it was found to be true.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, Literal

from runbook import errors
from runbook.record import identifiers, registry_entry, schema
from runbook.record.layout import BaseLayout, ExperimentLayout
from runbook.record.model import ExperimentRecord
from runbook.record.status import Status
from runbook.serialize import json_text
from runbook.storage import annotation_log, base_directory, death, liveness, staging
from runbook.storage.meter import Meter
from runbook.transfer import admission, archive, bundle
from runbook.transfer.admission import StagedExperiment
from runbook.transfer.archive import LIMITS, Limits

if TYPE_CHECKING:
    from pathlib import Path

    from runbook.index import Index
    from runbook.typing import ProgressHook

OnConflict = Literal["error", "rename", "skip"]

EVIDENCE: Final = "imported while running"
_CHOICES: Final = ("error", "rename", "skip")


def import_bundle(
    index: Index,
    path: Path,
    on_conflict: OnConflict = "error",
    limits: Limits = LIMITS,
    progress: ProgressHook | None = None,
) -> str | None:
    """Bring in an experiment, whole or not at all.

    A running experiment is not alive in its copy: there it is interrupted, since its last sign of life. One that is
    there already, with the same content, is left as it is, whatever id it goes by; only the notes and tags that were
    said of it from outside, and are not known here, are taken over.

    Args:
        index: the index of the base directory.
        path: a zip file of ours, or a copy of an experiment's folder, ours or of the legacy tool.
        on_conflict: what to do when another experiment has its id: `error` raises, `rename` gives it the next free
            id, `skip` leaves it out.
        limits: how much the bundle may hold.
        progress: told how many bytes have been read and found true, of how many.

    Returns:
        Its id here; None if it was left out.

    Raises:
        BundleError: if it is not what it says, or too much; nothing is left behind.
        NewerFormatError: if a newer runbook made it.
        ExperimentExistsError: if another experiment has its id.
        InvalidNameError: if there is no such choice as `on_conflict`.
        FileNotFoundError: if there is nothing at the path.
        OSError: if it cannot be read, or the disk does not take it.
    """
    if on_conflict not in _CHOICES:
        raise errors.InvalidNameError("on_conflict", on_conflict, f"is none of {', '.join(_CHOICES)}", "rename")
    mode = path.stat().st_mode
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise errors.BundleError(path, None, "is neither a file nor a folder")
    base_directory.prepare(index.layout)
    with staging.staged_folder(index.layout) as place:
        read = _copied if stat.S_ISDIR(mode) else _unpacked
        arrival = read(path, ExperimentLayout(place), limits, progress)
        if not admission.is_admissible(index.layout, arrival.experiment_id):
            problem = f"holds an experiment with the impossible id {arrival.experiment_id!r}"
            raise errors.BundleError(path, None, problem)
        found, is_new = _let_in(index, arrival, on_conflict)
    if found is not None:
        # Also where it was there already: a process may have been killed between bringing it in and saying so.
        index.apply(found)
    return found if is_new else None


def _let_in(index: Index, arrival: StagedExperiment, on_conflict: OnConflict) -> tuple[str | None, bool]:
    """The id under which it is there, and whether it has just come in."""
    experiment_id = arrival.experiment_id
    while (there := _same_here(index.layout, arrival)) is None:
        try:
            admission.admit(index, arrival, experiment_id)
        except FileExistsError as error:
            if on_conflict == "error":
                raise errors.ExperimentExistsError(experiment_id, index.layout.root) from error
            if on_conflict == "skip":
                return None, False
            experiment_id = admission.free_id(index.layout, arrival.experiment_id)
        else:
            return experiment_id, True
    annotation_log.merge(arrival.layout, index.layout.experiment(there))
    return there, False


def _same_here(layout: BaseLayout, arrival: StagedExperiment) -> str | None:
    """The id of the same experiment, where it is there already."""
    family = admission.family_of(arrival.experiment_id)
    for name in sorted(os.listdir(layout.root)):
        there = layout.experiment(name)
        if (
            admission.family_of(name) == family
            and there.root.is_dir()
            and admission.is_same_record(arrival, there)
            and admission.is_same_files(arrival.layout, there)
        ):
            return name
    return None


def _unpacked(path: Path, target: ExperimentLayout, limits: Limits, progress: ProgressHook | None) -> StagedExperiment:
    """The experiment in a bundle."""
    manifest = archive.unpack(path, target.root, limits, progress)
    record = _settled(path, target)
    if record is not None:
        return StagedExperiment(manifest.experiment_id, target, _ended(target, record))
    # One of the legacy tool: the manifest says what its line in the registry said.
    line = registry_entry.build_entry(_ended(target, manifest.record), "")
    return StagedExperiment(manifest.experiment_id, target, None, line)


def _copied(path: Path, target: ExperimentLayout, limits: Limits, progress: ProgressHook | None) -> StagedExperiment:
    """The experiment in a folder."""
    source = ExperimentLayout(path.resolve())
    found = bundle.members(source.root)
    if len(found) > limits.files:
        raise errors.BundleError(path, None, f"holds {len(found)} files, more than {limits.files}")
    meter = Meter(progress, sum(member.size for member in found))
    admission.copy_members(source, found, target.root, meter)
    meter.finish()
    record = _settled(path, target)
    named = source.root.name
    if record is None:
        return StagedExperiment(named, target)
    experiment_id = named if identifiers.is_id(named) else record.experiment_id
    is_alive = _is_alive_in_place(source, record)
    return StagedExperiment(experiment_id, target, record if is_alive else _ended(target, record))


def _settled(path: Path, layout: ExperimentLayout) -> ExperimentRecord | None:
    """The record in a folder that has been built and is complete now; None for one of the legacy tool.

    Args:
        path: where it comes from, for the message.
        layout: the folder.
    """
    has_record = layout.record.is_file()
    if not has_record and not layout.config.is_file():
        hint = "nothing was imported; name the folder or the bundle of one experiment, or merge a base directory"
        raise errors.BundleError(path, None, "holds neither experiment.json nor config.json", hint)
    admission.finish_copy(layout)
    try:
        if has_record:
            return schema.from_json(json_text.read_object(layout.record), ExperimentRecord, path)
        json_text.read_object(layout.config)
    except errors.DamagedFileError as error:
        name = layout.record.name if has_record else layout.config.name
        raise errors.BundleError(path, name, f"is damaged: {error.problem}") from error
    return None


def _is_alive_in_place(source: ExperimentLayout, record: ExperimentRecord) -> bool:
    """Whether the folder is the one that a living process works on, which a copy of it never is."""
    run_lock = BaseLayout(source.root.parent).run_lock(source.root.name)
    if not record.attempts or not run_lock.exists():
        return False
    return liveness.check(record.attempts[-1].owner, run_lock).state is liveness.State.ALIVE


def _ended(layout: ExperimentLayout, record: ExperimentRecord) -> ExperimentRecord:
    """The record as it is true of a copy, on which nobody works."""
    if record.status is not Status.RUNNING:
        return record
    return admission.mark_interrupted(record, death.last_sign_of_life(layout), EVIDENCE)
