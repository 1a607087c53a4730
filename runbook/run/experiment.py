"""The live experiment: what the code inside a run holds in its hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from runbook import errors
from runbook.messages import warn_once
from runbook.read.view import ExperimentView
from runbook.record import identifiers
from runbook.record.model import ExperimentRecord, join_notes
from runbook.record.status import EndReason, Status
from runbook.run.endings import Ending
from runbook.serialize import training_history
from runbook.serialize.jsonable import numbers_of, to_jsonable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runbook.record.layout import ExperimentLayout
    from runbook.run.recorder import Recorder
    from runbook.typing import Json, StrPath

_PATH_SHOWN: Final = 200
ENDED: Final = (Status.COMPLETED, Status.FAILED, Status.INTERRUPTED)


class Experiment(ExperimentView):
    """A running experiment.

    `with experiment(config) as exp:` makes one, and so does `@tracked` for a function with a parameter `exp`.
    What it saves is whole and durable when the call returns; what it logs survives the death of the process.

    A `save_` method that fails raises; `log`, `note` and `add_tags` warn once instead, because a full disk must not
    end a training that runs.

    Args:
        recorder: writes what it records.
        config: the user's own config object.
    """

    def __init__(self, recorder: Recorder, config: object) -> None:
        super().__init__(recorder.layout, recorder.record)
        self._recorder = recorder
        self._config = config
        # `log` is called a million times, and one step more on the way to the log can be measured.
        self._log = recorder.metrics

    @property
    def _record(self) -> ExperimentRecord:
        return self._recorder.record

    @property
    def config(self) -> Any:
        """The user's config object itself; a changed copy where the object is frozen and has a `save_dir`."""
        return self._config

    @property
    def is_ended(self) -> bool:
        """Whether its ending is recorded."""
        return self._recorder.is_ended

    def log(self, metrics: Mapping[str, object] | None = None, /, *, step: object = None, **named: object) -> None:
        """Add one line to the live history; it survives the death of the process from here on.

        Args:
            metrics: names and numbers; nested mappings get dotted names.
            step: where in the training; None counts up from the last one. The same step may come again.
            **named: more metrics, for names that are identifiers.

        Example:
            >>> exp.log({"loss": 0.3, "val/loss": 0.4}, step=10)  # doctest: +SKIP
            >>> exp.log(loss=0.2)  # doctest: +SKIP
        """
        try:
            if named or type(metrics) is not dict:
                metrics = _together(metrics, named)
            if metrics is not None:
                self._log.log(metrics, step)
        except OSError as error:
            warn_once(
                f"log {self.id}",
                f"{self.id}: metrics cannot be logged ({error}); the training goes on without them, free the disk "
                "and later ones are logged again",
            )

    def progress(self, done: float, total: float | None = None) -> None:
        """Say how far it has come, for those who watch it with `runbook watch`.

        It may be called as often as one likes: it writes once in half a second at most, and always when all is done.

        Args:
            done: how much is done, in any unit; less than before begins a new count, such as that of the next epoch.
            total: how much there is to do; None where nobody knows.

        Example:
            >>> for number, batch in enumerate(batches, start=1):  # doctest: +SKIP
            ...     exp.progress(number, len(batches))
        """
        try:
            self._recorder.progress.report(done, total)
        except OSError as error:
            warn_once(f"progress {self.id}", f"{self.id}: its progress cannot be shown ({error}); the training goes on")

    def save_training_history(self, history_: object = None) -> Path:
        """Write `metrics/training_history.json`, as columns.

        Args:
            history_: a dict of lists, a list of dicts, or a Keras `History`; None takes what was logged.

        Returns:
            The file.

        Raises:
            TypeError: if it is none of these.
            OSError: if it cannot be written.
        """
        columns: Json = to_jsonable(self.history()) if history_ is None else training_history.as_columns(history_)
        return self._recorder.save_json(self._layout.training_history, columns)

    def save_predictions(self, results: object, filename: str = "test_predictions.pkl") -> Path:
        """Write predictions into `results/`, in the format that the suffix of the name stands for.

        Args:
            results: any object for a pickle; arrays, rows or columns for the other formats.
            filename: ends in .pkl, .json, .jsonl, .csv, .npy, .npz, .pt or .txt.

        Returns:
            The file.

        Raises:
            UnknownSuffixError: if the suffix names no known format.
            InvalidNameError: if the name would leave the folder, or is no file name everywhere.
        """
        identifiers.check_file_name("file name", filename)
        path = self._layout.results / filename
        self._recorder.writer.save_object(path, results)
        return self._recorder.note_saved(path)

    def save_bias_metrics(self, gmb_metrics: object, bias_details: object = None) -> Path:
        """Write `metrics/bias_metrics.json`: `{"gmb_metrics": …, "bias_details": …}`."""
        both = {"gmb_metrics": to_jsonable(gmb_metrics), "bias_details": to_jsonable(bias_details)}
        return self._recorder.save_json(self._layout.metrics_file("bias_metrics"), both)

    def save_xai_metrics(self, xai_metrics: object) -> Path:
        """Write `metrics/xai_metrics.json`."""
        return self._recorder.save_json(self._layout.metrics_file("xai_metrics"), to_jsonable(xai_metrics))

    def save_eraser_results(self, results_path: StrPath) -> Path:
        """Copy rationales in ERASER's form to `results/eraser_formatted_results.jsonl`.

        Raises:
            FileNotFoundError: if there is no such file.
        """
        source = _existing(results_path)
        if not source.is_file():
            raise IsADirectoryError(f"{source} is no file; pass the JSONL file with the rationales")
        self._recorder.writer.copy(source, self._layout.eraser_results)
        return self._recorder.note_saved(self._layout.eraser_results)

    def save_final_metrics(self, metrics: Mapping[str, object]) -> Path:
        """Write `metrics/final_summary.json`, and show its numbers in the registry.

        Args:
            metrics: may be nested; the caller's object is not changed.

        Raises:
            TypeError: if it is not a mapping.
        """
        path = self._save_mapping("final_summary", metrics)
        self._recorder.change(metrics=numbers_of(metrics))
        return path

    def save_metrics(self, name: str, metrics: Mapping[str, object]) -> Path:
        """Write `metrics/<name>.json`; `load_metrics(name)` reads it back.

        Raises:
            InvalidNameError: if the name cannot be a file name everywhere.
            TypeError: if `metrics` is not a mapping.
        """
        if name == "final_summary":
            return self.save_final_metrics(metrics)
        return self._save_mapping(name, metrics)

    def save_artifact(self, artifact: object, name: str | None = None) -> Path:
        """Put a file, a folder or an object into `results/`.

        Args:
            artifact: a path (a string or a path object) is copied; bytes are written as they are; any other object
                is written in the format that the suffix of `name` stands for.
            name: what it is called there; by default what the path is called.

        Returns:
            The file or folder in `results/`.

        Raises:
            FileNotFoundError: if there is nothing at the path.
            UnknownSuffixError: if an object has no name, or one whose suffix names no known format.
            InvalidNameError: if the name would leave the folder, or is no file name everywhere.
        """
        if isinstance(artifact, str | os.PathLike):
            source = _existing(artifact)
            path = self._layout.results / identifiers.check_file_name("artifact name", name or source.name)
            self._recorder.writer.copy(source, path)
            return self._recorder.note_saved(path)
        path = self._layout.results / identifiers.check_file_name("artifact name", name or "artifact")
        if isinstance(artifact, bytes | bytearray):
            self._recorder.writer.write_bytes(path, bytes(artifact))
        else:
            self._recorder.writer.save_object(path, artifact)
        return self._recorder.note_saved(path)

    def save_figure(self, figure: object, name: str) -> Path:
        """Write a figure of matplotlib or plotly into `results/`; a report shows it.

        Args:
            figure: a figure, or something that knows its figure, such as the `Axes` that a plot of pandas returns.
            name: what it is called there. Without a suffix it becomes `.png` for matplotlib, and for plotly `.json`,
                which `plotly.io.read_json` reads back and a report shows live. matplotlib writes .png, .svg, .pdf,
                .jpg and .webp as well, plotly .html, and these with kaleido.

        Returns:
            The file.

        Raises:
            TypeError: if it is no figure.
            UnknownSuffixError: if the suffix names no format that the library writes.
            InvalidNameError: if the name would leave the folder, or is no file name everywhere.
            MissingExtraError: if plotly is to make an image, and kaleido is not installed.

        Example:
            >>> exp.save_figure(ConfusionMatrixDisplay(matrix).plot().figure_, "confusion")  # doctest: +SKIP
            PosixPath('/…/results/confusion.png')
        """
        from runbook.serialize import figures

        filename, content = figures.as_file(figure, identifiers.check_file_name("figure name", name))
        path = self._layout.results / identifiers.check_file_name("figure name", filename)
        self._recorder.writer.write_bytes(path, content)
        return self._recorder.note_saved(path)

    def note(self, text: str) -> None:
        """Add a line to the notes."""
        with self._recorder.lock:
            self._recorder.change_quietly(notes=join_notes(self.notes, str(text)))

    def add_tags(self, *tags: str) -> None:
        """Add words to find the experiment by; those it has already are not added twice."""
        with self._recorder.lock:
            self._recorder.change_quietly(tags=tuple(dict.fromkeys([*self.tags, *as_tags(tags)])))

    def finish(self, status: str = "completed", notes: str | None = None) -> None:
        """Say how the experiment ended; what happens to the block afterwards does not change it.

        Args:
            status: completed, failed or interrupted.
            notes: added to the notes.

        Raises:
            UnknownStatusError: for any other status.
            OSError: if it cannot be written.
        """
        self._recorder.end(Ending(ending_status(status), EndReason.MARKED), notes=notes, overwrite=True)

    def _folder(self) -> ExperimentLayout:
        return self._recorder.writer.shown_folder()

    def _save_mapping(self, name: str, metrics: Mapping[str, object]) -> Path:
        plain = to_jsonable(metrics)
        if not isinstance(plain, dict):
            raise TypeError(
                f"metrics of type {type(metrics).__name__} have no names; pass a mapping such as {{'f1': 0.9}}"
            )
        return self._recorder.save_json(
            self._layout.metrics_file(identifiers.check_file_name("metrics name", name)), plain
        )


def _together(metrics: object, named: dict[str, object]) -> Mapping[str, object] | None:
    """All that is to be logged; None where the one thing that was given has no names."""
    if metrics is None:
        return named
    if hasattr(metrics, "keys"):
        return {**cast("Mapping[str, object]", metrics), **named}
    warn_once(
        f"log {type(metrics).__name__}",
        f"exp.log() got a {type(metrics).__name__}, which has no names, and logs nothing of it; "
        "pass a mapping such as {'loss': 0.3}, or loss=0.3",
    )
    return named or None


def ending_status(status: str) -> Status:
    """The status by which a program says how an experiment ended.

    Raises:
        UnknownStatusError: if it is none of completed, failed and interrupted.
    """
    if status in ENDED:
        return Status(status)
    raise errors.UnknownStatusError(str(status), [allowed.value for allowed in ENDED])


def as_tags(tags: Iterable[str] | str) -> tuple[str, ...]:
    """Tags in their order, each once; a single string is one tag."""
    several: list[Any] = [tags] if isinstance(tags, str) else list(tags)
    flat = [one for tag in several for one in (tag if isinstance(tag, list | tuple | set) else [tag])]
    return tuple(dict.fromkeys(str(tag) for tag in flat))


def _existing(path: StrPath) -> Path:
    found = Path(path).expanduser()
    try:
        is_there = found.exists()
    except (OSError, ValueError):
        # A text that was meant as the object itself may be too long for a name, or hold a NUL.
        is_there = False
    if not is_there:
        raise FileNotFoundError(
            f"there is nothing at {str(found)[:_PATH_SHOWN]} (working directory {Path.cwd()}) to copy into "
            "the experiment; check the path, or pass the object itself with a name"
        )
    return found
