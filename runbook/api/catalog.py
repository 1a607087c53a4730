"""Lists, searches, views and comparisons of the experiments of one base directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runbook.read.listing import ExperimentList, list_of_entries
from runbook.serialize import gc_pause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Unpack

    from runbook.compare.groups import GroupComparison
    from runbook.index import Index
    from runbook.query.search import QueryOptions
    from runbook.read.view import ExperimentView
    from runbook.record.model import ExperimentRecord
    from runbook.typing import Entry

_NEWEST_SHOWN: Final = 20


class Catalog:
    """Looks up the experiments of one base directory.

    Args:
        index: the index of the base directory.
        shown_base: the base directory as the user gave it, for messages.
    """

    def __init__(self, index: Index, shown_base: str) -> None:
        self._index = index
        self._shown_base = shown_base

    def select(self, is_wanted: Callable[[Entry], bool] | None = None) -> ExperimentList:
        """The experiments whose entries pass a test, oldest first; without a test, all."""
        with gc_pause.pause_gc():
            return list_of_entries(self._index.entries(is_wanted))

    def find(self, where: str | None, **options: Unpack[QueryOptions]) -> ExperimentList:
        """The experiments that match a query."""
        from runbook.query import search

        query = search.parse(where, **options)
        with gc_pause.pause_gc():
            return list_of_entries(search.find(query, self._index))

    def resolve_id(self, wanted: str) -> str:
        """The id of the experiment that `wanted` means; see `identifiers.Resolver.id_of`."""
        from runbook.record import identifiers

        return identifiers.resolve_id(wanted, self._index.summaries(), self._shown_base)

    def views(self, wanted: Iterable[str]) -> list[ExperimentView]:
        """Views of several experiments; the index is read once for all of them."""
        from runbook import errors
        from runbook.read.view import ExperimentView
        from runbook.record import identifiers, schema

        layout = self._index.layout
        resolver = identifiers.Resolver(self._index.summaries(), self._shown_base)
        found = [resolver.id_of(one) for one in wanted]
        records = {one: record for one in found if (record := self._read_record(one)) is not None}
        if missing := {*found} - records.keys():
            # The legacy tool wrote no records. If a record is damaged, the registry still has its entry.
            for entry in self._index.entries(lambda entry: entry["experiment_id"] in missing):
                records[str(entry["experiment_id"])] = schema.record_of_entry(entry, layout.registry)
        for one in found:
            if one not in records:
                # Another process has deleted it since its id was found.
                raise errors.ExperimentNotFoundError(one, self._shown_base)
        return [ExperimentView(layout.experiment(one), records[one]) for one in found]

    def _read_record(self, experiment_id: str) -> ExperimentRecord | None:
        """The record of an experiment with its annotations; None if there is no readable record."""
        from runbook import errors
        from runbook.storage import annotation_log, current_record

        try:
            record = current_record.read_current(self._index.layout, experiment_id)
        except (FileNotFoundError, errors.DamagedFileError, errors.NewerFormatError):
            return None
        layout = self._index.layout.experiment(experiment_id)
        try:
            return annotation_log.with_annotations(record, layout)
        except OSError as error:
            annotation_log.warn_unreadable(layout, error)
            return record

    def compare_groups(
        self, by: str | Iterable[str], ids: Iterable[str] | None, where: str | None, **options: Any
    ) -> GroupComparison:
        """Groups of the selected experiments, compared; for the options see `compare.groups.compare_groups`."""
        from runbook.compare import groups
        from runbook.query import search
        from runbook.record import identifiers

        entries = self._index.entries()
        if ids is not None:
            by_id = {entry["experiment_id"]: entry for entry in entries}
            resolver = identifiers.Resolver(entries, self._shown_base)
            found = dict.fromkeys(resolver.id_of(one) for one in ([ids] if isinstance(ids, str) else ids))
            entries = [by_id[one] for one in found]
        if where is not None:
            kept = {entry["experiment_id"] for entry in search.select(search.parse(where), entries)}
            entries = [entry for entry in entries if entry["experiment_id"] in kept]
        return groups.compare_groups(list_of_entries(entries), by, view=lambda one: self.views([one])[0], **options)

    def print_summary(self) -> None:
        """Print a table of all experiments."""
        from runbook.render.summary import print_summary

        print_summary(self._index.entries(), self._shown_base)

    def to_html(self) -> str:
        """The newest experiments as a table for a notebook."""
        from runbook.render import notebook
        from runbook.render.summary import closing_line

        entries = self._index.entries()
        newest = list_of_entries(entries[: -_NEWEST_SHOWN - 1 : -1])
        return notebook.experiments_html(newest, closing_line(entries, self._shown_base))
