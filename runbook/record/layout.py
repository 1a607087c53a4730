"""Every file and folder name that runbook uses on disk.

The paths that each experiment asks for several times are made once: joining them was a tenth of its whole cost. The
classes are plain ones because every listing imports them, and attrs takes longer to import than ten thousand
experiments take to list.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Final

REGISTRY_FILE: Final = "experiment_registry.json"
MANIFEST_FILE: Final = "runbook-manifest.json"
_NTH: Final = re.compile(r"~\d+$")


class _Fixed:
    """What cannot be changed once it is made, so that the paths that were made from it stay right."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"the paths of a layout cannot be changed; make another one with another {name}")


class BaseLayout(_Fixed):
    """Where things are in a base directory.

    Args:
        root: the base directory.
        registry_name: the file name of the registry in it.
    """

    root: Path
    registry_name: str

    def __init__(self, root: Path, registry_name: str = REGISTRY_FILE) -> None:
        self.__dict__.update(root=root, registry_name=registry_name)

    @cached_property
    def registry(self) -> Path:
        """The index of all experiments."""
        return self.root / self.registry_name

    @cached_property
    def private(self) -> Path:
        """Our own folder: locks and pending marks; safe to delete while nothing runs."""
        return self.root / ".runbook"

    @cached_property
    def registry_lock(self) -> Path:
        """The lock around a change of the registry; its file is never deleted."""
        return self.private / f"{Path(self.registry_name).name}.lock"

    @cached_property
    def pending(self) -> Path:
        """Marks of the experiments whose record is newer than their line in the registry."""
        return self.private / f"{Path(self.registry_name).name}.pending"

    @cached_property
    def run_locks(self) -> Path:
        """One lock file for each experiment, held while it runs.

        They live outside the experiments' folders, so that copying a folder never touches them.
        """
        return self.private / "running"

    @property
    def staging(self) -> Path:
        """Folders that are being built, to be renamed to where they belong when they are whole."""
        return self.private / "incoming"

    @property
    def quarantine(self) -> Path:
        """What a repair has moved out of the way; nothing looks there again."""
        return self.root / ".set-aside"

    @property
    def trash(self) -> Path:
        """Where deleted experiments are until the trash is emptied."""
        return self.root / ".trash"

    def trashed(self, experiment_id: str, nth: int = 1) -> Path:
        """The folder of a deleted experiment.

        Args:
            experiment_id: which.
            nth: 2 and up for one that is deleted while earlier ones of the same id are still in the trash.
        """
        return self.trash / (f"{experiment_id}~{nth}" if nth > 1 else experiment_id)

    @staticmethod
    def trashed_entry(trashed: Path) -> Path:
        """The line that a deleted experiment had in the registry."""
        return trashed.with_name(f".{trashed.name}.json")

    @staticmethod
    def trashed_id(trashed: Path) -> str:
        """The id of a deleted experiment."""
        return _NTH.sub("", trashed.name)

    def rendezvous(self, launch: str, nth: int) -> Path:
        """Where rank 0 of a distributed launch tells the others the id of its nth experiment."""
        return self.private / "ranks" / f"{launch}-{nth}"

    def mark(self, experiment_id: str) -> Path:
        """The pending mark of one experiment."""
        return self.pending / experiment_id

    def run_lock(self, experiment_id: str) -> Path:
        """The lock that an experiment holds while it runs."""
        return self.run_locks / experiment_id

    def experiment(self, experiment_id: str) -> ExperimentLayout:
        """The folder of one experiment."""
        return ExperimentLayout(self.root / experiment_id)


class ExperimentLayout(_Fixed):
    """Where things are in the folder of one experiment.

    Args:
        root: the folder.
    """

    root: Path

    def __init__(self, root: Path) -> None:
        self.__dict__.update(root=root)

    @cached_property
    def record(self) -> Path:
        """The truth about this experiment."""
        return self.root / "experiment.json"

    @cached_property
    def config(self) -> Path:
        """The config as plain JSON, for people and other programs."""
        return self.root / "config.json"

    @cached_property
    def checkpoints(self) -> Path:
        """The model's own files."""
        return self.root / "checkpoints"

    @cached_property
    def results(self) -> Path:
        """Predictions and other artifacts."""
        return self.root / "results"

    @cached_property
    def metrics(self) -> Path:
        """All metrics."""
        return self.root / "metrics"

    @cached_property
    def logs(self) -> Path:
        """What explains a run: environment, traceback, uncommitted changes."""
        return self.root / "logs"

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        """The folders that every experiment has from its birth."""
        return (self.checkpoints, self.results, self.metrics, self.logs)

    @cached_property
    def history(self) -> Path:
        """The live metrics, one line a `log` call."""
        return self.metrics / "history.jsonl"

    @property
    def training_history(self) -> Path:
        """The history as columns, when it was saved."""
        return self.metrics / "training_history.json"

    @cached_property
    def final_summary(self) -> Path:
        """The final metrics."""
        return self.metrics / "final_summary.json"

    @property
    def eraser_results(self) -> Path:
        """Rationales in ERASER's JSONL form."""
        return self.results / "eraser_formatted_results.jsonl"

    @cached_property
    def traceback(self) -> Path:
        """The traceback of the exception that ended the experiment."""
        return self.logs / "traceback.txt"

    @cached_property
    def environment(self) -> Path:
        """Interpreter, packages, git, argv, host."""
        return self.logs / "environment.json"

    @property
    def patch(self) -> Path:
        """What was not committed when the experiment started, as a diff."""
        return self.logs / "uncommitted.patch"

    def environment_of(self, attempt: int) -> Path:
        """The environment of one attempt, counted from 1."""
        return self.environment if attempt == 1 else self.logs / f"environment-{attempt}.json"

    def patch_of(self, attempt: int) -> Path:
        """What was not committed when one attempt started, counted from 1."""
        return self.patch if attempt == 1 else self.logs / f"uncommitted-{attempt}.patch"

    @property
    def signals(self) -> Path:
        """Signals that reached the process, one line each, written as they came."""
        return self.logs / "signals.jsonl"

    @property
    def annotations(self) -> Path:
        """Notes and tags that are from outside, one line each, appended by anybody at any time."""
        return self.logs / "annotations.jsonl"

    @property
    def progress(self) -> Path:
        """How far it has come: a hint for those who watch, replaced every moment and never made durable."""
        return self.logs / "progress.json"

    def metrics_file(self, name: str) -> Path:
        """The file of the metrics saved under `name`."""
        return self.metrics / f"{name}.json"
