"""Which folders lie in a base directory, and which lines of the registry are shown for them."""

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
        # Only what is said to be absent is gone: a disk that fails, or refuses, proves nothing.
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
            by_id: lines of the registry by their ids.
            names: what lies in the base directory.
        """
        absent = by_id.keys() - names
        if not absent:
            return list(by_id.values())
        # An id from the file may be anything, and becomes a path here.
        odd = {experiment_id for experiment_id in absent if not identifiers.is_folder_name(experiment_id)}
        gone = {experiment_id for experiment_id in absent - odd if self.is_gone(experiment_id)}
        in_trash = self.trashed() if gone else set()
        # Only we write an end reason: of these, what the line says is a copy of what the folder said.
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
        """The same entries with what their lines do not tell.

        That is the directory where they are now: they may have moved since their lines were written. The legacy tool
        listed no metrics: those of its experiments come from their folders.
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
        """What the folders say of `stale` ids; None for what has been taken away, and nothing where they say nothing.

        Args:
            old: the lines of these experiments, as far as there are any.
            stale: the ids.
            written: records that need not be read.
            record_deaths: whether to write down the end of those whose process is dead; the lock must be held.
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
        """The line that an experiment's own folder calls for; None when the folder says nothing.

        Args:
            experiment_id: which.
            old: its line in the index, as far as there is one; fields that only it knows are kept.
            written: its record, from the process that writes it; None reads it, and looks whether its process is dead.
            record_deaths: whether the end of one whose process is dead is recorded as well; that needs the lock.
        """
        # Records, and what judges them, take longer to import than a registry of ten thousand takes to read, where
        # nothing runs and nothing is out of date.
        from runbook.index import folder_entry

        # Where the base directory has several paths, the line keeps the one under which it was first written.
        directory = str(old.get("directory") or self.directory(experiment_id))
        return folder_entry.entry_of_folder(
            self._layout, experiment_id, directory, old, written, record_deaths=record_deaths
        )

    def _is_withdrawn(self, experiment_id: str) -> bool:
        return self.is_gone(experiment_id) and pending.is_marked(self._layout, experiment_id)

    def directory(self, experiment_id: str) -> str:
        """The folder of an experiment as people should see it, below the base directory as it was given."""
        return os.path.join(self._shown_base, experiment_id)  # noqa: PTH118 - Path would drop the legacy "./"

    def _shown_root(self) -> str:
        """What comes before an id in the path of an experiment's folder, with the separator.

        A program may have changed its working directory since it named a relative base directory.
        """
        has_moved = Path(self._shown_base).expanduser().absolute() != self._layout.root
        return os.path.join(str(self._layout.root) if has_moved else self._shown_base, "")  # noqa: PTH118 - see above


def by_age(entries: Iterable[JsonObject]) -> list[JsonObject]:
    """Entries by their start; those of the legacy tool stay in the order in which it listed them."""
    found = list(entries)
    ours = [entry for entry in found if "end_reason" in entry]
    # The ids tell seconds, of which a sweep needs more than one for its order.
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
