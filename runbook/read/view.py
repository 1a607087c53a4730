"""Reading an experiment, whether it runs or has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook.record import identifiers, upgrades
from runbook.serialize import json_text
from runbook.serialize.flatten import restore_floats
from runbook.storage import history, progress

if TYPE_CHECKING:
    from pathlib import Path

    from runbook.record.layout import ExperimentLayout
    from runbook.record.model import ExperimentRecord
    from runbook.record.status import EndReason, Status
    from runbook.storage.progress import Progress
    from runbook.typing import Json, JsonObject


class ExperimentView:
    """One experiment, read-only.

    The record is the one from the moment in which the view was made; each method reads its file when it is called.
    `manager.get_experiment(id)` makes one.

    Args:
        layout: the paths of its files.
        record: its record.
    """

    def __init__(self, layout: ExperimentLayout, record: ExperimentRecord) -> None:
        self._layout = layout
        self._snapshot = record

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status}>"

    def _repr_html_(self) -> str:
        from runbook.render import notebook

        return notebook.record_html(self._record)

    @property
    def _record(self) -> ExperimentRecord:
        return self._snapshot

    @property
    def id(self) -> str:
        """The name of its folder, unique in the base directory."""
        return self._record.experiment_id

    @property
    def name(self) -> str | None:
        """The name that the user gave it, exactly."""
        return self._record.custom_name

    @property
    def description(self) -> str | None:
        """What it tests, in the user's words; None without a description."""
        return self._record.description

    @property
    def status(self) -> Status:
        """Whether it runs, or how it ended."""
        return self._record.status

    @property
    def end_reason(self) -> EndReason | None:
        """What ended it, in one word; None while it runs."""
        return self._record.end_reason

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags, the words by which the user finds it."""
        return self._record.tags

    @property
    def notes(self) -> str | None:
        """The user's notes, one a line."""
        return self._record.notes

    @property
    def metrics(self) -> dict[str, Any]:
        """The final metrics, flat with dotted names; the last logged values where none were saved."""
        return _restore_metrics(self._record.metrics)

    @property
    def attempt(self) -> int:
        """The number of its last attempt: 1 unless it was resumed."""
        return max(1, len(self._record.attempts))

    @property
    def parent(self) -> str | None:
        """The id of the experiment inside which it was started; None without one."""
        return self._record.parent

    @property
    def config(self) -> Any:
        """The config as JSON-compatible data."""
        return self._record.config

    def _folder(self) -> ExperimentLayout:
        return self._layout

    @property
    def path(self) -> Path:
        """Its folder."""
        return self._folder().root

    @property
    def checkpoints_dir(self) -> Path:
        """The folder for the model's own files."""
        return self._folder().checkpoints

    @property
    def results_dir(self) -> Path:
        """The folder of predictions and other artifacts."""
        return self._folder().results

    @property
    def metrics_dir(self) -> Path:
        """The folder of all metrics."""
        return self._folder().metrics

    @property
    def logs_dir(self) -> Path:
        """The folder of the traceback, the environment and other logs."""
        return self._folder().logs

    def history(self, *, rewound: bool = False) -> dict[str, list[Any]]:
        """The logged metrics as columns: `step`, `time` (ISO 8601, UTC), then each metric, None where it is missing.

        Args:
            rewound: whether to include rows that a later attempt replaced because it resumed from an earlier step,
                and a column `attempt`, counted from 1; by default each step is there once.

        Raises:
            DamagedFileError: if a line other than a torn last one cannot be understood.

        Example:
            >>> manager.get_experiment("baseline").history()["loss"]  # doctest: +SKIP
            [0.9, 0.5, 0.3]
        """
        rows = history.read_rows(self._layout.history)
        starts = [attempt.history_lines for attempt in self._record.attempts[1:]]
        if not rewound:
            return history.columns(history.without_rewound(rows, starts))
        attempts = [1 + sum(start <= line for start in starts) for line in range(len(rows))]
        return history.columns(rows) | {"attempt": attempts}

    @property
    def last_progress(self) -> Progress | None:
        """How far it had come when it last called `progress`; None if it never did."""
        return progress.read(self._layout.progress)

    def load_metrics(self, name: str = "final_summary") -> dict[str, Any]:
        """Metrics that were saved whole.

        Args:
            name: as given to `save_metrics`, or one of `final_summary`, `training_history`, `bias_metrics`,
                `xai_metrics`.

        Raises:
            FileNotFoundError: if none were saved under that name.
            DamagedFileError: if the file is not a JSON object.
        """
        return _restore_metrics(
            json_text.read_object(self._layout.metrics_file(identifiers.check_file_name("metrics name", name)))
        )

    def load_predictions(self, filename: str = "test_predictions.pkl", *, allow_pickle: bool = False) -> Any:
        """Predictions, or another artifact from `results/`, read in the format of its suffix.

        Args:
            filename: as given to `save_predictions`.
            allow_pickle: whether to load a pickle, which runs code that it contains.

        Raises:
            PickleNotAllowedError: if it is a pickle and `allow_pickle` is False.
            UnknownSuffixError: if the suffix names no known format.
            FileNotFoundError: if there is no such file.
        """
        identifiers.check_file_name("file name", filename)
        from runbook.serialize import formats

        return formats.load(self._layout.results / filename, allow_pickle=allow_pickle)

    def load_environment(self) -> JsonObject:
        """The environment in which it ran: interpreter, packages, git, command line, host.

        Raises:
            FileNotFoundError: for an experiment of the legacy tool, which did not record it.
        """
        return upgrades.upgrade(json_text.read_object(self._layout.environment), upgrades.ENVIRONMENT_STEPS)


def _restore_metrics(metrics: JsonObject) -> dict[str, Any]:
    return {name: restore_floats(value) for name, value in metrics.items()}


def final_metrics(layout: ExperimentLayout, record: ExperimentRecord) -> dict[str, Json]:
    """The final metrics, nested as they were saved; the flat ones of the record where no file has them."""
    try:
        return json_text.read_object(layout.final_summary)
    except FileNotFoundError:
        return record.metrics


def record_of(view: ExperimentView) -> ExperimentRecord:
    """The record of an experiment."""
    return view._record  # noqa: SLF001 - the public class shows only what users may call


def layout_of(view: ExperimentView) -> ExperimentLayout:
    """The paths of an experiment's files."""
    return view._layout  # noqa: SLF001 - see above
