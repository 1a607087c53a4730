"""Every file and folder name that runbook uses on disk.

The paths that an experiment uses several times are computed once: joining them took a tenth of its whole time. The
classes do not use attrs, because every listing imports them, and importing attrs takes longer than listing ten thousand
experiments.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Final

REGISTRY_FILE: Final = "experiment_registry.json"
MANIFEST_FILE: Final = "runbook-manifest.json"
_NTH: Final = re.compile(r"~\d+$")


class _Frozen:
    """An object whose attributes cannot be changed, because its cached paths would then be wrong."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"the paths of a layout cannot be changed; make another one with another {name}")


class BaseLayout(_Frozen):
    """The paths of a base directory.

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
        """The registry, which is the index of all experiments."""
        return self.root / self.registry_name

    @cached_property
    def private(self) -> Path:
        """Our own folder, with locks and pending marks; users may delete it while nothing runs."""
        return self.root / ".runbook"

    @cached_property
    def registry_lock(self) -> Path:
        """The lock that is held while the registry is changed; its file is never deleted."""
        return self.private / f"{Path(self.registry_name).name}.lock"

    @cached_property
    def pending(self) -> Path:
        """The folder of the marks of pending experiments, whose records are newer than their entries."""
        return self.private / f"{Path(self.registry_name).name}.pending"

    @cached_property
    def run_locks(self) -> Path:
        """The folder of the run locks, one file for each running experiment.

        It is outside of the experiments' folders, so that a copy of a folder has no lock.
        """
        return self.private / "running"

    @property
    def staging(self) -> Path:
        """The folder of staged experiments, which are moved into the base directory when they are whole."""
        return self.private / "incoming"

    @property
    def quarantine(self) -> Path:
        """The folder into which a repair moves what is in the way; we never read it again."""
        return self.root / ".set-aside"

    @property
    def trash(self) -> Path:
        """The folder that holds deleted experiments until the trash is emptied."""
        return self.root / ".trash"

    def trashed(self, experiment_id: str, nth: int = 1) -> Path:
        """The folder of a deleted experiment.

        Args:
            experiment_id: the id.
            nth: 2 or more if deleted experiments of the same id are in the trash already.
        """
        return self.trash / (f"{experiment_id}~{nth}" if nth > 1 else experiment_id)

    @staticmethod
    def trashed_entry(trashed: Path) -> Path:
        """The file with the entry that a deleted experiment had in the registry."""
        return trashed.with_name(f".{trashed.name}.json")

    @staticmethod
    def trashed_id(trashed: Path) -> str:
        """The id of a deleted experiment, from the path of its folder."""
        return _NTH.sub("", trashed.name)

    def rendezvous(self, launch: str, nth: int) -> Path:
        """The rendezvous file into which rank 0 of a launch writes the id of its nth experiment."""
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


class ExperimentLayout(_Frozen):
    """The paths of the folder of one experiment.

    Args:
        root: the folder.
    """

    root: Path

    def __init__(self, root: Path) -> None:
        self.__dict__.update(root=root)

    @cached_property
    def record(self) -> Path:
        """The record, which is the truth about the experiment."""
        return self.root / "experiment.json"

    @cached_property
    def config(self) -> Path:
        """The config as JSON, for people and other programs."""
        return self.root / "config.json"

    @cached_property
    def checkpoints(self) -> Path:
        """The folder for the model's own files."""
        return self.root / "checkpoints"

    @cached_property
    def results(self) -> Path:
        """The folder for predictions and other artifacts."""
        return self.root / "results"

    @cached_property
    def metrics(self) -> Path:
        """The folder for all metrics."""
        return self.root / "metrics"

    @cached_property
    def logs(self) -> Path:
        """The folder for what explains an experiment: environment, traceback, uncommitted changes."""
        return self.root / "logs"

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        """The folders that every experiment has from its start."""
        return (self.checkpoints, self.results, self.metrics, self.logs)

    @cached_property
    def history(self) -> Path:
        """The live history, one line for each call of `log`."""
        return self.metrics / "history.jsonl"

    @property
    def training_history(self) -> Path:
        """The history as columns, if the program has saved it."""
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
        """The uncommitted changes at the start of the experiment, as a diff."""
        return self.logs / "uncommitted.patch"

    def environment_of(self, attempt: int) -> Path:
        """The environment of one attempt; the first is 1."""
        return self.environment if attempt == 1 else self.logs / f"environment-{attempt}.json"

    def patch_of(self, attempt: int) -> Path:
        """The uncommitted changes at the start of one attempt; the first is 1."""
        return self.patch if attempt == 1 else self.logs / f"uncommitted-{attempt}.patch"

    @property
    def signals(self) -> Path:
        """The log of signals, one line each, written as they arrive."""
        return self.logs / "signals.jsonl"

    @property
    def annotations(self) -> Path:
        """The log of annotations: notes and tags that other programs add at any time, one line each."""
        return self.logs / "annotations.jsonl"

    @property
    def progress(self) -> Path:
        """How far the experiment has come, for people who watch it; replaced often and never made durable."""
        return self.logs / "progress.json"

    def metrics_file(self, name: str) -> Path:
        """The file of the metrics saved under `name`."""
        return self.metrics / f"{name}.json"
