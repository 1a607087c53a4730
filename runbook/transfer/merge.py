"""The union of two base directories, which can be made in any order and again at any time.

Nothing is deleted or overwritten here, and nothing changes there but what any look brings up to date. What comes in is
held against all experiments here that could be the same one, which are those of the same moment and with the same
hash of the config, whatever they are called:

- the same content: it is here already, and gets the notes and tags that are only said of it there;
- an earlier state of one that is here (fewer attempts, or cut off earlier): it is here already, and further on;
- a later state of one that is here: it takes its place, and the earlier state goes into the trash;
- anything else of the same id: it gets the next free id, and both are here.

A state is later only where there is no doubt: both began with the same attempt of the same process with the same
config, the attempts of one continue those of the other, and an ending that the experiment itself wrote down is later
than any moment before it. An experiment on which somebody works here is never replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import defaultdict
from enum import Enum
from typing import TYPE_CHECKING, Final

import attrs

from runbook import errors
from runbook.hints import hint_for_both
from runbook.index import Index, open_index
from runbook.maintain import trash
from runbook.messages import warn
from runbook.record import schema
from runbook.record.layout import REGISTRY_FILE, BaseLayout, ExperimentLayout
from runbook.record.model import Attempt, ExperimentRecord
from runbook.record.status import Status
from runbook.storage import annotation_log, base_directory, current_record, experiment_folder, staging
from runbook.storage.meter import Meter
from runbook.transfer import admission, bundle
from runbook.transfer.admission import StagedExperiment
from runbook.typing import JsonObject, ProgressHook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OURS_IS_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_BY_PLACE: Final = frozenset({"experiment_id", "directory"})
_UNENDED: Final = frozenset({Status.RUNNING, Status.UNKNOWN})


@attrs.frozen
class MergeReport:
    """What became of the experiments of another base directory, by their ids there.

    Args:
        added: they have come in.
        skipped: they were here already, the same or further on.
        updated: they were here in an earlier state, which is in the trash now.
        renamed: they have come in under another id, given here, because a different experiment has theirs.
        damaged: what is wrong with their records, or why they could not be copied; those that could be copied are
            in one of the others as well.
        annotated: those of the skipped that have got notes or tags which were only known there.
    """

    added: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    renamed: dict[str, str] = attrs.field(factory=dict)
    damaged: dict[str, str] = attrs.field(factory=dict)
    annotated: tuple[str, ...] = ()


class _Relation(Enum):
    """What an experiment that comes in is to one that is here."""

    SAME = "same"
    EARLIER = "earlier"
    LATER = "later"
    OTHER = "other"


def merge(index: Index, other_base: Path, progress: ProgressHook | None = None) -> MergeReport:
    """Bring in every experiment of another base directory that is not here yet.

    A merge that is interrupted can be made again. An experiment that runs there comes in as far as it has come, with
    the status that can be told from here.

    Args:
        index: the index of the base directory that is to have them all.
        other_base: the other base directory; its registry has the same name, or the usual one.
        progress: told how many experiments have been looked at, of how many.

    Returns:
        What became of each.

    Raises:
        BaseDirectoryError: if the other is no base directory, or is this one.
        OSError: if the disk of this one does not take more.
    """
    other = _other(index.layout, other_base)
    base_directory.prepare(index.layout)
    staging.remove_orphans(index.layout)
    return _Merge(index, other).run(progress)


_OTHER: Final = hint_for_both("name the base directory that is to be merged into this one")


def _other(layout: BaseLayout, base: Path) -> Index:
    root = base.expanduser().absolute()
    if not root.is_dir():
        raise errors.BaseDirectoryError(base, "that is to be merged is not there", _OTHER)
    if layout.root.is_dir() and root.samefile(layout.root):
        raise errors.BaseDirectoryError(base, "cannot be merged with itself", _OTHER)
    named = BaseLayout(root, layout.registry_name)
    return open_index(named if named.registry.exists() else BaseLayout(root, REGISTRY_FILE), str(base))


@attrs.frozen
class _Seen:
    """An experiment as it can be seen where it is.

    Args:
        layout: its folder.
        line: its line in the registry there; None where there is none.
        has_record: whether its folder has a record that can be read.
        record: what is known about it, true at this moment; None where it cannot be understood.
        problem: what is wrong with its record; None if nothing is.
    """

    layout: ExperimentLayout
    line: JsonObject | None
    has_record: bool
    record: ExperimentRecord | None
    problem: str | None = None

    @property
    def has_folder(self) -> bool:
        """Whether there is more than a line."""
        return self.layout.root.is_dir()

    def arrival(self, layout: ExperimentLayout | None = None) -> StagedExperiment:
        """It, on its way to the other base directory."""
        return StagedExperiment(
            self.layout.root.name,
            layout or self.layout,
            self.record if self.has_record else None,
            None if self.has_record else self.line,
        )


def _look(index: Index, experiment_id: str, line: JsonObject | None) -> _Seen:
    layout = index.layout.experiment(experiment_id)
    try:
        return _Seen(layout, line, has_record=True, record=current_record.read_current(index.layout, experiment_id))
    except (FileNotFoundError, NotADirectoryError):
        problem = None
    except (errors.DamagedFileError, errors.NewerFormatError, OSError) as error:
        return _Seen(layout, line, has_record=False, record=None, problem=str(error))
    record = None
    if line is not None:
        with contextlib.suppress(errors.DamagedFileError):
            record = schema.record_of_entry(line, index.layout.registry)
    return _Seen(layout, line, has_record=False, record=record, problem=problem)


class _Merge:
    """One merge under way.

    Args:
        index: the index of the base directory that is to have them all.
        other: the index of the one that they come from.
    """

    def __init__(self, index: Index, other: Index) -> None:
        self._index = index
        self._other = other
        self._lines = {str(entry["experiment_id"]): entry for entry in index.entries()}
        self._families: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for name in {*os.listdir(index.layout.root), *self._lines}:
            self._families[admission.family_of(name)].add(name)
        self._added: list[str] = []
        self._skipped: list[str] = []
        self._updated: list[str] = []
        self._renamed: dict[str, str] = {}
        self._damaged: dict[str, str] = {}
        self._annotated: list[str] = []
        self._unpublished: str | None = None

    def run(self, progress: ProgressHook | None) -> MergeReport:
        """Bring in one after the other."""
        lines = self._other.entries()
        meter = Meter(progress, len(lines))
        try:
            for line in lines:
                self._bring_or_say(str(line["experiment_id"]), line)
                meter.advance()
        finally:
            # All of them at once: each has left its mark. Of a process that is killed, the marks remain.
            if self._unpublished is not None:
                self._index.apply(self._unpublished)
        return MergeReport(
            added=tuple(self._added),
            skipped=tuple(self._skipped),
            updated=tuple(self._updated),
            renamed=self._renamed,
            damaged=self._damaged,
            annotated=tuple(self._annotated),
        )

    def _bring_or_say(self, experiment_id: str, line: JsonObject) -> None:
        if not admission.is_admissible(self._index.layout, experiment_id):
            self._say_damaged(experiment_id, "its id is none that an experiment can have")
            return
        theirs = _look(self._other, experiment_id, line)
        if theirs.problem is not None:
            self._say_damaged(experiment_id, theirs.problem)
        try:
            self._bring(experiment_id, theirs)
        except OSError as error:
            if error.errno in _OURS_IS_FULL:
                raise
            self._say_damaged(experiment_id, f"it could not be copied ({error})")

    def _say_damaged(self, experiment_id: str, problem: str) -> None:
        self._damaged[experiment_id] = problem
        warn(f"{experiment_id!r} of {self._other.layout.root}: {problem}")

    def _bring(self, experiment_id: str, theirs: _Seen) -> None:
        while True:
            for known in self._relatives(experiment_id):
                relation = self._relation(theirs, known)
                if relation in {_Relation.SAME, _Relation.EARLIER}:
                    self._take_over_annotations(theirs, known)
                    self._skipped.append(experiment_id)
                    return
                if relation is _Relation.LATER:
                    self._replace(theirs, known)
                    self._updated.append(experiment_id)
                    return
            found = self._add(theirs, experiment_id)
            if found is not None:
                break
        if found == experiment_id:
            self._added.append(experiment_id)
        else:
            self._renamed[experiment_id] = found

    def _take_over_annotations(self, theirs: _Seen, experiment_id: str) -> None:
        if annotation_log.merge(theirs.layout, self._index.layout.experiment(experiment_id)):
            self._index.mark_pending(experiment_id)
            self._unpublished = experiment_id
            self._annotated.append(theirs.layout.root.name)

    def _relatives(self, experiment_id: str) -> list[str]:
        """The ids here of what could be the same experiment, the same id first."""
        family = self._families[admission.family_of(experiment_id)]
        return sorted(family, key=lambda known: (known != experiment_id, known))

    def _has_new_relatives(self, experiment_id: str) -> bool:
        """Whether another process has brought in what could be the same experiment since the last look."""
        family = admission.family_of(experiment_id)
        before = len(self._families[family])
        names = os.listdir(self._index.layout.root)
        self._families[family].update(name for name in names if admission.family_of(name) == family)
        return len(self._families[family]) > before

    def _relation(self, theirs: _Seen, experiment_id: str) -> _Relation:
        ours = _look(self._index, experiment_id, self._lines.get(experiment_id))
        if theirs.has_folder and not ours.has_folder:
            # Only the line is here, of what was being merged or was removed: its folder is welcome.
            return _Relation.OTHER
        try:
            is_same = admission.is_same_files(theirs.layout, ours.layout, is_time_trusted=True)
        except FileNotFoundError:
            # Only a line there, or a running experiment that removes a file at this moment.
            is_same = not theirs.has_folder
        if is_same and self._says_the_same(theirs, ours):
            return _Relation.SAME
        return self._order(theirs, ours, is_same=is_same)

    @staticmethod
    def _says_the_same(theirs: _Seen, ours: _Seen) -> bool:
        if theirs.has_record or ours.has_record or theirs.problem is not None:
            return admission.is_same_record(theirs.arrival(), ours.layout)
        return _agrees(theirs.line, ours.line)

    def _order(self, theirs: _Seen, ours: _Seen, *, is_same: bool) -> _Relation:
        if theirs.record is None or ours.record is None or not _is_one_experiment(theirs.record, ours.record):
            return _Relation.OTHER
        there, here = _progress(theirs), _progress(ours)
        if there == here:
            # Nobody but the reader's judgement of how it was cut off can make a difference then.
            return _Relation.SAME if is_same and not there[1] else _Relation.OTHER
        if there < here:
            return _Relation.EARLIER
        is_worked_on = self._index.layout.run_lock(ours.layout.root.name).exists()
        is_alive = ours.record.status is Status.RUNNING and is_worked_on
        return _Relation.OTHER if is_alive or not theirs.has_folder else _Relation.LATER

    def _add(self, theirs: _Seen, experiment_id: str) -> str | None:
        """Bring it in, under its id or the next free one; None if another process was faster, and it is to be compared.

        Returns:
            Its id here.
        """
        if not self._is_free(theirs, experiment_id):
            if self._has_new_relatives(experiment_id):
                return None
            experiment_id = admission.free_id(self._index.layout, experiment_id, self._lines)
        if theirs.has_folder:
            with self._built(theirs) as arrival:
                try:
                    admission.admit(self._index, arrival, experiment_id)
                except FileExistsError:
                    return None
            self._unpublished = experiment_id
        elif theirs.line is not None:
            self._index.insert({**theirs.line, "experiment_id": experiment_id})
        self._remember(experiment_id, theirs.line)
        return experiment_id

    def _is_free(self, theirs: _Seen, experiment_id: str) -> bool:
        if os.path.lexists(self._index.layout.experiment(experiment_id).root):
            return False
        line = self._lines.get(experiment_id)
        # A line without a folder waits for it, or is all there is of an experiment of the legacy tool.
        return line is None or theirs.has_record or _agrees(theirs.line, line)

    def _replace(self, theirs: _Seen, experiment_id: str) -> None:
        """Put the later state of an experiment in the place of the earlier one."""
        layout = self._index.layout
        former = self._lines.get(experiment_id, {"experiment_id": experiment_id})
        with self._built(theirs) as arrival:
            admission.rename_record(arrival, experiment_id)
            annotation_log.merge(layout.experiment(experiment_id), arrival.layout)
            with self._index.removing(experiment_id):
                trashed = ExperimentLayout(trash.move_to_trash(layout, experiment_id, former))
                staging.place_folder(arrival.layout.root, layout.experiment(experiment_id).root)
                # Once more, for what somebody said of the earlier state meanwhile.
                annotation_log.merge(trashed, layout.experiment(experiment_id))
            if arrival.line is not None:
                self._index.insert({**arrival.line, "experiment_id": experiment_id})
        self._remember(experiment_id, theirs.line)

    @contextlib.contextmanager
    def _built(self, theirs: _Seen) -> Iterator[StagedExperiment]:
        with staging.staged_folder(self._index.layout) as place:
            layout = ExperimentLayout(place)
            admission.copy_members(theirs.layout, bundle.members(theirs.layout.root), place)
            admission.finish_copy(layout)
            yield _current(theirs.arrival(layout))

    def _remember(self, experiment_id: str, line: JsonObject | None) -> None:
        self._families[admission.family_of(experiment_id)].add(experiment_id)
        if line is not None:
            self._lines[experiment_id] = line


def _current(arrival: StagedExperiment) -> StagedExperiment:
    """The same, with the ending that was written down between the first look at it and the copy."""
    if arrival.record is None or arrival.record.status is not Status.RUNNING:
        return arrival
    copied = experiment_folder.read_record(arrival.layout)
    return arrival if copied.status is Status.RUNNING else attrs.evolve(arrival, record=copied)


def _agrees(theirs: JsonObject | None, ours: JsonObject | None) -> bool:
    """Whether a line here says everything that the one from elsewhere says."""
    return theirs is None or (
        ours is not None and all(ours.get(key) == value for key, value in theirs.items() if key not in _BY_PLACE)
    )


def _is_one_experiment(one: ExperimentRecord, other: ExperimentRecord) -> bool:
    """Whether the attempts of one continue those of the other, and all else that never changes is the same."""
    is_born_alike = (one.timestamp, one.config, one.custom_name) == (other.timestamp, other.config, other.custom_name)
    # Of the legacy tool, there are no attempts on either side.
    return (
        is_born_alike
        and bool(one.attempts) == bool(other.attempts)
        and all(_birth(first) == _birth(second) for first, second in zip(one.attempts, other.attempts, strict=False))
    )


def _birth(attempt: Attempt) -> tuple[object, ...]:
    owner = attempt.owner
    return attempt.started_at, owner.host, owner.pid, owner.boot_id


def _progress(seen: _Seen) -> tuple[int, bool, int]:
    """How far an experiment has come: attempts, whether it wrote down its own ending, and else its latest file."""
    record = seen.record
    assert record is not None
    if record.attempts:
        last = record.attempts[-1]
        is_ended = last.ended_at is not None and last.evidence is None
    else:
        is_ended = record.status not in _UNENDED
    if is_ended or not seen.has_folder:
        return len(record.attempts), is_ended, 0
    newest = max((member.modified_ns for member in admission.files_of(seen.layout).values()), default=0)
    return len(record.attempts), is_ended, newest
