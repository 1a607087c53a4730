"""How a live experiment writes its files: to disk, or not at all when tracking is disabled."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runbook.record.layout import ExperimentLayout
from runbook.record.status import Status
from runbook.serialize import json_text
from runbook.storage import checksums, experiment_folder, files

if TYPE_CHECKING:
    from runbook.index import Index
    from runbook.record.model import ExperimentRecord
    from runbook.typing import Json


class Writer(Protocol):
    """What a live experiment writes, and where."""

    @property
    def folder(self) -> ExperimentLayout:
        """The folder of the experiment."""

    def shown_folder(self) -> ExperimentLayout:
        """The folder, made if necessary, for a program that writes files of its own into it."""

    def save_record(self, record: ExperimentRecord) -> None:
        """Replace the record, and bring its entry in the registry up to date."""

    def write_json(self, path: Path, data: Json) -> None:
        """Replace a JSON file."""

    def write_bytes(self, path: Path, data: bytes) -> None:
        """Replace a file."""

    def save_object(self, path: Path, value: object) -> None:
        """Replace a file by an object, written in the format of the file's suffix."""

    def copy(self, source: Path, path: Path) -> None:
        """Replace a file or a directory by a copy of another."""

    def append_history(self, line: bytes) -> None:
        """Add a line to the live history."""

    def append_signal(self, line: bytes) -> None:
        """Add a line to the log of signals."""

    def write_progress(self, data: bytes) -> None:
        """Replace the file of how far the experiment has come; it is not made durable."""

    def sync_history(self) -> None:
        """Make the live history durable and close it."""

    def checksums(self) -> dict[str, str]:
        """The checksums of the files that this writer has saved, by their path in the folder."""


class DiskWriter:
    """Writes into the folder of an experiment, and keeps its entry in the registry up to date.

    Args:
        layout: the folder of the experiment.
        index: the index of its base directory.
    """

    def __init__(self, layout: ExperimentLayout, index: Index) -> None:
        self._folder = layout
        self._index = index
        self._history = files.LineLog(layout.history)
        # Not a method that calls it: each logged line comes this way, and one call more takes a fiftieth of its time.
        self.append_history = self._history.append
        self._saved = {layout.config, layout.history}
        self._is_ended = False

    @property
    def folder(self) -> ExperimentLayout:
        """The folder of the experiment."""
        return self._folder

    def shown_folder(self) -> ExperimentLayout:
        """The folder, made if necessary, for a program that writes files of its own into it."""
        return self._folder

    def save_record(self, record: ExperimentRecord) -> None:
        """Replace the record, and bring its entry in the registry up to date."""
        if self._is_ended:
            # Readers look at the record of a running experiment anyway, so only one that has ended needs the mark. An
            # error is suppressed because the record matters more.
            with contextlib.suppress(OSError):
                self._index.mark_pending(record.experiment_id)
        experiment_folder.write_record(self._folder, record)
        self._is_ended = record.status is not Status.RUNNING
        self._index.apply(record.experiment_id, record)

    def write_json(self, path: Path, data: Json) -> None:
        """Replace a JSON file."""
        files.write_whole(path, json_text.encode(data))
        self._saved.add(path)

    def write_bytes(self, path: Path, data: bytes) -> None:
        """Replace a file."""
        files.write_whole(path, data)
        self._saved.add(path)

    def save_object(self, path: Path, value: object) -> None:
        """Replace a file by an object, written in the format of the file's suffix."""
        from runbook.serialize import formats

        write = formats.format_of(path.name).write
        with files.replacing(path) as file:
            write(value, file)
        self._saved.add(path)

    def copy(self, source: Path, path: Path) -> None:
        """Replace a file or a directory by a copy of another."""
        if source.is_dir():
            # The source may be a folder that holds the experiment's own folder.
            files.replace_tree(source, path, self._folder.root)
        else:
            files.copy_file(source, path)
            self._saved.add(path)

    def append_signal(self, line: bytes) -> None:
        """Add a line to the log of signals."""
        log = files.LineLog(self._folder.signals)
        log.append(line)
        log.close()

    def write_progress(self, data: bytes) -> None:
        """Replace the file of how far the experiment has come; it is not made durable."""
        files.write_hint(self._folder.progress, data)

    def sync_history(self) -> None:
        """Make the live history durable and close it."""
        if self._history.is_open:
            self._history.sync()
            self._history.close()
        elif self._folder.history.exists():
            # A forked child may have logged when this process did not.
            files.fsync_file(self._folder.history)

    def checksums(self) -> dict[str, str]:
        """The checksums of the files that this writer has saved, by their path in the folder."""
        return checksums.compute(self._folder.root, self._saved)


class NullWriter:
    """Writes nothing.

    Only if a program asks for a folder, to write files of its own, are the folders made: in the system's temporary
    directory, from where they are removed when the program ends.

    Args:
        experiment_id: the id of the experiment that is not recorded.
    """

    def __init__(self, experiment_id: str) -> None:
        # A path at which nothing exists.
        self._folder = ExperimentLayout(Path(f"runbook-disabled-{os.urandom(8).hex()}", experiment_id).absolute())
        self._shown: ExperimentLayout | None = None

    @property
    def folder(self) -> ExperimentLayout:
        """The folder in which the files would be."""
        return self._shown or self._folder

    def shown_folder(self) -> ExperimentLayout:
        """A temporary folder, made by the first call."""
        if self._shown is None:
            import atexit
            import tempfile

            temporary = Path(tempfile.mkdtemp(prefix="runbook-disabled-"))
            atexit.register(_remove, temporary, os.getpid())
            self._shown = ExperimentLayout(temporary / self._folder.root.name)
            for inner in self._shown.folders:
                inner.mkdir(parents=True)
        return self._shown

    def save_record(self, record: ExperimentRecord) -> None:
        """Do nothing."""

    def write_json(self, path: Path, data: Json) -> None:
        """Do nothing."""

    def write_bytes(self, path: Path, data: bytes) -> None:
        """Do nothing."""

    def save_object(self, path: Path, value: object) -> None:  # noqa: ARG002 - as the protocol has it
        """Do nothing, but refuse a suffix that a real experiment would refuse."""
        from runbook.serialize import formats

        formats.format_of(path.name)

    def copy(self, source: Path, path: Path) -> None:
        """Do nothing."""

    def append_history(self, line: bytes) -> None:
        """Do nothing."""

    def append_signal(self, line: bytes) -> None:
        """Do nothing."""

    def write_progress(self, data: bytes) -> None:
        """Do nothing."""

    def sync_history(self) -> None:
        """Do nothing."""

    def checksums(self) -> dict[str, str]:
        """No checksums."""
        return {}


def _remove(temporary: Path, pid: int) -> None:
    # A forked child that exits must leave its parent's folder alone.
    if os.getpid() == pid:
        import shutil

        shutil.rmtree(temporary, ignore_errors=True)


class RankWriter(NullWriter):
    """Writes nothing, and gives the folder of an experiment that rank 0 writes.

    Args:
        layout: the folder of that experiment.
    """

    def __init__(self, layout: ExperimentLayout) -> None:
        super().__init__(layout.root.name)
        self._folder = layout

    def shown_folder(self) -> ExperimentLayout:
        """The folder of the experiment: each rank may write files of its own into it."""
        return self._folder
