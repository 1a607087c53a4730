"""The engines of the index keep what the protocol promises: ours, and one for the tests that stores next to nothing."""

from __future__ import annotations

import contextlib
import json

import filelock
from index_conformance import IndexConformance

from runbook.index import Inspection, open_index
from runbook.index.folder_entry import entry_of_folder
from runbook.storage import current_record, experiment_folder


class TestJsonRegistry(IndexConformance):
    """The engine that every base directory has today."""

    def open(self, layout):
        return open_index(layout)


class FolderScan:
    """An engine that looks into all folders at every question; it stores only entries of experiments without a record."""

    def __init__(self, layout):
        self.layout = layout
        self._file = layout.private / "scan.json"
        self._lock = filelock.FileLock(layout.private / "scan.lock", thread_local=False)

    def check(self):
        open_index(self.layout).check()

    def mark_pending(self, experiment_id):
        """Nothing is stored that could be out of date."""

    def apply(self, experiment_id, written=None):
        """Likewise."""

    def flush(self):
        """Likewise."""

    def rebuild(self):
        """Likewise."""

    def folders(self):
        return open_index(self.layout).folders()

    def _stored(self):
        with contextlib.suppress(FileNotFoundError):
            return json.loads(self._file.read_text())
        return {}

    def entries(self, is_wanted=None):
        self.check()
        stored = self._stored()
        found = []
        for one in sorted(self.folders()):
            directory = str(self.layout.experiment(one).root)
            entry = entry_of_folder(self.layout, one, directory, stored.get(one, {})) or stored.get(one)
            if entry is not None:
                found.append({**entry, "directory": directory})
        return [entry for entry in found if is_wanted is None or is_wanted(entry)]

    def summaries(self):
        keys = ("experiment_id", "timestamp", "custom_name")
        return [{key: entry[key] for key in keys if key in entry} for entry in self.entries()]

    def insert(self, entry):
        stored = self._stored()
        one = entry["experiment_id"]
        stored[one] = {**stored.get(one, {}), **entry}
        self._file.write_text(json.dumps(stored))

    def update_entry(self, experiment_id, change):
        with self._lock:
            changed = change(self._stored().get(experiment_id))
            if changed is not None:
                self.insert({**changed, "experiment_id": experiment_id})

    def update_record(self, experiment_id, change):
        with filelock.FileLock(self.layout.private / "scan.lock"):
            record = change(current_record.read_current(self.layout, experiment_id))
            experiment_folder.write_record(self.layout.experiment(experiment_id), record)
        return record

    @contextlib.contextmanager
    def removing(self, experiment_id):
        yield

    def inspect(self):
        entries = [*self._stored().values()] or self.entries()
        return Inspection(entries, is_missing=False, damage=None, has_duplicates=False, pending=frozenset())


class TestAnotherEngine(IndexConformance):
    """The conformance tests know nothing of the file that ours writes."""

    def open(self, layout):
        return FolderScan(layout)
