"""What an engine that finds experiments has to do, whatever it keeps its entries in.

The folders are the truth and an index is a copy of what they say: it can be rebuilt from them at any time.
`tests/support/index_conformance.py` holds an engine against this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from runbook.record.layout import BaseLayout
    from runbook.record.model import ExperimentRecord
    from runbook.typing import Entry, JsonObject

LOCK_TIMEOUT_S: Final = 60.0
"""How long a change waits for other processes that write the same index."""


class Inspection(NamedTuple):
    """What an index holds, as it is stored: for `doctor`, who compares it with the folders.

    Args:
        entries: the stored entries.
        is_missing: whether nothing is stored at all.
        damage: why the stored entries cannot be understood; None where they can.
        has_duplicates: whether it has two entries of one experiment.
        pending: the ids of experiments whose entries wait to be brought up to date.
    """

    entries: list[JsonObject]
    is_missing: bool
    damage: str | None
    has_duplicates: bool
    pending: frozenset[str]


class Index(Protocol):
    """The index of all experiments of one base directory, shared by any number of processes.

    What waits for other processes raises `filelock.Timeout` after `LOCK_TIMEOUT_S`.
    """

    @property
    def layout(self) -> BaseLayout:
        """Where things are in the base directory."""
        ...

    def check(self) -> None:
        """Refuse a base directory that is none.

        Raises:
            BaseDirectoryError: if it is a file.
        """
        ...

    def mark_pending(self, experiment_id: str) -> None:
        """Note that the record of an experiment is about to change; a process that is killed leaves the note to others.

        Raises:
            OSError: if that cannot be noted.
        """
        ...

    def apply(self, experiment_id: str, written: ExperimentRecord | None = None) -> None:
        """Bring the entry of an experiment up to date with its record, now, or with a later change or reader.

        A lock that cannot be had is a warning: the record is in its folder, and readers see it.

        Args:
            experiment_id: which.
            written: its record, where the caller has just written it; it is not read again then.

        Raises:
            OSError: if the index cannot be written.
        """
        ...

    def entries(self, is_wanted: Callable[[Entry], bool] | None = None) -> list[JsonObject]:
        """The entries of all experiments, oldest first, current to this moment.

        Args:
            is_wanted: a test for each entry, called in no order and maybe twice; None takes all.

        Raises:
            BaseDirectoryError: if the base directory is a file.
        """
        ...

    def summaries(self) -> list[JsonObject]:
        """The same with nothing but the id, the start and the name of each, in a quarter of the memory.

        Raises:
            BaseDirectoryError: if the base directory is a file.
        """
        ...

    def folders(self) -> set[str]:
        """The ids of all experiments that have a folder."""
        ...

    def insert(self, entry: JsonObject) -> None:
        """Put in an entry from elsewhere; fields that only the present entry of that id has are kept.

        Args:
            entry: the entry; its `directory` is replaced by the one here.

        Raises:
            OSError: if the index cannot be written.
        """
        ...

    def update_entry(self, experiment_id: str, change: Callable[[JsonObject | None], JsonObject | None]) -> None:
        """Change the entry of an experiment that has no record; of several processes, one at a time.

        Args:
            experiment_id: which.
            change: takes the present entry, None where there is none, and gives fields to replace, or None to leave it.

        Raises:
            OSError: if the index cannot be written.
        """
        ...

    def update_record(
        self, experiment_id: str, change: Callable[[ExperimentRecord], ExperimentRecord]
    ) -> ExperimentRecord:
        """Change the record of an experiment that nobody works on; of several processes, one at a time.

        Args:
            experiment_id: which.
            change: gives the new record, or raises where it may not be changed.

        Returns:
            The new record, which is on disk; `apply` is still to be called.
        """
        ...

    def removing(self, experiment_id: str) -> AbstractContextManager[None]:
        """A block in which the folder of an experiment leaves the base directory; its entry goes when the block ends.

        Raises:
            OSError: if the index cannot be written; the folder has moved then.
        """
        ...

    def rebuild(self) -> None:
        """Bring every entry up to date with its folder.

        Raises:
            OSError: if the index cannot be written.
        """
        ...

    def flush(self) -> None:
        """Bring what is pending up to date at the end of a program; it waits for nobody and raises nothing."""
        ...

    def inspect(self) -> Inspection:
        """What is stored, without a look at the folders.

        Raises:
            OSError: if it cannot be read.
        """
        ...
