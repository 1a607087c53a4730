"""The folders of a base directory, and which entries are listed for them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from runbook import errors
from runbook.index import pending
from runbook.messages import warn_once
from runbook.record import identifiers
from runbook.serialize import json_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from runbook.record.layout import BaseLayout
    from runbook.record.model import ExperimentRecord
    from runbook.typing import Entry, JsonObject

_MOST_NAMED: Final = 5


class Folders:
    """The folders of one base directory.

    Args:
        layout: where things are.
        shown_base: the base directory as the user gave it, for the `directory` field.
    """

    def __init__(self, layout: BaseLayout, shown_base: str) -> None:
        self._layout = layout
        self._shown_base = shown_base

    def names(self) -> set[str]:
        """Everything that lies in the base directory."""
        try:
            return set(os.listdir(self._layout.root))
        except FileNotFoundError:
            return set()

    def unlisted(self, names: set[str], listed: Iterable[str]) -> set[str]:
        """The ids among some names that are not listed.

        Args:
            names: what lies in the base directory.
            listed: ids.
        """
        return {name for name in names.difference(listed) if identifiers.is_id(name) or identifiers.is_legacy_id(name)}

    def ids(self) -> set[str]:
        """The ids for which there is a folder."""
        return self.unlisted(self.names(), ())

    def is_gone(self, experiment_id: str) -> bool:
        """Whether there is no folder of an experiment."""
        # Only "no such file" proves that it is gone; another error of the disk proves nothing.
        try:
            os.lstat(self._layout.experiment(experiment_id).root)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return False

    def trashed(self) -> set[str]:
        """The ids of the experiments in the trash."""
        try:
            return {self._layout.trashed_id(Path(name)) for name in os.listdir(self._layout.trash)}
        except OSError:
            return set()

    def placed(self, by_id: Mapping[str, JsonObject], names: AbstractSet[str]) -> list[JsonObject]:
        """The entries without those whose folder is gone, or whose id can be no folder here.

        Args:
            by_id: entries by their ids.
            names: what lies in the base directory.
        """
        absent = by_id.keys() - names
        if not absent:
            return list(by_id.values())
        # An id from the file may be anything, and becomes a path here.
        odd = {experiment_id for experiment_id in absent if not identifiers.is_folder_name(experiment_id)}
        gone = {experiment_id for experiment_id in absent - odd if self.is_gone(experiment_id)}
        in_trash = self.trashed() if gone else set()
        # Only we write an end reason, so these entries are copies of what the folders said.
        hidden = {experiment_id for experiment_id in gone if "end_reason" in by_id[experiment_id]}
        missing = sorted(hidden - in_trash)
        if missing:
            warn_once(
                f"gone {self._layout.root} {missing}",
                f"{self._layout.registry} has {len(missing)} experiments whose folders are gone, and which are not "
                f"listed until the folders return: {', '.join(missing[:_MOST_NAMED])}"
                f"{' …' if len(missing) > _MOST_NAMED else ''}",
            )
        left_out = odd | hidden | (gone & in_trash)
        return [entry for experiment_id, entry in by_id.items() if experiment_id not in left_out]

    def completed(self, entries: Collection[JsonObject]) -> Collection[JsonObject]:
        """The same entries with the fields that are not stored, or may be out of date.

        The directory is where the experiment is now: it may have moved since the entry was written. The legacy tool
        stored no metrics: those of its experiments are read from their folders.
        """
        root = self._shown_root()
        for entry in entries:
            experiment_id = str(entry["experiment_id"])
            entry["directory"] = root + experiment_id
            if "metrics" not in entry:
                with contextlib.suppress(OSError, errors.DamagedFileError):
                    entry["metrics"] = self._saved_metrics(experiment_id)
        return entries

    def _saved_metrics(self, experiment_id: str) -> JsonObject:
        from runbook.serialize.jsonable import numbers_of

        return numbers_of(json_text.read_object(self._layout.experiment(experiment_id).final_summary))

    def fresh(
        self,
        old: Mapping[str, JsonObject],
        stale: Iterable[str],
        written: Mapping[str, ExperimentRecord | None] = MappingProxyType({}),
        *,
        record_deaths: bool = False,
    ) -> dict[str, JsonObject | None]:
        """The entries that the folders call for; None where one was taken away, no key where a folder tells nothing.

        Args:
            old: the present entries of these experiments, as far as there are any.
            stale: the ids of the experiments whose entries may be out of date.
            written: records that need not be read.
            record_deaths: whether to record the ends of those whose process is dead; that needs the lock.
        """
        fresh: dict[str, JsonObject | None] = {}
        for experiment_id in sorted(stale):
            line, record = old.get(experiment_id, {}), written.get(experiment_id)
            entry = self._entry(experiment_id, line, record, record_deaths=record_deaths)
            if entry is not None or self._is_withdrawn(experiment_id):
                fresh[experiment_id] = entry
        return fresh

    def _entry(
        self,
        experiment_id: str,
        old: JsonObject,
        written: ExperimentRecord | None = None,
        *,
        record_deaths: bool = False,
    ) -> JsonObject | None:
        """The entry that the folder of an experiment calls for; None where the folder tells nothing.

        Args:
            experiment_id: which.
            old: its present entry, as far as there is one; fields that only this entry has are kept.
            written: its record, from the process that writes it; None reads it and checks whether the process is alive.
            record_deaths: whether the end of one whose process is dead is recorded as well; that needs the lock.
        """
        # Records, and the check for a live process, take longer to import than ten thousand entries take to read.
        from runbook.index import folder_entry

        # Where the base directory has several paths, the entry keeps the first.
        directory = str(old.get("directory") or self.directory(experiment_id))
        return folder_entry.entry_of_folder(
            self._layout, experiment_id, directory, old, written, record_deaths=record_deaths
        )

    def _is_withdrawn(self, experiment_id: str) -> bool:
        return self.is_gone(experiment_id) and pending.is_marked(self._layout, experiment_id)

    def directory(self, experiment_id: str) -> str:
        """The folder of an experiment below the base directory as the user gave it."""
        return os.path.join(self._shown_base, experiment_id)  # noqa: PTH118 - Path would drop the legacy "./"

    def _shown_root(self) -> str:
        """What comes before an id in the path of an experiment's folder, with the separator.

        A program may have changed its working directory since it named a relative base directory.
        """
        has_moved = Path(self._shown_base).expanduser().absolute() != self._layout.root
        return os.path.join(str(self._layout.root) if has_moved else self._shown_base, "")  # noqa: PTH118 - see above


def by_age(entries: Iterable[JsonObject]) -> list[JsonObject]:
    """Entries by their start; those of the legacy tool keep the order in which that listed them."""
    found = list(entries)
    ours = [entry for entry in found if "end_reason" in entry]
    # The ids have seconds only, and a sweep starts several experiments in one.
    ours.sort(key=lambda entry: (_age(entry), str(entry.get("timestamp"))))
    in_order = [entry for entry in found if "end_reason" not in entry]
    if not in_order:
        return ours
    for entry in ours:
        place = len(in_order)
        while place and _age(in_order[place - 1]) > _age(entry):
            place -= 1
        in_order.insert(place, entry)
    return in_order


def _age(entry: Entry) -> str:
    return str(entry["experiment_id"])[:15]
