"""Imports an experiment into a base directory, from a bundle or from a copy of its folder.

It appears in the base directory only when all of it has been checked.
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
    """Import an experiment, completely or not at all.

    No process works on a copy of a running experiment: here it is interrupted, at its last sign of life. An experiment
    with the same content that is here already stays as it is, even under another id; it only gets the annotations that
    it does not have yet.

    Args:
        index: the index of the base directory.
        path: a bundle, or a copy of an experiment's folder, also of the legacy tool.
        on_conflict: what to do when another experiment has its id: `error` raises, `rename` gives it the next free
            id, `skip` leaves it out.
        limits: the largest amounts of data that the bundle may hold.
        progress: called with the number of bytes that are read and checked, and the total.

    Returns:
        Its id here; None if it was left out.

    Raises:
        BundleError: if the bundle is damaged, breaks a rule or a limit; nothing of it stays here.
        NewerFormatError: if a newer runbook made it.
        ExperimentExistsError: if another experiment has its id.
        InvalidNameError: if `on_conflict` is none of the three.
        FileNotFoundError: if the path does not exist.
        OSError: if it cannot be read, or a file cannot be written.
    """
    if on_conflict not in _CHOICES:
        raise errors.InvalidNameError("on_conflict", on_conflict, f"is none of {', '.join(_CHOICES)}", "rename")
    mode = path.stat().st_mode
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise errors.BundleError(path, None, "is neither a file nor a folder")
    base_directory.prepare(index.layout)
    with staging.staged_folder(index.layout) as folder:
        stage = _stage_folder if stat.S_ISDIR(mode) else _stage_bundle
        staged = stage(path, ExperimentLayout(folder), limits, progress)
        if not admission.is_admissible(index.layout, staged.experiment_id):
            problem = f"holds an experiment with the impossible id {staged.experiment_id!r}"
            raise errors.BundleError(path, None, problem)
        found, is_new = _admit_unless_here(index, staged, on_conflict)
    if found is not None:
        # Also where it was here already: a process may have been killed after it admitted the experiment.
        index.apply(found)
    return found if is_new else None


def _admit_unless_here(index: Index, staged: StagedExperiment, on_conflict: OnConflict) -> tuple[str | None, bool]:
    """Admit an experiment, or add its annotations to the same experiment that is here already.

    Returns:
        Its id here, None if it was left out; and whether it was admitted by this call.
    """
    experiment_id = staged.experiment_id
    while (present := _find_same(index.layout, staged)) is None:
        try:
            admission.admit(index, staged, experiment_id)
        except FileExistsError as error:
            if on_conflict == "error":
                raise errors.ExperimentExistsError(experiment_id, index.layout.root) from error
            if on_conflict == "skip":
                return None, False
            experiment_id = admission.free_id(index.layout, staged.experiment_id)
        else:
            return experiment_id, True
    annotation_log.merge(staged.layout, index.layout.experiment(present))
    return present, False


def _find_same(layout: BaseLayout, staged: StagedExperiment) -> str | None:
    """The id of the same experiment, if it is here already; None if it is not."""
    family = admission.family_of(staged.experiment_id)
    for name in sorted(os.listdir(layout.root)):
        present = layout.experiment(name)
        if (
            admission.family_of(name) == family
            and present.root.is_dir()
            and admission.is_same_record(staged, present)
            and admission.is_same_files(staged.layout, present)
        ):
            return name
    return None


def _stage_bundle(
    path: Path, target: ExperimentLayout, limits: Limits, progress: ProgressHook | None
) -> StagedExperiment:
    """Unpack the experiment in a bundle into a staged folder."""
    manifest = archive.unpack(path, target.root, limits, progress)
    record = _finish_and_read(path, target)
    if record is not None:
        return StagedExperiment(manifest.experiment_id, target, _end_copy(target, record))
    # One of the legacy tool: its fields of the registry are in the manifest.
    entry = registry_entry.build_entry(_end_copy(target, manifest.record), "")
    return StagedExperiment(manifest.experiment_id, target, None, entry)


def _stage_folder(
    path: Path, target: ExperimentLayout, limits: Limits, progress: ProgressHook | None
) -> StagedExperiment:
    """Copy the experiment in a folder into a staged folder."""
    source = ExperimentLayout(path.resolve())
    found = bundle.members(source.root)
    if len(found) > limits.files:
        raise errors.BundleError(path, None, f"holds {len(found)} files, more than {limits.files}")
    meter = Meter(progress, sum(member.size for member in found))
    admission.copy_members(source, found, target.root, meter)
    meter.finish()
    record = _finish_and_read(path, target)
    name = source.root.name
    if record is None:
        return StagedExperiment(name, target)
    experiment_id = name if identifiers.is_id(name) else record.experiment_id
    is_alive = _is_worked_on(source, record)
    return StagedExperiment(experiment_id, target, record if is_alive else _end_copy(target, record))


def _finish_and_read(path: Path, layout: ExperimentLayout) -> ExperimentRecord | None:
    """Complete a staged folder, and read its record.

    Args:
        path: the bundle or the folder that it comes from, for the message.
        layout: the staged folder.

    Returns:
        The record; None for an experiment of the legacy tool.

    Raises:
        BundleError: if it holds no experiment, or a damaged one.
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


def _is_worked_on(source: ExperimentLayout, record: ExperimentRecord) -> bool:
    """Whether a living process works on the folder itself; on a copy of the folder, none does."""
    run_lock = BaseLayout(source.root.parent).run_lock(source.root.name)
    if not record.attempts or not run_lock.exists():
        return False
    return liveness.check(record.attempts[-1].owner, run_lock).state is liveness.State.ALIVE


def _end_copy(layout: ExperimentLayout, record: ExperimentRecord) -> ExperimentRecord:
    """The record for a copy: a running experiment becomes interrupted, because no process works on the copy."""
    if record.status is not Status.RUNNING:
        return record
    return admission.mark_interrupted(record, death.last_sign_of_life(layout), EVIDENCE)
