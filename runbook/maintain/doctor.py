"""What is wrong with a base directory, in plain words, and mending it: things are moved aside, never deleted."""

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
    """Something is wrong, and the record is less than it could be until it is mended."""
    NOTE = "note"
    """Nothing is wrong, but it is good to know."""


@attrs.frozen
class Finding:
    """One thing about a base directory.

    Args:
        kind: which check found it, in one word or two joined by a dash.
        severity: how much it matters.
        subject: the file, the folder or the experiment.
        message: what is found, in plain words.
        hint: what to do about it, in Python and on the command line.
        is_repairable: whether `repair` mends it.
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
    """Everything that is to be said of a base directory; nothing is changed.

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
    stored, found = _index(index)
    found += _experiments(index, stored.entries)
    found += _leftovers(index, stored.pending)
    promises = disks.guarantees(layout.root)
    return found + [_note("disk", layout.root, said, hint_for_both(follows)) for said, follows in promises]


def repair(index: Index) -> list[Finding]:
    """Mend what can be mended.

    Returns:
        What was found and mended; what is left shows in `diagnose`.

    Raises:
        BaseDirectoryError: if the base directory cannot be written to.
    """
    base_directory.prepare(index.layout)
    found = [finding for finding in diagnose(index) if finding.is_repairable]
    aside = index.layout.quarantine / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    for finding in found:
        if finding.kind in {"temporary", "lock"}:
            _move_aside(Path(finding.subject), index.layout, aside)
        elif finding.kind == "record":
            _mend_record(index, index.layout.experiment(finding.subject), aside)
    index.rebuild()
    return found


def _problem(kind: str, subject: object, message: str, hint: Hint = _REPAIR, *, is_repairable: bool = True) -> Finding:
    return Finding(kind, Severity.PROBLEM, str(subject), message, hint, is_repairable)


def _note(kind: str, subject: object, message: str, hint: Hint) -> Finding:
    return Finding(kind, Severity.NOTE, str(subject), message, hint)


def _index(index: Index) -> tuple[Inspection, list[Finding]]:
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
    for line in stored.entries:
        if not identifiers.is_folder_name(str(line["experiment_id"])):
            odd = f"it has an entry {line['experiment_id']!r}, which can be no folder here"
            by_hand = hint_for_both("take the entry out by hand")
            found.append(_problem("registry", path, odd, by_hand, is_repairable=False))
    return stored, found


def _experiments(index: Index, lines: list[JsonObject]) -> Iterator[Finding]:
    listed = {str(line["experiment_id"]): line for line in lines}
    folders = index.folders()
    for experiment_id in sorted(folders | listed.keys()):
        if not identifiers.is_folder_name(experiment_id):
            continue
        if experiment_id not in folders and not index.layout.experiment(experiment_id).root.exists():
            gone = "its folder is gone, and the registry still has a line of it"
            hint = Hint(
                "bring the folder back, or forget it with delete_experiment",
                f"bring the folder back, or forget it with 'runbook rm {experiment_id}'",
            )
            yield _problem("missing-folder", experiment_id, gone, hint, is_repairable=False)
            continue
        yield from _experiment(index, experiment_id, listed.get(experiment_id))


def _experiment(index: Index, experiment_id: str, line: JsonObject | None) -> Iterator[Finding]:
    layout = index.layout.experiment(experiment_id)
    try:
        written = experiment_folder.read_record(layout)
        record = current_record.read_current(index.layout, experiment_id)
    except FileNotFoundError:
        if line is None and not layout.config.exists():
            age_s = time.time() - death.last_sign_of_life(layout).timestamp()
            if age_s > leftovers.OLD_S:
                half = "the folder was made for an experiment that never started"
                yield _note("half-made", experiment_id, half, hint_for_both("delete it, if nothing in it is yours"))
        elif line is None:
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
        yield _problem("wrong-status", experiment_id, f"it says running, and its process is dead ({_evidence(record)})")
    elif line is None:
        yield _problem("missing-entry", experiment_id, "the registry has no line of it")
    elif line.get("status") != record.status.value:
        wrong = f"the registry says {line.get('status')}, and it is {record.status.value}"
        yield _problem("wrong-status", experiment_id, wrong)
    yield from _running_elsewhere(index, layout, record)
    if record.status is not Status.RUNNING:
        yield from _checksums(layout, experiment_id, record.checksums)


def _evidence(record: ExperimentRecord) -> str:
    return str(record.attempts[-1].evidence) if record.attempts else "no attempt is recorded"


def _running_elsewhere(index: Index, layout: ExperimentLayout, record: ExperimentRecord) -> Iterator[Finding]:
    if record.status is not Status.RUNNING:
        return
    verdict = _verdict(index, record)
    if verdict.state is liveness.State.UNKNOWN:
        seen = death.last_sign_of_life(layout)
        yield _note(
            "running-elsewhere",
            record.experiment_id,
            f"{verdict.evidence}; its last sign of life is from {seen:%Y-%m-%d %H:%M:%S} UTC",
            Hint(
                f"if you know that it is dead, say declare_ended({record.experiment_id!r})",
                f"if you know that it is dead, 'runbook end {record.experiment_id}' records that",
            ),
        )


def _verdict(index: Index, record: ExperimentRecord) -> liveness.Liveness:
    if not record.attempts:
        return liveness.Liveness(liveness.State.UNKNOWN, "nothing tells in which process it runs")
    return liveness.check(record.attempts[-1].owner, index.layout.run_lock(record.experiment_id))


def _checksums(layout: ExperimentLayout, experiment_id: str, recorded: dict[str, str]) -> Iterator[Finding]:
    for name, problem in checksums.find_mismatches(layout.root, recorded):
        hint = hint_for_both("restore it from a copy, or leave it, if you changed it yourself")
        yield _problem("checksum", experiment_id, f"{name} {problem}", hint, is_repairable=False)


def _leftovers(index: Index, pending: frozenset[str]) -> Iterator[Finding]:
    layout = index.layout
    for place in (layout.root, *(layout.experiment(name).root for name in sorted(index.folders()))):
        for path in leftovers.temporaries(place, is_deep=place != layout.root):
            if leftovers.is_old(path):
                yield _problem("temporary", path, "a write that was never finished left it", _MOVE_ASIDE)
    for path in leftovers.run_locks(index):
        if leftovers.is_stale_lock(index, path):
            yield _problem("lock", path, "the experiment that held it has ended", _MOVE_ASIDE)
    for name in sorted(pending):
        if layout.experiment(name).root.exists():
            yield _problem("pending", name, "the registry does not show the latest of it yet")


def _move_aside(path: Path, layout: BaseLayout, aside: Path) -> None:
    target = aside / path.relative_to(layout.root)
    with contextlib.suppress(FileNotFoundError):
        files.ensure_directory(target.parent)
        os.replace(path, target)  # noqa: PTH105 - a mark may be there twice


def _mend_record(index: Index, layout: ExperimentLayout, aside: Path) -> None:
    """Put what the registry knows in the place of a record that cannot be read."""
    from runbook.record import schema

    line = next((line for line in index.inspect().entries if line["experiment_id"] == layout.root.name), None)
    _move_aside(layout.record, index.layout, aside)
    if line is None or line.get("status") in {Status.RUNNING.value, Status.UNKNOWN.value, None}:
        # Nothing says how it ended, so nothing is written that would.
        return
    # The line has what was said from outside as well, and so will have the new record.
    _move_aside(layout.annotations, index.layout, aside)
    experiment_folder.write_record(layout, schema.record_of_entry(line, index.layout.registry))


def declare_ended(index: Index, experiment_id: str, status: Status, notes: str | None) -> None:
    """Record the end of an experiment on somebody's word.

    Raises:
        UsageError: if it is alive, or has ended already.
    """

    def as_ended(record: ExperimentRecord) -> ExperimentRecord:
        if record.status is not Status.RUNNING:
            hint = Hint("add_note adds to its notes", f"'runbook note {experiment_id}' adds to its notes")
            raise errors.UsageError(f"{experiment_id} has ended already: it is {record.status.value}", hint)
        verdict = _verdict(index, record)
        if verdict.state is liveness.State.ALIVE:
            hint = hint_for_both("end its process first")
            raise errors.UsageError(f"{experiment_id} is alive ({verdict.evidence})", hint)
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

    index.update_record(experiment_id, as_ended)
    index.apply(experiment_id)
