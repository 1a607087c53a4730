"""The live experiment, which the user's code gets and records with."""

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
    A file that a `save_` method writes is whole and durable when the call returns. A line that `log` writes survives
    the death of the process.

    A `save_` method that fails raises an error. `log`, `note` and `add_tags` warn once instead, because a full disk
    must not end a training that runs.

    Args:
        recorder: writes the record and the files.
        config: the user's own config object.
    """

    def __init__(self, recorder: Recorder, config: object) -> None:
        super().__init__(recorder.layout, recorder.record)
        self._recorder = recorder
        self._config = config
        # Users call `log` a million times; one attribute more on the way costs measurable time.
        self._log = recorder.metrics

    @property
    def _record(self) -> ExperimentRecord:
        return self._recorder.record

    @property
    def config(self) -> Any:
        """The user's config object itself; a changed copy if the object is frozen and has a `save_dir`."""
        return self._config

    @property
    def is_ended(self) -> bool:
        """Whether its ending is recorded."""
        return self._recorder.is_ended

    def log(self, metrics: Mapping[str, object] | None = None, /, *, step: object = None, **named: object) -> None:
        """Add one line to the live history; the line survives the death of the process.

        Args:
            metrics: names and numbers; nested mappings get dotted names.
            step: the step of the training; None counts up from the last one. The same step may be logged again.
            **named: more metrics, for names that are Python identifiers.

        Example:
            >>> exp.log({"loss": 0.3, "val/loss": 0.4}, step=10)  # doctest: +SKIP
            >>> exp.log(loss=0.2)  # doctest: +SKIP
        """
        try:
            if named or type(metrics) is not dict:
                metrics = _merge_metrics(metrics, named)
            if metrics is not None:
                self._log.log(metrics, step)
        except OSError as error:
            warn_once(
                f"log {self.id}",
                f"{self.id}: metrics cannot be logged ({error}); the training goes on without them, free the disk "
                "and later ones are logged again",
            )

    def progress(self, done: float, total: float | None = None) -> None:
        """Record how far the experiment has come, for people who watch it with `runbook watch`.

        You may call it as often as you like: it writes at most once in half a second, and always when all is done.

        Args:
            done: how much is done, in any unit; a smaller number than before begins a new count, such as the next
                epoch.
            total: how much there is to do; None if you do not know.

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
            history_: a dict of lists, a list of dicts, or a Keras `History`; None takes the live history.

        Returns:
            The file.

        Raises:
            TypeError: if it is none of these.
            OSError: if it cannot be written.
        """
        columns: Json = to_jsonable(self.history()) if history_ is None else training_history.as_columns(history_)
        return self._recorder.save_json(self._layout.training_history, columns)

    def save_predictions(self, results: object, filename: str = "test_predictions.pkl") -> Path:
        """Write predictions into `results/`, in the format that the suffix of the filename selects.

        Args:
            results: any object for a pickle; arrays, rows or columns for the other formats.
            filename: ends in .pkl, .json, .jsonl, .csv, .npy, .npz, .pt or .txt.

        Returns:
            The file.

        Raises:
            UnknownSuffixError: if the suffix names no known format.
            InvalidNameError: if the name leads out of the folder, or is no valid file name on every system.
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
        source = _find_source(results_path)
        if not source.is_file():
            raise IsADirectoryError(f"{source} is no file; pass the JSONL file with the rationales")
        self._recorder.writer.copy(source, self._layout.eraser_results)
        return self._recorder.note_saved(self._layout.eraser_results)

    def save_final_metrics(self, metrics: Mapping[str, object]) -> Path:
        """Write `metrics/final_summary.json`, and put its numbers into the registry.

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
            InvalidNameError: if the name is no valid file name on every system.
            TypeError: if `metrics` is not a mapping.
        """
        if name == "final_summary":
            return self.save_final_metrics(metrics)
        return self._save_mapping(name, metrics)

    def save_artifact(self, artifact: object, name: str | None = None) -> Path:
        """Put a file, a folder or an object into `results/`.

        Args:
            artifact: a path (a string or a path object) is copied; bytes are written as they are; any other object
                is written in the format that the suffix of `name` selects.
            name: its name in `results/`; by default the last part of the path.

        Returns:
            The file or folder in `results/`.

        Raises:
            FileNotFoundError: if there is nothing at the path.
            UnknownSuffixError: if an object is given no name, or one whose suffix names no known format.
            InvalidNameError: if the name leads out of the folder, or is no valid file name on every system.
        """
        if isinstance(artifact, str | os.PathLike):
            source = _find_source(artifact)
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
        """Write a figure of matplotlib or plotly into `results/`, from where a report shows it.

        Args:
            figure: a figure, or an object that has one, such as the `Axes` that a plot of pandas returns.
            name: its name in `results/`. A name without a suffix gets `.png` for matplotlib and `.json` for plotly,
                which `plotly.io.read_json` reads back and a report shows live. matplotlib can write .png, .svg,
                .pdf, .jpg and .webp. plotly can write .json and .html, and with kaleido the same images.

        Returns:
            The file.

        Raises:
            TypeError: if it is no figure.
            UnknownSuffixError: if the suffix names no format that the library writes.
            InvalidNameError: if the name leads out of the folder, or is no valid file name on every system.
            MissingExtraError: if plotly is to make an image and kaleido is not installed.

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
        """Add tags, which are words to find the experiment by; a tag that it has already is not added twice."""
        with self._recorder.lock:
            self._recorder.change_quietly(tags=tuple(dict.fromkeys([*self.tags, *as_tags(tags)])))

    def finish(self, status: str = "completed", notes: str | None = None) -> None:
        """Record how the experiment ended; whatever ends the block afterwards does not change that.

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
        content = to_jsonable(metrics)
        if not isinstance(content, dict):
            raise TypeError(
                f"metrics of type {type(metrics).__name__} have no names; pass a mapping such as {{'f1': 0.9}}"
            )
        return self._recorder.save_json(
            self._layout.metrics_file(identifiers.check_file_name("metrics name", name)), content
        )


def _merge_metrics(metrics: object, named: dict[str, object]) -> Mapping[str, object] | None:
    """All metrics to log in one mapping; None if `metrics` has no names and there are no others."""
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
    """The status that a program gives when it ends an experiment.

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


def _find_source(path: StrPath) -> Path:
    found = Path(path).expanduser()
    try:
        is_there = found.exists()
    except (OSError, ValueError):
        # A text that was meant as the object itself may be too long for a path, or hold a NUL.
        is_there = False
    if not is_there:
        raise FileNotFoundError(
            f"there is nothing at {str(found)[:_PATH_SHOWN]} (working directory {Path.cwd()}) to copy into "
            "the experiment; check the path, or pass the object itself with a name"
        )
    return found
