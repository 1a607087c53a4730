"""The JSON registry: the index in one file, shared by any number of processes and always current.

A writer marks its experiment as pending, takes the lock, and brings the entries of *all* pending experiments up to
date from their own records in one rewrite. A writer that gets the lock and finds its mark gone is done, which makes
many writers at once cheap. If a writer is killed, the next one applies what it left pending. Readers look at the
records of pending experiments too, so they are always current. A pending experiment without a folder was taken out of
the base directory, so its entry goes.

A rewrite takes time in proportion to the size of the registry. A small registry is brought up to date with each
change. In a large one changes stay pending until a rewrite is worth it, a program ends, or somebody reads: `_is_due`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from runbook import errors
from runbook.index import pending, registry_format
from runbook.index.folders import Folders, by_age
from runbook.index.protocol import LOCK_TIMEOUT_S, Inspection
from runbook.index.registry_file import IndexFile
from runbook.messages import warn, warn_once
from runbook.record import identifiers
from runbook.record.status import Status
from runbook.serialize import gc_pause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import TypeAlias

    from runbook.record.layout import BaseLayout
    from runbook.record.model import ExperimentRecord
    from runbook.typing import Entry, JsonObject

    Pick: TypeAlias = Callable[[Iterable[JsonObject]], Iterable[JsonObject]]

_UNSETTLED: Final = (Status.RUNNING.value, Status.UNKNOWN.value)
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP})
_BYTES_A_MARK: Final = 128 * 1024
"""How many bytes may be written for one change: more than a hundred entries."""
_BYTES_A_SECOND: Final = 10_000_000
"""How many bytes may be written at the ends of programs for each second that passes."""
_HEAD: Final = ("experiment_id", "timestamp", "custom_name", "end_reason")


class JsonRegistry:
    """The index of one base directory; `runbook.index.protocol.Index` says what each method promises.

    Args:
        layout: where things are.
        shown_base: the base directory as the user gave it, for the `directory` field.
    """

    def __init__(self, layout: BaseLayout, shown_base: str) -> None:
        self._layout = layout
        self._folders = Folders(layout, shown_base)
        self._file = IndexFile(layout, self._folders)

    @property
    def layout(self) -> BaseLayout:
        """Where things are in the base directory."""
        return self._layout

    def mark_pending(self, experiment_id: str) -> None:
        """Mark an experiment whose record is about to change; if the process is killed, others find the mark."""
        pending.mark(self._layout, experiment_id)

    def apply(self, experiment_id: str, written: ExperimentRecord | None = None) -> None:
        """Bring the entry of an experiment up to date with its record, which has been written.

        In a large registry that may be left to a later call, to `settle`, or to the next reader.

        If the lock cannot be had, that is a warning: the record is in its folder, readers find it
        by its mark, and the next writer brings the entry up to date.

        Args:
            experiment_id: which.
            written: its record, where the caller has just written it; it is not read again then.

        Raises:
            OSError: if the registry could not be written.
        """
        import filelock

        # A rewrite that a signal handler of the program has interrupted goes on when the handler returns.
        if pending.is_locked_here(self._layout) or not self._is_due():
            self.mark_pending(experiment_id)
            return
        try:
            if not self._apply_now(experiment_id, written):
                # Another process may have cleared an earlier mark with the old record.
                self.mark_pending(experiment_id)
                self._apply_when_unlocked(experiment_id)
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

    def _apply_now(self, experiment_id: str, written: ExperimentRecord | None) -> bool:
        """Bring the entry of an experiment up to date where nobody else holds the lock; that needs no mark.

        Returns:
            Whether that was done.
        """
        import filelock

        try:
            with pending.locked(self._layout, 0):
                self._apply_pending({experiment_id: written})
        except filelock.Timeout:
            return False
        except BaseException:
            # The entry is out of date, and others have to find that out.
            with contextlib.suppress(OSError):
                self.mark_pending(experiment_id)
            raise
        return True

    def _apply_when_unlocked(self, experiment_id: str) -> None:
        """Apply a pending experiment, unless another process does it first.

        Raises:
            filelock.Timeout: if other processes hold the lock for too long and do not apply it.
        """
        import filelock

        end = time.monotonic() + LOCK_TIMEOUT_S
        while pending.is_marked(self._layout, experiment_id):
            try:
                with pending.locked(self._layout, 0):
                    # Once only: an experiment that cannot be read whole is marked again at once.
                    if pending.is_marked(self._layout, experiment_id):
                        self._apply_pending()
                    return
            except filelock.Timeout:
                if time.monotonic() > end:
                    raise
                # The process that holds the lock may be applying ours as well.
                pending.wait_until_cleared(self._layout, experiment_id)

    def _is_due(self) -> bool:
        """Whether enough changes are pending for a rewrite; in a small registry one is enough."""
        try:
            size = os.stat(self._layout.registry).st_size  # noqa: PTH116 - one of two on the way of every experiment
        except OSError:
            return True
        return size < _BYTES_A_MARK or (pending.count(self._layout) + 1) * _BYTES_A_MARK > size

    def flush(self) -> None:
        """Bring the registry up to date at the end of a program, unless that was done just before.

        It waits for nobody and raises nothing. What stays pending is left to the next program or reader.
        """
        import filelock

        with contextlib.suppress(filelock.Timeout, OSError):
            found = os.stat(self._layout.registry)  # noqa: PTH116 - as above
            # A sweep ends many programs; one of them now and then does it for all.
            if time.time() - found.st_mtime < found.st_size / _BYTES_A_SECOND or not pending.count(self._layout):
                return
            with pending.locked(self._layout, 0):
                self._apply_pending()

    @contextlib.contextmanager
    def removing(self, experiment_id: str) -> Iterator[None]:
        """A block in which the folder of an experiment leaves the base directory; its entry goes when the block ends.

        The experiment is marked under the lock, so nobody clears the mark before the folder has gone. If the process
        is killed in the block, a mark without a folder stays, and the next process takes the entry out.

        Raises:
            filelock.Timeout: if another process holds the lock for too long; the block has not begun then.
            OSError: if the registry could not be written; the folder has moved then.
        """
        with contextlib.ExitStack() as stack:
            is_locked = self._try_to_lock(stack)
            self.mark_pending(experiment_id)
            yield
            if is_locked:
                self._apply_pending()

    def _try_to_lock(self, stack: contextlib.ExitStack) -> bool:
        """Whether the lock was taken; False on a disk without locks, where readers find what is pending."""
        try:
            stack.enter_context(pending.locked(self._layout, LOCK_TIMEOUT_S))
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return False
        return True

    def insert(self, entry: JsonObject) -> None:
        """Put in an entry from elsewhere; fields that only the present entry of that id has are kept.

        Of an experiment of the legacy tool the entry is all there is beside its files.

        Args:
            entry: the entry; its `directory` is replaced by the one here.

        Raises:
            filelock.Timeout: if another process holds the lock for too long.
            OSError: if the registry could not be written.
        """
        experiment_id = str(entry["experiment_id"])
        with pending.locked(self._layout, LOCK_TIMEOUT_S):
            raw = self._file.with_entry_lines()
            chosen = registry_format.EntryEditor(raw, [experiment_id])
            old = chosen.entries().get(experiment_id, {})
            line = {**old, **entry, "directory": self._folders.directory(experiment_id)}
            self._file.write(chosen.replaced({experiment_id: line}))

    def update_entry(self, experiment_id: str, change: Callable[[JsonObject | None], JsonObject | None]) -> None:
        """Change the entry of an experiment that has no record; of several processes, one at a time.

        Args:
            experiment_id: which.
            change: takes the present entry, None where there is none, and gives fields to replace, or None to leave it.

        Raises:
            filelock.Timeout: if another process holds the lock for too long.
            OSError: if the registry could not be written.
        """
        with pending.locked(self._layout, LOCK_TIMEOUT_S):
            changed = change(next(iter(self.entries(lambda entry: entry["experiment_id"] == experiment_id)), None))
            if changed is not None:
                self.insert({**changed, "experiment_id": experiment_id})

    def update_record(
        self, experiment_id: str, change: Callable[[ExperimentRecord], ExperimentRecord]
    ) -> ExperimentRecord:
        """Change the record of an experiment that nobody works on; of several processes, one at a time.

        Args:
            experiment_id: which.
            change: gives the new record, or raises when it may not be changed.

        Returns:
            The new record, which is on disk; `publish` is still to be called.

        Raises:
            filelock.Timeout: if another process holds the registry's lock for longer than `LOCK_TIMEOUT_S`.
        """
        from runbook.storage import current_record, experiment_folder

        with pending.locked(self._layout, LOCK_TIMEOUT_S):
            record = change(current_record.read_current(self._layout, experiment_id))
            self.mark_pending(experiment_id)
            experiment_folder.write_record(self._layout.experiment(experiment_id), record)
        return record

    def entries(self, is_wanted: Callable[[Entry], bool] | None = None) -> list[JsonObject]:
        """The entries of all experiments, oldest first, current to this moment.

        What the registry lacks is read from the folders, and written back where that is possible. An experiment whose
        folder is gone is left out, and its entry stays in the file for when the folder returns. An experiment of the
        legacy tool is listed all the same, unless it lies in the trash, because its entry is all there is of it.

        Args:
            is_wanted: a test that is called for each entry as soon as it is read, in no order and maybe twice, so
                that the other entries need no memory; None takes all.

        Raises:
            BaseDirectoryError: if the base directory is a file.
        """
        return self._picked(lambda entries: entries if is_wanted is None else filter(is_wanted, entries))

    def summaries(self) -> list[JsonObject]:
        """The same with nothing but the id, the start and the name of each, which needs a quarter of the memory.

        Raises:
            BaseDirectoryError: if the base directory is a file.
        """
        return self._picked(lambda entries: [{key: entry[key] for key in _HEAD if key in entry} for entry in entries])

    def _picked(self, pick: Pick) -> list[JsonObject]:
        """What `pick` takes of the entries, by age."""
        self.check()
        with gc_pause.pause_gc():
            try:
                return self._current(self._file.blocks(), pick)
            except errors.DamagedFileError:
                # Maybe in the form of another program.
                pass
            try:
                return self._current([self._file.entries()], pick)
            except errors.DamagedFileError:
                return self._repaired(pick)

    def _current(self, blocks: Iterable[dict[str, JsonObject]], pick: Pick) -> list[JsonObject]:
        # First: what another process applies from now on is in the file, which is read afterwards.
        marked = pending.list_marked(self._layout)
        names = self._folders.names()
        stale = set(marked)
        listed: dict[str, None] = {}
        doubtful: dict[str, JsonObject] = {}
        found: list[JsonObject] = []
        for block in blocks:
            listed |= dict.fromkeys(block)
            unsettled = self._unsettled(block)
            stale |= unsettled
            doubtful |= {one: block.pop(one) for one in unsettled | (block.keys() & marked) | (block.keys() - names)}
            found += pick(self._folders.completed(block.values()))
        stale |= self._folders.unlisted(names, listed)
        fresh = self._folders.fresh(doubtful, stale)
        changed = [one for one, entry in fresh.items() if doubtful.get(one) != entry]
        if changed:
            self._write_back(changed)
        rest = self._folders.placed(_overlaid(doubtful, fresh), names)
        found += pick(self._folders.completed(rest))
        if any("end_reason" not in entry for entry in rest):
            # Experiments of the legacy tool keep the order of the file.
            places = {one: place for place, one in enumerate(listed)}
            found.sort(key=lambda entry: places.get(str(entry["experiment_id"]), len(places)))
        return by_age(found)

    def check(self) -> None:
        """Refuse a base directory that is none.

        Raises:
            BaseDirectoryError: if it is a file.
        """
        if self._layout.root.exists() and not self._layout.root.is_dir():
            raise errors.BaseDirectoryError(self._layout.root, "is a file")

    def rebuild(self) -> None:
        """Bring every entry up to date with its folder, whatever it costs.

        Raises:
            filelock.Timeout: if another process holds the lock for too long.
            OSError: if it cannot be written.
        """
        with pending.locked(self._layout, LOCK_TIMEOUT_S):
            raw = self._file.with_entry_lines(verify=True)
            old = registry_format.decode(raw, self._layout.registry)
            claimed = pending.claim_marks(self._layout)
            everything = self._unsettled(old) | claimed | self._folders.ids()
            current = _overlaid(old, self._folders.fresh(old, everything, record_deaths=True))
            whole = registry_format.encode(
                current.values(), registry_format.read_other_fields(raw, self._layout.registry)
            )
            self._file.write(whole)
            pending.clear_marks(self._layout, claimed)
        self.entries()

    def _unsettled(self, by_id: Mapping[str, Entry]) -> set[str]:
        """The ids whose entries may differ from their records without being pending."""
        unsettled = [experiment_id for experiment_id, entry in by_id.items() if entry.get("status") in _UNSETTLED]
        # An id from the file may be anything, and becomes a path here.
        return {experiment_id for experiment_id in unsettled if identifiers.is_folder_name(experiment_id)}

    def folders(self) -> set[str]:
        """The ids for which there is a folder."""
        return self._folders.ids()

    def inspect(self) -> Inspection:
        """What is stored, without a look at the folders.

        Raises:
            OSError: if the pending entries cannot be listed.
        """
        waiting = frozenset(pending.list_marked(self._layout))
        try:
            raw = self._layout.registry.read_bytes()
            entries = [*registry_format.decode(raw, self._layout.registry).values()]
        except FileNotFoundError:
            return Inspection([], is_missing=True, damage=None, has_duplicates=False, pending=waiting)
        except (OSError, errors.DamagedFileError) as error:
            damage = error.problem if isinstance(error, errors.DamagedFileError) else str(error)
            return Inspection([], is_missing=False, damage=damage, has_duplicates=False, pending=waiting)
        # Decoding each entry by itself takes long, and the count says at once that there is no need.
        may_repeat = raw.count(b'"experiment_id"') > len(entries)
        has_duplicates = may_repeat and len(entries) < len(registry_format.recover(raw))
        return Inspection(entries, is_missing=False, damage=None, has_duplicates=has_duplicates, pending=waiting)

    def _apply_pending(self, also: Mapping[str, ExperimentRecord | None] = MappingProxyType({})) -> None:
        """Bring the entries of all pending experiments up to date; the lock must be held.

        Args:
            also: more experiments by their ids, with the record where the caller has just written it.
        """
        taken = pending.claim_marks(self._layout)
        marked = taken.union(also)
        raw = self._file.with_entry_lines()
        try:
            chosen = registry_format.EntryEditor(raw, marked)
            raw = chosen.replaced(self._folders.fresh(chosen.entries(), marked, written=also, record_deaths=True))
        except errors.DamagedFileError as error:
            raw = registry_format.encode(self._file.quarantine(error))
        # A power cut may bring the former registry back, whole. What it lacks is in the folders, which are durable,
        # and the next reader finds it there. So the directory need not be flushed.
        self._file.write(raw, sync_directory=False)
        pending.clear_marks(self._layout, taken)

    def _repaired(self, pick: Pick) -> list[JsonObject]:
        """The entries of a base directory whose registry is damaged, after mending it where possible."""
        import filelock

        try:
            with pending.locked(self._layout, LOCK_TIMEOUT_S):
                self._file.write(self._file.with_entry_lines(verify=True))
        except (filelock.Timeout, OSError) as error:
            warn_once(
                f"unmended {self._layout.registry}",
                f"{self._layout.registry} is damaged and could not be mended ({error}); "
                "the experiments are read from their folders",
            )
            return by_age(pick(self._folders.completed(self._file.rebuilt())))
        return self._current([self._file.entries()], pick)

    def _write_back(self, changed: Iterable[str]) -> None:
        """Write down what a reader found out, where that is possible without waiting.

        Args:
            changed: the ids whose entries differ from what their folders say.
        """
        import filelock

        # A base directory that is busy, or cannot be written to, can be read all the same.
        with contextlib.suppress(filelock.Timeout, OSError), pending.locked(self._layout, 0):
            for experiment_id in changed:
                # A mark without a folder would mean that the experiment has been taken away.
                if not self._folders.is_gone(experiment_id):
                    self.mark_pending(experiment_id)
            self._apply_pending()


def _overlaid(by_id: Mapping[str, JsonObject], fresh: Mapping[str, JsonObject | None]) -> dict[str, JsonObject]:
    """The entries with those brought up to date that have changed, and those left out that have been taken away."""
    overlaid = {**by_id, **fresh}
    return {experiment_id: entry for experiment_id, entry in overlaid.items() if entry is not None}
