"""Merges another base directory into this one; merges can be made in any order and repeated at any time.

Nothing is deleted or overwritten here, and the other base directory does not change, except that reading its index
brings the index up to date. Each experiment of the other is compared with those here that could be the same one: the
ones with the same start and the same hash of the config, under any id. It can be

- the same content: it stays as it is here, and gets the annotations that only the other base directory has;
- an earlier state of one that is here (fewer attempts, or cut off earlier): it is skipped;
- a later state of one that is here: it replaces the earlier state, which goes into the trash;
- a different experiment with the same id: it gets the next free id here.

One state is later than another only where that is certain: both have the same start, config and first attempt of the
same process, the attempts of one continue those of the other, and an ending that the experiment itself recorded is
later than any state before it. An experiment on which a process works here is never replaced.
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

_TARGET_IS_UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_BASE_SPECIFIC: Final = frozenset({"experiment_id", "directory"})
_NOT_ENDED: Final = frozenset({Status.RUNNING, Status.UNKNOWN})


@attrs.frozen
class MergeReport:
    """What a merge did with each experiment of the other base directory, by its id there.

    Args:
        added: experiments that were added.
        skipped: experiments that were here already, in the same or a later state.
        updated: experiments that were here in an earlier state, which is in the trash now.
        renamed: experiments that were added under another id, because a different experiment has theirs; their ids
            there and here.
        damaged: for experiments with a damaged record, and for those that could not be copied, what is wrong; an
            experiment that could be copied is in one of the others as well.
        annotated: those of the skipped that got notes or tags which only the other base directory had.
    """

    added: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    renamed: dict[str, str] = attrs.field(factory=dict)
    damaged: dict[str, str] = attrs.field(factory=dict)
    annotated: tuple[str, ...] = ()


class _Relation(Enum):
    """How an experiment of the other base directory relates to one that is here."""

    SAME = "same"
    EARLIER = "earlier"
    LATER = "later"
    OTHER = "other"


def merge(index: Index, other_base: Path, progress: ProgressHook | None = None) -> MergeReport:
    """Add every experiment of another base directory that is not here yet.

    A merge that was interrupted can be repeated. An experiment that runs there is copied as it is at this moment, with
    the status that can be checked from here.

    Args:
        index: the index of the base directory that gets the experiments.
        other_base: the other base directory; its registry has the same name, or the usual one.
        progress: called with the number of experiments that are compared and the total.

    Returns:
        What was done with each.

    Raises:
        BaseDirectoryError: if the other is no base directory, or is this one.
        OSError: if this base directory cannot be written to.
    """
    other = _open_other(index.layout, other_base)
    base_directory.prepare(index.layout)
    staging.remove_orphans(index.layout)
    return _Merge(index, other).run(progress)


_NAME_OTHER: Final = hint_for_both("name the base directory that is to be merged into this one")


def _open_other(layout: BaseLayout, base: Path) -> Index:
    root = base.expanduser().absolute()
    if not root.is_dir():
        raise errors.BaseDirectoryError(base, "that is to be merged is not there", _NAME_OTHER)
    if layout.root.is_dir() and root.samefile(layout.root):
        raise errors.BaseDirectoryError(base, "cannot be merged with itself", _NAME_OTHER)
    named = BaseLayout(root, layout.registry_name)
    return open_index(named if named.registry.exists() else BaseLayout(root, REGISTRY_FILE), str(base))


@attrs.frozen
class _Found:
    """An experiment of either base directory, as it was found.

    Args:
        layout: its folder.
        entry: its entry in the registry there; None if it has none.
        has_record: whether its folder has a readable record.
        record: its current record, or one made from its entry; None if neither can be understood.
        problem: what is wrong with its record; None if nothing is.
    """

    layout: ExperimentLayout
    entry: JsonObject | None
    has_record: bool
    record: ExperimentRecord | None
    problem: str | None = None

    @property
    def has_folder(self) -> bool:
        """Whether it has a folder, and not only an entry."""
        return self.layout.root.is_dir()

    def to_staged(self, layout: ExperimentLayout | None = None) -> StagedExperiment:
        """The same as a staged experiment.

        Args:
            layout: the staged copy of its folder; None if it has not been copied.
        """
        return StagedExperiment(
            self.layout.root.name,
            layout or self.layout,
            self.record if self.has_record else None,
            None if self.has_record else self.entry,
        )


def _find(index: Index, experiment_id: str, entry: JsonObject | None) -> _Found:
    layout = index.layout.experiment(experiment_id)
    try:
        return _Found(layout, entry, has_record=True, record=current_record.read_current(index.layout, experiment_id))
    except (FileNotFoundError, NotADirectoryError):
        problem = None
    except (errors.DamagedFileError, errors.NewerFormatError, OSError) as error:
        return _Found(layout, entry, has_record=False, record=None, problem=str(error))
    record = None
    if entry is not None:
        with contextlib.suppress(errors.DamagedFileError):
            record = schema.record_of_entry(entry, index.layout.registry)
    return _Found(layout, entry, has_record=False, record=record, problem=problem)


class _Merge:
    """One merge under way.

    Args:
        index: the index of the base directory that gets the experiments.
        other: the index of the other base directory.
    """

    def __init__(self, index: Index, other: Index) -> None:
        self._index = index
        self._other = other
        self._entries = {str(entry["experiment_id"]): entry for entry in index.entries()}
        self._families: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for name in {*os.listdir(index.layout.root), *self._entries}:
            self._families[admission.family_of(name)].add(name)
        self._added: list[str] = []
        self._skipped: list[str] = []
        self._updated: list[str] = []
        self._renamed: dict[str, str] = {}
        self._damaged: dict[str, str] = {}
        self._annotated: list[str] = []
        self._last_pending: str | None = None

    def run(self, progress: ProgressHook | None) -> MergeReport:
        """Merge one experiment after the other."""
        entries = self._other.entries()
        meter = Meter(progress, len(entries))
        try:
            for entry in entries:
                self._merge_or_warn(str(entry["experiment_id"]), entry)
                meter.advance()
        finally:
            # Once for all: each is marked as pending, and one call applies them all. After a kill the marks remain.
            if self._last_pending is not None:
                self._index.apply(self._last_pending)
        return MergeReport(
            added=tuple(self._added),
            skipped=tuple(self._skipped),
            updated=tuple(self._updated),
            renamed=self._renamed,
            damaged=self._damaged,
            annotated=tuple(self._annotated),
        )

    def _merge_or_warn(self, experiment_id: str, entry: JsonObject) -> None:
        if not admission.is_admissible(self._index.layout, experiment_id):
            self._report_damage(experiment_id, "its id is none that an experiment can have")
            return
        theirs = _find(self._other, experiment_id, entry)
        if theirs.problem is not None:
            self._report_damage(experiment_id, theirs.problem)
        try:
            self._merge_one(experiment_id, theirs)
        except OSError as error:
            if error.errno in _TARGET_IS_UNWRITABLE:
                raise
            self._report_damage(experiment_id, f"it could not be copied ({error})")

    def _report_damage(self, experiment_id: str, problem: str) -> None:
        self._damaged[experiment_id] = problem
        warn(f"{experiment_id!r} of {self._other.layout.root}: {problem}")

    def _merge_one(self, experiment_id: str, theirs: _Found) -> None:
        while True:
            for known in self._list_candidates(experiment_id):
                relation = self._compare(theirs, known)
                if relation in {_Relation.SAME, _Relation.EARLIER}:
                    self._merge_annotations(theirs, known)
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

    def _merge_annotations(self, theirs: _Found, experiment_id: str) -> None:
        if annotation_log.merge(theirs.layout, self._index.layout.experiment(experiment_id)):
            self._index.mark_pending(experiment_id)
            self._last_pending = experiment_id
            self._annotated.append(theirs.layout.root.name)

    def _list_candidates(self, experiment_id: str) -> list[str]:
        """The ids of those here that could be the same experiment, the same id first."""
        family = self._families[admission.family_of(experiment_id)]
        return sorted(family, key=lambda known: (known != experiment_id, known))

    def _finds_new_candidates(self, experiment_id: str) -> bool:
        """Whether another process has added an experiment that could be the same one since the last comparison."""
        family = admission.family_of(experiment_id)
        before = len(self._families[family])
        names = os.listdir(self._index.layout.root)
        self._families[family].update(name for name in names if admission.family_of(name) == family)
        return len(self._families[family]) > before

    def _compare(self, theirs: _Found, experiment_id: str) -> _Relation:
        ours = _find(self._index, experiment_id, self._entries.get(experiment_id))
        if theirs.has_folder and not ours.has_folder:
            # Only an entry is here: its merge was interrupted, or its folder was removed. The folder can be added.
            return _Relation.OTHER
        try:
            is_same = admission.is_same_files(theirs.layout, ours.layout, is_time_trusted=True)
        except FileNotFoundError:
            # Either it is only an entry there, or it runs and has just removed a file.
            is_same = not theirs.has_folder
        if is_same and self._has_same_record(theirs, ours):
            return _Relation.SAME
        return self._compare_progress(theirs, ours, is_same=is_same)

    @staticmethod
    def _has_same_record(theirs: _Found, ours: _Found) -> bool:
        if theirs.has_record or ours.has_record or theirs.problem is not None:
            return admission.is_same_record(theirs.to_staged(), ours.layout)
        return _contains(ours.entry, theirs.entry)

    def _compare_progress(self, theirs: _Found, ours: _Found, *, is_same: bool) -> _Relation:
        if theirs.record is None or ours.record is None or not _is_one_experiment(theirs.record, ours.record):
            return _Relation.OTHER
        there, here = _measure_progress(theirs), _measure_progress(ours)
        if there == here:
            # Then the records can differ only in how a reader explains that it was cut off.
            return _Relation.SAME if is_same and not there[1] else _Relation.OTHER
        if there < here:
            return _Relation.EARLIER
        has_lock = self._index.layout.run_lock(ours.layout.root.name).exists()
        is_alive = ours.record.status is Status.RUNNING and has_lock
        return _Relation.OTHER if is_alive or not theirs.has_folder else _Relation.LATER

    def _add(self, theirs: _Found, experiment_id: str) -> str | None:
        """Add an experiment, under its id or the next free one.

        Returns:
            Its id here; None if another process was faster, and it must be compared again.
        """
        if not self._is_free(theirs, experiment_id):
            if self._finds_new_candidates(experiment_id):
                return None
            experiment_id = admission.free_id(self._index.layout, experiment_id, self._entries)
        if theirs.has_folder:
            with self._staged_copy(theirs) as staged:
                try:
                    admission.admit(self._index, staged, experiment_id)
                except FileExistsError:
                    return None
            self._last_pending = experiment_id
        elif theirs.entry is not None:
            self._index.insert({**theirs.entry, "experiment_id": experiment_id})
        self._remember(experiment_id, theirs.entry)
        return experiment_id

    def _is_free(self, theirs: _Found, experiment_id: str) -> bool:
        if os.path.lexists(self._index.layout.experiment(experiment_id).root):
            return False
        entry = self._entries.get(experiment_id)
        # An entry without a folder is of an interrupted merge, or of an experiment of the legacy tool.
        return entry is None or theirs.has_record or _contains(entry, theirs.entry)

    def _replace(self, theirs: _Found, experiment_id: str) -> None:
        """Replace the earlier state of an experiment by the later one."""
        layout = self._index.layout
        former = self._entries.get(experiment_id, {"experiment_id": experiment_id})
        with self._staged_copy(theirs) as staged:
            admission.rename_record(staged, experiment_id)
            annotation_log.merge(layout.experiment(experiment_id), staged.layout)
            with self._index.removing(experiment_id):
                trashed = ExperimentLayout(trash.move_to_trash(layout, experiment_id, former))
                staging.place_folder(staged.layout.root, layout.experiment(experiment_id).root)
                # Once more: another process may have annotated the earlier state meanwhile.
                annotation_log.merge(trashed, layout.experiment(experiment_id))
            if staged.entry is not None:
                self._index.insert({**staged.entry, "experiment_id": experiment_id})
        self._remember(experiment_id, theirs.entry)

    @contextlib.contextmanager
    def _staged_copy(self, theirs: _Found) -> Iterator[StagedExperiment]:
        with staging.staged_folder(self._index.layout) as folder:
            layout = ExperimentLayout(folder)
            admission.copy_members(theirs.layout, bundle.members(theirs.layout.root), folder)
            admission.finish_copy(layout)
            yield _update_record(theirs.to_staged(layout))

    def _remember(self, experiment_id: str, entry: JsonObject | None) -> None:
        self._families[admission.family_of(experiment_id)].add(experiment_id)
        if entry is not None:
            self._entries[experiment_id] = entry


def _update_record(staged: StagedExperiment) -> StagedExperiment:
    """The staged experiment with the ending that it recorded between the comparison and the copy, if any."""
    if staged.record is None or staged.record.status is not Status.RUNNING:
        return staged
    copied = experiment_folder.read_record(staged.layout)
    return staged if copied.status is Status.RUNNING else attrs.evolve(staged, record=copied)


def _contains(ours: JsonObject | None, theirs: JsonObject | None) -> bool:
    """Whether an entry here has every field of the other entry, with the same value."""
    return theirs is None or (
        ours is not None and all(ours.get(key) == value for key, value in theirs.items() if key not in _BASE_SPECIFIC)
    )


def _is_one_experiment(one: ExperimentRecord, other: ExperimentRecord) -> bool:
    """Whether the attempts of one continue those of the other, and start, config and name are the same."""
    has_same_start = (one.timestamp, one.config, one.custom_name) == (other.timestamp, other.config, other.custom_name)
    # `bool`, because experiments of the legacy tool have no attempts.
    return (
        has_same_start
        and bool(one.attempts) == bool(other.attempts)
        and all(
            _start_of(first) == _start_of(second) for first, second in zip(one.attempts, other.attempts, strict=False)
        )
    )


def _start_of(attempt: Attempt) -> tuple[object, ...]:
    owner = attempt.owner
    return attempt.started_at, owner.host, owner.pid, owner.boot_id


def _measure_progress(found: _Found) -> tuple[int, bool, int]:
    """The number of attempts, whether the last recorded an ending, and the time of its latest change if not, in ns."""
    record = found.record
    assert record is not None
    if record.attempts:
        last = record.attempts[-1]
        is_ended = last.ended_at is not None and last.evidence is None
    else:
        is_ended = record.status not in _NOT_ENDED
    if is_ended or not found.has_folder:
        return len(record.attempts), is_ended, 0
    newest = max((member.modified_ns for member in admission.files_of(found.layout).values()), default=0)
    return len(record.attempts), is_ended, newest
