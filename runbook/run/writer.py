"""Where a live experiment puts things: on disk, or nowhere when tracking is disabled."""

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
    """What a live experiment needs of a disk."""

    @property
    def folder(self) -> ExperimentLayout:
        """Where the experiment's files are."""

    def shown_folder(self) -> ExperimentLayout:
        """The same for a program that is going to write into it itself."""

    def save_record(self, record: ExperimentRecord) -> None:
        """Replace the record and bring the registry up to date."""

    def write_json(self, path: Path, data: Json) -> None:
        """Replace a JSON file."""

    def write_bytes(self, path: Path, data: bytes) -> None:
        """Replace a file."""

    def save_object(self, path: Path, value: object) -> None:
        """Replace a file by an object in the format of its suffix."""

    def copy(self, source: Path, path: Path) -> None:
        """Replace a file or a directory by a copy of another."""

    def append_history(self, line: bytes) -> None:
        """Add a line to the live history."""

    def append_signal(self, line: bytes) -> None:
        """Add a line to the signals that arrived."""

    def write_progress(self, data: bytes) -> None:
        """Replace the hint of how far it has come."""

    def sync_history(self) -> None:
        """Make the live history durable and close it."""

    def checksums(self) -> dict[str, str]:
        """Of the files that were saved here, by their path in the folder."""


class DiskWriter:
    """The folder of an experiment and its line in the registry.

    Args:
        layout: the folder.
        index: the index of the base directory that it lies in.
    """

    def __init__(self, layout: ExperimentLayout, index: Index) -> None:
        self._folder = layout
        self._index = index
        self._history = files.LineLog(layout.history)
        # Not a method that calls it: every logged line comes this way, and each call is a fiftieth of its time.
        self.append_history = self._history.append
        self._saved = {layout.config, layout.history}
        self._is_ended = False

    @property
    def folder(self) -> ExperimentLayout:
        """Where the experiment's files are."""
        return self._folder

    def shown_folder(self) -> ExperimentLayout:
        """The same for a program that is going to write into it itself."""
        return self._folder

    def save_record(self, record: ExperimentRecord) -> None:
        """Replace the record and bring the registry up to date."""
        if self._is_ended:
            # Of one that runs, every reader looks at the record anyway. The record matters more than its mark.
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
        """Replace a file by an object in the format of its suffix."""
        from runbook.serialize import formats

        write = formats.format_of(path.name).write
        with files.replacing(path) as file:
            write(value, file)
        self._saved.add(path)

    def copy(self, source: Path, path: Path) -> None:
        """Replace a file or a directory by a copy of another."""
        if source.is_dir():
            # A program may save the very folder in which its experiments lie.
            files.replace_tree(source, path, self._folder.root)
        else:
            files.copy_file(source, path)
            self._saved.add(path)

    def append_signal(self, line: bytes) -> None:
        """Add a line to the signals that arrived."""
        log = files.LineLog(self._folder.signals)
        log.append(line)
        log.close()

    def write_progress(self, data: bytes) -> None:
        """Replace the hint of how far it has come."""
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
        """Of the files that were saved here, by their path in the folder."""
        return checksums.compute(self._folder.root, self._saved)


class NullWriter:
    """Nothing is written.

    The folders exist only for a program that asks for one, to write into it itself: in the system's temporary
    directory, removed when the program ends.

    Args:
        experiment_id: the id of the experiment that is not recorded.
    """

    def __init__(self, experiment_id: str) -> None:
        # Nothing is ever there: what is saved goes nowhere.
        self._folder = ExperimentLayout(Path(f"runbook-disabled-{os.urandom(8).hex()}", experiment_id).absolute())
        self._shown: ExperimentLayout | None = None

    @property
    def folder(self) -> ExperimentLayout:
        """Where the files would be."""
        return self._shown or self._folder

    def shown_folder(self) -> ExperimentLayout:
        """A temporary folder, made when it is first asked for."""
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
        """Do nothing, but refuse what a real experiment would refuse."""
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
        """There is nothing."""
        return {}


def _remove(temporary: Path, pid: int) -> None:
    # A forked child that exits must leave its parent's folder alone.
    if os.getpid() == pid:
        import shutil

        shutil.rmtree(temporary, ignore_errors=True)


class RankWriter(NullWriter):
    """Nothing is written, and the folder is that of an experiment that another process writes.

    Args:
        layout: the folder.
    """

    def __init__(self, layout: ExperimentLayout) -> None:
        super().__init__(layout.root.name)
        self._folder = layout

    def shown_folder(self) -> ExperimentLayout:
        """The same folder: each rank may put files of its own there."""
        return self._folder
