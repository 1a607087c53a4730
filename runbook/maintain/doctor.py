"""Finds what is wrong with a base directory, and repairs it: files are moved into the quarantine, never deleted."""

from __future__ import annotations

import contextlib
import os
import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from runbook import errors
from runbook.hints import Hint, hint_for_both
from runbook.maintain import disks, leftovers
from runbook.record import identifiers
from runbook.record.model import join_notes
from runbook.record.status import EndReason, Status
from runbook.storage import base_directory, checksums, current_record, death, experiment_folder, files, liveness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbook.index import Index, Inspection
    from runbook.record.layout import BaseLayout, ExperimentLayout
    from runbook.record.model import ExperimentRecord
    from runbook.typing import JsonObject

_BY_HAND: Final = "declared by a person"


class Severity(StrEnum):
    """How much a finding matters."""

    PROBLEM = "problem"
    """Something is wrong: data is missing, stale or unreadable until it is repaired."""
    NOTE = "note"
    """Nothing is wrong, but users should know it."""


@attrs.frozen
class Finding:
    """One fact about a base directory.

    Args:
        kind: the name of the check that found it.
        severity: how much it matters.
        subject: the path or the experiment that it is about.
        message: what was found, in words for people.
        hint: what to do about it, in Python and on the command line.
        is_repairable: whether `repair` repairs it.
    """

    kind: str
    severity: Severity
    subject: str
    message: str
    hint: Hint
    is_repairable: bool = False

    @property
    def remedy(self) -> str:
        """What to do about it in Python."""
        return self.hint.python

    def __str__(self) -> str:
        return f"{self.severity.value}: {self.subject}: {self.message}; {self.remedy}"


_REPAIR: Final = Hint("repair() mends it", "'runbook repair' mends it")
_MOVE_ASIDE: Final = Hint("repair() moves it aside", "'runbook repair' moves it aside")
_REBUILD: Final = Hint(
    "repair() moves it aside and rebuilds it from the folders",
    "'runbook repair' moves it aside and rebuilds it from the folders",
)
_REWRITE: Final = Hint(
    "repair() moves it aside and writes what the registry has of it",
    "'runbook repair' moves it aside and writes what the registry has of it",
)


def diagnose(index: Index) -> list[Finding]:
    """The problems and the notes about a base directory; nothing is changed.

    Args:
        index: its index.

    Raises:
        BaseDirectoryError: if it is a file.
    """
    layout = index.layout
    if not layout.root.exists():
        hint = hint_for_both("the first experiment makes it")
        return [_note("base-directory", layout.root, "it does not exist yet", hint)]
    index.check()
    stored, found = _check_index(index)
    found += _check_experiments(index, stored.entries)
    found += _check_leftovers(index, stored.pending)
    facts = disks.describe_disk(layout.root)
    return found + [_note("disk", layout.root, fact, hint_for_both(consequence)) for fact, consequence in facts]


def repair(index: Index) -> list[Finding]:
    """Repair what can be repaired.

    Returns:
        The repaired findings; `diagnose` shows those that remain.

    Raises:
        BaseDirectoryError: if the base directory cannot be written to.
    """
    base_directory.prepare(index.layout)
    found = [finding for finding in diagnose(index) if finding.is_repairable]
    quarantine = index.layout.quarantine / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    for finding in found:
        if finding.kind in {"temporary", "lock"}:
            _move_to_quarantine(Path(finding.subject), index.layout, quarantine)
        elif finding.kind == "record":
            _repair_record(index, index.layout.experiment(finding.subject), quarantine)
    index.rebuild()
    return found


def _problem(kind: str, subject: object, message: str, hint: Hint = _REPAIR, *, is_repairable: bool = True) -> Finding:
    return Finding(kind, Severity.PROBLEM, str(subject), message, hint, is_repairable)


def _note(kind: str, subject: object, message: str, hint: Hint) -> Finding:
    return Finding(kind, Severity.NOTE, str(subject), message, hint)


def _check_index(index: Index) -> tuple[Inspection, list[Finding]]:
    path = index.layout.registry
    stored = index.inspect()
    if stored.is_missing:
        missing = "there is no registry, although there are experiments"
        return stored, [_problem("registry", path, missing)] if index.folders() else []
    if stored.damage is not None:
        return stored, [_problem("registry", path, f"it cannot be understood: {stored.damage}", _REBUILD)]
    found = []
    if stored.has_duplicates:
        found.append(_problem("registry", path, "it has two entries of one experiment"))
    for entry in stored.entries:
        if not identifiers.is_folder_name(str(entry["experiment_id"])):
            odd = f"it has an entry {entry['experiment_id']!r}, which can be no folder here"
            by_hand = hint_for_both("take the entry out by hand")
            found.append(_problem("registry", path, odd, by_hand, is_repairable=False))
    return stored, found


def _check_experiments(index: Index, entries: list[JsonObject]) -> Iterator[Finding]:
    listed = {str(entry["experiment_id"]): entry for entry in entries}
    folders = index.folders()
    for experiment_id in sorted(folders | listed.keys()):
        if not identifiers.is_folder_name(experiment_id):
            continue
        if experiment_id not in folders and not index.layout.experiment(experiment_id).root.exists():
            gone = "its folder is gone, and the registry still has its entry"
            hint = Hint(
                "bring the folder back, or forget it with delete_experiment",
                f"bring the folder back, or forget it with 'runbook rm {experiment_id}'",
            )
            yield _problem("missing-folder", experiment_id, gone, hint, is_repairable=False)
            continue
        yield from _check_experiment(index, experiment_id, listed.get(experiment_id))


def _check_experiment(index: Index, experiment_id: str, entry: JsonObject | None) -> Iterator[Finding]:
    layout = index.layout.experiment(experiment_id)
    try:
        written = experiment_folder.read_record(layout)
        record = current_record.read_current(index.layout, experiment_id)
    except FileNotFoundError:
        if entry is None and not layout.config.exists():
            age_s = time.time() - death.last_sign_of_life(layout).timestamp()
            if age_s > leftovers.OLD_S:
                half = "the folder was made for an experiment that never started"
                yield _note("half-made", experiment_id, half, hint_for_both("delete it, if nothing in it is yours"))
        elif entry is None:
            hint = hint_for_both("it is listed with the status unknown")
            yield _note("unrecorded", experiment_id, "nothing records how it ended", hint)
        return
    except (errors.DamagedFileError, errors.NewerFormatError, OSError) as error:
        is_newer = isinstance(error, errors.NewerFormatError)
        hint = hint_for_both("upgrade runbook") if is_newer else _REWRITE
        message = error.description if isinstance(error, errors.RunbookError) else str(error)
        yield _problem("record", experiment_id, message, hint, is_repairable=not is_newer)
        return
    if written.status is Status.RUNNING and record.status is not Status.RUNNING:
        yield _problem(
            "wrong-status", experiment_id, f"it says running, and its process is dead ({_describe_evidence(record)})"
        )
    elif entry is None:
        yield _problem("missing-entry", experiment_id, "the registry has no entry of it")
    elif entry.get("status") != record.status.value:
        wrong = f"the registry says {entry.get('status')}, and it is {record.status.value}"
        yield _problem("wrong-status", experiment_id, wrong)
    yield from _check_running_elsewhere(index, layout, record)
    if record.status is not Status.RUNNING:
        yield from _check_checksums(layout, experiment_id, record.checksums)


def _describe_evidence(record: ExperimentRecord) -> str:
    return str(record.attempts[-1].evidence) if record.attempts else "no attempt is recorded"


def _check_running_elsewhere(index: Index, layout: ExperimentLayout, record: ExperimentRecord) -> Iterator[Finding]:
    if record.status is not Status.RUNNING:
        return
    checked = _check_liveness(index, record)
    if checked.state is liveness.State.UNKNOWN:
        seen = death.last_sign_of_life(layout)
        yield _note(
            "running-elsewhere",
            record.experiment_id,
            f"{checked.evidence}; its last sign of life is from {seen:%Y-%m-%d %H:%M:%S} UTC",
            Hint(
                f"if you know that it is dead, call declare_ended({record.experiment_id!r})",
                f"if you know that it is dead, 'runbook end {record.experiment_id}' records that",
            ),
        )


def _check_liveness(index: Index, record: ExperimentRecord) -> liveness.Liveness:
    if not record.attempts:
        return liveness.Liveness(liveness.State.UNKNOWN, "its record names no process")
    return liveness.check(record.attempts[-1].owner, index.layout.run_lock(record.experiment_id))


def _check_checksums(layout: ExperimentLayout, experiment_id: str, recorded: dict[str, str]) -> Iterator[Finding]:
    for name, problem in checksums.find_mismatches(layout.root, recorded):
        hint = hint_for_both("restore it from a copy, or leave it, if you changed it yourself")
        yield _problem("checksum", experiment_id, f"{name} {problem}", hint, is_repairable=False)


def _check_leftovers(index: Index, pending: frozenset[str]) -> Iterator[Finding]:
    layout = index.layout
    for folder in (layout.root, *(layout.experiment(name).root for name in sorted(index.folders()))):
        for path in leftovers.list_temporaries(folder, is_deep=folder != layout.root):
            if leftovers.is_old(path):
                yield _problem("temporary", path, "a write that was never finished left it", _MOVE_ASIDE)
    for path in leftovers.list_run_locks(index):
        if leftovers.is_stale_lock(index, path):
            yield _problem("lock", path, "the experiment that held it has ended", _MOVE_ASIDE)
    for name in sorted(pending):
        if layout.experiment(name).root.exists():
            yield _problem("pending", name, "the registry does not show the latest of it yet")


def _move_to_quarantine(path: Path, layout: BaseLayout, quarantine: Path) -> None:
    target = quarantine / path.relative_to(layout.root)
    with contextlib.suppress(FileNotFoundError):
        files.ensure_directory(target.parent)
        os.replace(path, target)  # noqa: PTH105 - replaces a file of the same name


def _repair_record(index: Index, layout: ExperimentLayout, quarantine: Path) -> None:
    """Replace a record that cannot be read by one made from its entry in the registry."""
    from runbook.record import schema

    entries = index.inspect().entries
    entry = next((entry for entry in entries if entry["experiment_id"] == layout.root.name), None)
    _move_to_quarantine(layout.record, index.layout, quarantine)
    if entry is None or entry.get("status") in {Status.RUNNING.value, Status.UNKNOWN.value, None}:
        # How it ended is not known, and a new record would have to invent it.
        return
    # The entry contains the annotations already: they would be applied to the new record twice.
    _move_to_quarantine(layout.annotations, index.layout, quarantine)
    experiment_folder.write_record(layout, schema.record_of_entry(entry, index.layout.registry))


def declare_ended(index: Index, experiment_id: str, status: Status, notes: str | None) -> None:
    """Record the end of an experiment because a person declares that it has ended.

    Args:
        index: the index of the base directory.
        experiment_id: which.
        status: the status that it gets.
        notes: added to its notes; None adds nothing.

    Raises:
        UsageError: if it is alive, or has ended already.
    """

    def end_record(record: ExperimentRecord) -> ExperimentRecord:
        if record.status is not Status.RUNNING:
            hint = Hint("add_note adds to its notes", f"'runbook note {experiment_id}' adds to its notes")
            raise errors.UsageError(f"{experiment_id} has ended already: it is {record.status.value}", hint)
        checked = _check_liveness(index, record)
        if checked.state is liveness.State.ALIVE:
            hint = hint_for_both("end its process first")
            raise errors.UsageError(f"{experiment_id} is alive ({checked.evidence})", hint)
        seen = death.last_sign_of_life(index.layout.experiment(experiment_id))
        moment = max([seen, *(attempt.started_at for attempt in record.attempts[-1:])])
        attempts = [
            *record.attempts[:-1],
            *(
                attrs.evolve(last, ended_at=moment, end_reason=EndReason.MARKED, evidence=_BY_HAND)
                for last in record.attempts[-1:]
            ),
        ]
        return attrs.evolve(
            record,
            status=status,
            end_reason=EndReason.MARKED,
            completed_at=moment,
            notes=join_notes(record.notes, notes),
            attempts=tuple(attempts),
        )

    index.update_record(experiment_id, end_record)
    index.apply(experiment_id)
