"""The index of all experiments: shared by any number of processes, rebuilt from the folders when damaged.

A writer leaves a mark with the id of its experiment, takes the lock, and brings the lines of *all* marked
experiments up to date from their own records in one rewrite. Whoever gets the lock and finds its mark gone is done:
that is what makes many writers at once cheap. A mark that nobody folded, because its writer was killed, is folded by
the next one; readers look at marks as well, so that they are always current. A mark whose folder is gone stands for
an experiment that was taken out of the base directory: its line goes.
"""

from __future__ import annotations

import contextlib
import errno
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runbook import annotation, codec, errors, files, folder, identity, index, liveness, marks
from runbook.notices import warn, warn_once
from runbook.records import ExperimentRecord, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runbook.layout import BaseLayout, ExperimentLayout
    from runbook.typing import JsonObject

LOCK_TIMEOUT_S: Final = 60.0
_UNSETTLED: Final = frozenset({Status.RUNNING.value, Status.UNKNOWN.value})
_MOST_NAMED: Final = 5
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP})
_NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Registry:
    """The index of one base directory.

    Args:
        layout: where things are.
        shown_base: the base directory as the user gave it, for the `directory` field.
    """

    def __init__(self, layout: BaseLayout, shown_base: str) -> None:
        self._layout = layout
        self._shown_base = shown_base

    @property
    def layout(self) -> BaseLayout:
        """Where things are in the base directory."""
        return self._layout

    def announce(self, experiment_id: str) -> None:
        """Mark an experiment whose record is about to change; a killed process leaves the mark for others."""
        marks.announce(self._layout, experiment_id)

    def publish(self, experiment_id: str) -> None:
        """Bring the line of an experiment up to date with its record, which has been written.

        A lock that cannot be had is said and is no error: the record is in its folder, readers see it
        by its mark, and the next writer brings the line up to date.

        Raises:
            OSError: if the registry could not be written.
        """
        # Again, after the record was written: a mark from before may have been folded with the old record.
        self.announce(experiment_id)
        import filelock

        if marks.is_locked_here(self._layout):
            # A signal handler has interrupted this very thread while it folds, and its mark is seen when that goes on.
            return
        try:
            with marks.locked(self._layout, LOCK_TIMEOUT_S):
                while marks.is_marked(self._layout, experiment_id):
                    self._fold()
        except filelock.Timeout:
            warn(
                f"another process has held {self._layout.registry_lock} for {LOCK_TIMEOUT_S:.0f} s, so "
                f"{self._layout.registry} does not show the latest of {experiment_id} yet; "
                "nothing is lost, and the next experiment or listing brings it up to date"
            )
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            warn_once(
                f"no locks in {self._layout.root}",
                f"the disk of {self._layout.root} has no file locks ({error.strerror}), so {self._layout.registry} is "
                "not brought up to date; nothing is lost: listings read the experiments from their folders",
            )

    @contextlib.contextmanager
    def moving(self, experiment_id: str) -> Iterator[None]:
        """A block in which the folder of an experiment leaves the base directory; its line follows when it ends.

        It is marked under the lock, where nobody folds the mark before the folder has gone: a process that is killed
        in the block leaves a mark without a folder, and the next one takes the line out.

        Raises:
            filelock.Timeout: if another process holds the lock for too long; the block has not begun then.
            OSError: if the registry could not be written; the folder has moved then.
        """
        with contextlib.ExitStack() as stack:
            is_locked = self._try_to_lock(stack)
            self.announce(experiment_id)
            yield
            if is_locked:
                self._fold()

    def _try_to_lock(self, stack: contextlib.ExitStack) -> bool:
        """Whether the lock was taken; False on a disk without locks, where nobody folds marks, and readers see them."""
        try:
            stack.enter_context(marks.locked(self._layout, LOCK_TIMEOUT_S))
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return False
        return True

    def adopt(self, entry: JsonObject) -> None:
        """Take over a line from elsewhere: all there is of an experiment of the seed's tool beside its files.

        Fields that the index has of that id already, and the line has not, are kept.

        Args:
            entry: the line; its `directory` is replaced by the one here.

        Raises:
            filelock.Timeout: if another process holds the lock for too long.
            OSError: if the registry could not be written.
        """
        experiment_id = str(entry["experiment_id"])
        with marks.locked(self._layout, LOCK_TIMEOUT_S):
            raw = self._spliceable()
            old = index.find(raw, experiment_id) or {}
            line = {**old, **entry, "directory": self._directory(experiment_id)}
            files.write_whole(self._layout.registry, index.splice(raw, line), is_locked=True)

    def record(self, experiment_id: str) -> ExperimentRecord:
        """The record of an experiment, true at this moment: one whose process is dead has ended.

        Raises:
            FileNotFoundError: if the folder has none.
            DamagedFileError: if it cannot be understood.
            NewerFormatError: if a newer runbook wrote it in a way that this one cannot read.
        """
        layout = self._layout.experiment(experiment_id)
        record = folder.read_record(layout)
        if record.status is not Status.RUNNING or not record.attempts:
            return record
        verdict = liveness.judge(record.attempts[-1].owner, self._layout.life_lock(experiment_id))
        if verdict.state is not liveness.State.DEAD:
            return record
        # It may have ended in the usual way between the first look at its record and the look at its process.
        record = folder.read_record(layout)
        return liveness.vanished(record, layout, verdict) if record.status is Status.RUNNING else record

    def claim(self, experiment_id: str, change: Callable[[ExperimentRecord], ExperimentRecord]) -> ExperimentRecord:
        """Change the record of an experiment that nobody works on; of several processes, one at a time.

        Args:
            experiment_id: which.
            change: gives the new record, or raises when it may not be changed.

        Returns:
            The new record, which is on disk; `publish` is still to be called.

        Raises:
            filelock.Timeout: if another process holds the registry's lock for longer than `LOCK_TIMEOUT_S`.
        """
        with marks.locked(self._layout, LOCK_TIMEOUT_S):
            record = change(self.record(experiment_id))
            self.announce(experiment_id)
            folder.write_record(self._layout.experiment(experiment_id), record)
        return record

    def _bury(self, experiment_id: str) -> None:
        """Write down the end of an experiment whose process is dead; the lock must be held."""
        layout = self._layout.experiment(experiment_id)
        # A record that cannot be read or written stays as it is; whoever looks next finds the same.
        with contextlib.suppress(OSError, errors.DamagedFileError, errors.NewerFormatError):
            record = self.record(experiment_id)
            if record.status is Status.INTERRUPTED and folder.read_record(layout).status is Status.RUNNING:
                folder.write_record(layout, record)
                with contextlib.suppress(FileNotFoundError):
                    self._layout.life_lock(experiment_id).unlink()

    def entries(self) -> list[JsonObject]:
        """The lines of all experiments, oldest first, current to this moment.

        What the index lacks is adopted from the folders, and written back where that is possible. An experiment whose
        folder is gone is left out: its line stays, for when the folder returns. One of the seed's tool is shown all
        the same, unless it lies in the trash, because its line is what there is of it.

        Raises:
            BaseDirectoryError: if the base directory is a file.
        """
        self.check()
        try:
            raw = self._read()
            entries = index.decode(raw, self._layout.registry)
            stale = self._stale(entries)
        except errors.DamagedFileError:
            return self._repaired()
        current = self._overlaid(entries, stale)
        if current != entries:
            self._write_back()
        named = [entry for entry in current if identity.is_folder_name(str(entry["experiment_id"]))]
        return [self._shown(entry) for entry in _by_age(self._placed(named))]

    def check(self) -> None:
        """Refuse a base directory that is none.

        Raises:
            BaseDirectoryError: if it is a file.
        """
        if self._layout.root.exists() and not self._layout.root.is_dir():
            raise errors.BaseDirectoryError(self._layout.root, "is a file")

    def mend(self) -> None:
        """Bring every line up to date with its folder, whatever it takes.

        Raises:
            filelock.Timeout: if another process holds the lock for too long.
            OSError: if it cannot be written.
        """
        with marks.locked(self._layout, LOCK_TIMEOUT_S):
            raw = self._spliceable(verify=True)
            entries = index.decode(raw, self._layout.registry)
            current = self._overlaid(entries, self._stale(entries) | self.folders())
            whole = index.encode(current, index.others_of(raw, self._layout.registry))
            files.write_whole(self._layout.registry, whole, is_locked=True)
            for entry in current:
                self._bury(str(entry["experiment_id"]))
        self.entries()

    def _placed(self, entries: list[JsonObject]) -> list[JsonObject]:
        """The entries without those whose folder is gone."""
        folders = self.folders()
        gone = {
            str(entry["experiment_id"])
            for entry in entries
            if entry["experiment_id"] not in folders and self._is_gone(str(entry["experiment_id"]))
        }
        if not gone:
            return entries
        in_trash = self._trashed()
        # Only we write an end reason: of these, what the line says is a copy of what the folder said.
        hidden = {str(entry["experiment_id"]) for entry in entries if "end_reason" in entry} & gone
        missing = sorted(hidden - in_trash)
        if missing:
            warn_once(
                f"gone {self._layout.root} {missing}",
                f"{self._layout.registry} has {len(missing)} experiments whose folders are gone, and which are not "
                f"listed until the folders return: {', '.join(missing[:_MOST_NAMED])}"
                f"{' …' if len(missing) > _MOST_NAMED else ''}",
            )
        return [entry for entry in entries if str(entry["experiment_id"]) not in hidden | (gone & in_trash)]

    def _is_gone(self, experiment_id: str) -> bool:
        # Only what is said to be absent is gone: a disk that fails, or refuses, proves nothing.
        try:
            os.lstat(self._layout.experiment(experiment_id).root)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return False

    def _trashed(self) -> set[str]:
        try:
            return {self._layout.trashed_id(Path(name)) for name in os.listdir(self._layout.trash)}
        except OSError:
            return set()

    def _read(self) -> bytes:
        try:
            return self._layout.registry.read_bytes()
        except FileNotFoundError:
            return index.EMPTY
        except OSError as error:
            if error.errno not in {errno.EISDIR, errno.ELOOP}:
                raise
            raise errors.DamagedFileError(self._layout.registry, f"it is no file ({error.strerror})") from error

    def _shown(self, entry: JsonObject) -> JsonObject:
        # The directory in the file is where the experiment was when its line was written; it may have moved since.
        experiment_id = str(entry["experiment_id"])
        # Likewise, a program may have changed its working directory since it named a relative base directory.
        moved = Path(self._shown_base).expanduser().absolute() != self._layout.root
        directory = str(self._layout.root / experiment_id) if moved else self._directory(experiment_id)
        return {**entry, "directory": directory}

    def _directory(self, experiment_id: str) -> str:
        return os.path.join(self._shown_base, experiment_id)  # noqa: PTH118 - Path would drop the seed's "./"

    def _stale(self, entries: list[JsonObject]) -> set[str]:
        """The ids whose line may differ from their record: marked, running, or not in the index at all."""
        listed = {str(entry["experiment_id"]) for entry in entries}
        unsettled = {str(entry["experiment_id"]) for entry in entries if str(entry.get("status")) in _UNSETTLED}
        # An id from the file may be anything, and becomes a path here.
        safe = {experiment_id for experiment_id in unsettled if identity.is_folder_name(experiment_id)}
        return marks.marked(self._layout) | safe | (self.folders() - listed)

    def _is_withdrawn(self, experiment_id: str) -> bool:
        return self._is_gone(experiment_id) and marks.is_marked(self._layout, experiment_id)

    def folders(self) -> set[str]:
        """The ids for which there is a folder."""
        try:
            names = os.listdir(self._layout.root)
            return {name for name in names if identity.is_id(name) or identity.is_id_of_the_seed(name)}
        except FileNotFoundError:
            return set()

    def _overlaid(self, entries: list[JsonObject], stale: Iterable[str]) -> list[JsonObject]:
        """The entries with those of `stale` ids brought up to date, or added in the order of their start."""
        by_id = {str(entry["experiment_id"]): entry for entry in entries}
        for experiment_id in sorted(stale):
            entry = self._entry_from_folder(experiment_id, by_id.get(experiment_id, {}))
            if entry is not None:
                by_id[experiment_id] = entry
            elif self._is_withdrawn(experiment_id):
                by_id.pop(experiment_id, None)
        return list(by_id.values())

    def _entry_from_folder(self, experiment_id: str, old: JsonObject) -> JsonObject | None:
        """The line that an experiment's own folder calls for; None when the folder says nothing.

        Args:
            experiment_id: which.
            old: its line in the index, as far as there is one; fields that only it knows are kept.
        """
        layout = self._layout.experiment(experiment_id)
        # Where the base directory has several paths, the line keeps the one under which it was first written.
        directory = str(old.get("directory") or self._directory(experiment_id))
        try:
            record = self.record(experiment_id)
        except (FileNotFoundError, NotADirectoryError):
            # The seed's tool wrote no record. One of ours that is just being made has no config.json yet.
            if old or not layout.config.is_file():
                return None
        except (errors.DamagedFileError, errors.NewerFormatError, OSError) as error:
            warn_once(f"damaged {layout.root}", f"{experiment_id}: {error}")
        else:
            return {**old, **codec.registry_entry(annotation.annotated(record, layout), directory)}
        config = old.get("config") or self._config_of(layout)
        unknown = ExperimentRecord(
            experiment_id=experiment_id,
            timestamp=identity.time_of(experiment_id) or _NO_TIME,
            status=Status.UNKNOWN,
            config=config if isinstance(config, dict) else {},
            config_hash=experiment_id[-8:],
        )
        return {**codec.registry_entry(unknown, directory), **old, "status": Status.UNKNOWN.value}

    def _config_of(self, layout: ExperimentLayout) -> JsonObject:
        try:
            return folder.read_object(layout.config)
        except (errors.DamagedFileError, OSError):
            return {}

    def _fold(self) -> None:
        """Bring the lines of all marked experiments up to date; the lock must be held."""
        marked = marks.take(self._layout)
        for experiment_id in marked:
            self._bury(experiment_id)
        raw = self._spliceable()
        try:
            raw = self._spliced(raw, marked)
        except errors.DamagedFileError as error:
            raw = index.encode(self._set_aside(error))
        files.write_whole(self._layout.registry, raw, is_locked=True)
        marks.settle(self._layout, marked)

    def _spliced(self, raw: bytes, marked: Iterable[str]) -> bytes:
        for experiment_id in sorted(marked):
            old = index.find(raw, experiment_id) or {}
            entry = self._entry_from_folder(experiment_id, old)
            if entry is not None:
                raw = index.splice(raw, entry)
            elif self._is_withdrawn(experiment_id):
                raw = index.remove(raw, experiment_id)
        return raw

    def _spliceable(self, *, verify: bool = False) -> bytes:
        """The registry in our form, whatever is there now; the lock must be held.

        Args:
            verify: decode every line of it, too, which costs time in proportion to its size.
        """
        try:
            raw = self._read()
            if index.is_spliceable(raw) and not verify:
                return raw
            entries = index.decode(raw, self._layout.registry)
            return (
                raw if index.is_spliceable(raw) else index.encode(entries, index.others_of(raw, self._layout.registry))
            )
        except errors.DamagedFileError as error:
            return index.encode(self._set_aside(error))

    def _set_aside(self, error: Exception) -> list[JsonObject]:
        """Move a damaged registry out of the way and give its entries anew; the lock must be held."""
        entries = self._rebuilt()
        aside = self._layout.registry.with_name(
            f"{self._layout.registry.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
        )
        self._layout.registry.rename(aside)
        warn(
            f"{self._layout.registry} could not be understood ({_problem(error)}); it was moved to {aside.name} "
            f"and rebuilt from the folders: {len(entries)} experiments"
        )
        return entries

    def _rebuilt(self) -> list[JsonObject]:
        try:
            salvaged = index.salvage(self._read())
        except errors.DamagedFileError:
            salvaged = []
        listed = [entry for entry in salvaged if identity.is_folder_name(str(entry["experiment_id"]))]
        everything = self.folders() | {str(entry["experiment_id"]) for entry in listed}
        current = self._overlaid(listed, everything)
        return sorted(current, key=lambda entry: str(entry["experiment_id"]))

    def _repaired(self) -> list[JsonObject]:
        """The entries of a base directory whose registry is damaged, after mending it where possible."""
        import filelock

        try:
            with marks.locked(self._layout, LOCK_TIMEOUT_S):
                files.write_whole(self._layout.registry, self._spliceable(verify=True), is_locked=True)
        except (filelock.Timeout, OSError) as error:
            warn_once(
                f"unmended {self._layout.registry}",
                f"{self._layout.registry} is damaged and could not be mended ({_problem(error)}); "
                "the experiments are read from their folders",
            )
            return [self._shown(entry) for entry in self._rebuilt()]
        return self.entries()

    def _write_back(self) -> None:
        """Give others the benefit of what a reader found out, where it is possible without waiting."""
        import filelock

        # A base directory that cannot be written to, or is busy, is read all the same.
        with contextlib.suppress(filelock.Timeout, OSError), marks.locked(self._layout, 0):
            entries = index.decode(self._spliceable(), self._layout.registry)
            for experiment_id in self._stale(entries):
                # A mark without a folder would mean that the experiment has been taken away.
                if not self._is_gone(experiment_id):
                    self.announce(experiment_id)
            self._fold()


def _by_age(entries: list[JsonObject]) -> list[JsonObject]:
    """Entries by the time in their ids; those of the seed's tool stay in the order in which it listed them."""
    in_order = [entry for entry in entries if "end_reason" not in entry]
    for entry in sorted((entry for entry in entries if "end_reason" in entry), key=_age):
        place = len(in_order)
        while place and _age(in_order[place - 1]) > _age(entry):
            place -= 1
        in_order.insert(place, entry)
    return in_order


def _age(entry: JsonObject) -> str:
    return str(entry["experiment_id"])[:15]


def _problem(error: Exception) -> str:
    return error.problem if isinstance(error, errors.DamagedFileError) else str(error)
