"""`ExperimentManager`: the legacy API, each method a few lines that delegate.

Here it writes; what it can be asked stands in `asking`, what is done to experiments afterwards in `keeping`.
What the methods delegate to is imported when it is called for, as in `runbook.api.tracking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from runbook.api.manager_maintain import Keeping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Concatenate, ParamSpec, TypeVar, Unpack

    from runbook.api.tracking import ExperimentBlock, TrackedDecorator
    from runbook.index import Index
    from runbook.run.experiment import Experiment
    from runbook.run.lifecycle import Lifecycle
    from runbook.typing import ExperimentOptions, StrPath, TrackedOptions

    E = TypeVar("E", bound=Experiment)
    P = ParamSpec("P")
    R = TypeVar("R")


class ExperimentManager(Keeping):
    """The experiments of one base directory.

    Any number of managers, processes and machines may work on one base directory.

    Args:
        base_dir: where experiments are kept; by default `RUNBOOK_DIR`, else `./experiments`. Made if it is missing.
        registry_file: the name of the index in it.

    Raises:
        BaseDirectoryError: if the base directory is a file.

    Example:
        >>> manager = ExperimentManager("./experiments")  # doctest: +SKIP
        >>> folder = manager.create_experiment({"lr": 0.1}, custom_name="baseline")  # doctest: +SKIP
        >>> manager.save_final_metrics({"f1": 0.9})  # doctest: +SKIP
        >>> manager.mark_complete()  # doctest: +SKIP
    """

    def __init__(self, base_dir: StrPath | None = None, registry_file: str = "experiment_registry.json") -> None:
        super().__init__(base_dir, registry_file)
        self._created: list[Lifecycle] = []

    def __repr__(self) -> str:
        return f"ExperimentManager({self._shown_base!r})"

    def __reduce__(self) -> tuple[type[ExperimentManager], tuple[str, str]]:
        # What it created belongs to this process; a worker that receives a manager gets one of its own.
        return type(self), (self._shown_base, self._registry_file)

    def create_experiment(
        self, config: object = None, custom_name: str | None = None, description: str | None = None
    ) -> Path:
        """Start an experiment that `mark_complete` will end.

        Without `mark_complete` it counts as interrupted when the program ends, or as failed when an exception ended
        the program. One that is started in its place, in the same thread, counts as abandoning it.

        Args:
            config: the settings; its `save_dir`, if it has one, is pointed at the experiment's checkpoints folder.
            custom_name: any string.
            description: what it tests.

        Returns:
            The folder of the experiment.

        Raises:
            ConfigError: if the config holds no settings.
            BaseDirectoryError: if the base directory cannot be used.
        """
        from runbook.messages import warn
        from runbook.run import endings, lifecycle
        from runbook.run.plan import make_plan

        what = make_plan(config, name=custom_name, description=description)
        for former in [life for life in lifecycle.open_here() if life in self._created]:
            warn(f"{former.experiment.id} was never marked complete and is abandoned for a new experiment")
            former.close(ending=endings.ABANDONED)
        life = lifecycle.Lifecycle(what, self._index(), is_manual=True)
        experiment = life.open()
        life.activate()
        self._created = [*(other for other in self._created if other.is_open), life]
        return experiment.path

    def save_training_history(self, history: object = None) -> Path:
        """Save the training history: a dict of lists, a list of dicts, a Keras `History`, or None for the live log."""
        return self._active("save_training_history").save_training_history(history)

    def save_predictions(self, results: object, filename: str = "test_predictions.pkl") -> Path:
        """Save predictions in `results/`, in the format that the suffix of the name stands for."""
        return self._active("save_predictions").save_predictions(results, filename)

    def save_bias_metrics(self, gmb_metrics: object, bias_details: object = None) -> Path:
        """Save bias metrics: `{"gmb_metrics": …, "bias_details": …}`."""
        return self._active("save_bias_metrics").save_bias_metrics(gmb_metrics, bias_details)

    def save_xai_metrics(self, xai_metrics: object) -> Path:
        """Save faithfulness metrics."""
        return self._active("save_xai_metrics").save_xai_metrics(xai_metrics)

    def save_eraser_results(self, results_path: StrPath) -> Path:
        """Copy rationales in ERASER's form into the experiment."""
        return self._active("save_eraser_results").save_eraser_results(results_path)

    def save_figure(self, figure: object, name: str) -> Path:
        """Save a figure of matplotlib or plotly in `results/`; see `Experiment.save_figure`."""
        return self._active("save_figure").save_figure(figure, name)

    def save_final_metrics(self, metrics: Mapping[str, object]) -> Path:
        """Save the final metrics, and show their numbers in the registry."""
        return self._active("save_final_metrics").save_final_metrics(metrics)

    def mark_complete(self, status: str = "completed", notes: str | None = None) -> None:
        """End the active experiment.

        Args:
            status: completed, failed or interrupted.
            notes: added to its notes.

        Raises:
            NoActiveExperimentError: if there is none.
            UnknownStatusError: for any other status; the experiment goes on.
        """
        from runbook.run import lifecycle

        experiment = self._active("mark_complete")
        life = lifecycle.lifecycle_of(experiment)
        if life is not None and life.is_manual:
            life.mark(status, notes)
        else:
            experiment.finish(status, notes)

    def report(
        self, path: StrPath, ids: Sequence[str] | None = None, *, progress: Callable[[int, int], None] | None = None
    ) -> Path:
        """Write experiments into one HTML file that opens from disk; see `runbook.pages.report.write_report`."""
        from runbook.pages.report import write_report

        return write_report(self, ids, path, progress=progress)

    def experiment(self, config: object = None, **options: Unpack[ExperimentOptions]) -> ExperimentBlock:
        """`runbook.experiment`, in this base directory."""
        from runbook.api.tracking import ExperimentBlock
        from runbook.run import lifecycle
        from runbook.run.plan import make_plan

        return ExperimentBlock(lifecycle.Lifecycle(make_plan(config, **options), self._index()))

    @overload
    def tracked(self, function: Callable[Concatenate[E, P], R], /) -> Callable[P, R]: ...
    @overload
    def tracked(self, function: Callable[P, R], /) -> Callable[P, R]: ...
    @overload
    def tracked(self, /, **options: Unpack[TrackedOptions]) -> TrackedDecorator: ...
    def tracked(self, function: Any = None, /, **given: Any) -> Any:
        """`runbook.tracked`, in this base directory."""
        from runbook.api.decorator import decorated

        return decorated(function, self._index, given)

    def _index(self) -> Index | None:
        from runbook import environ

        return None if environ.is_disabled() else self._registry

    def _active(self, operation: str) -> Experiment:
        """The experiment that a call without an id means."""
        from runbook import errors
        from runbook.run import lifecycle

        here = list(lifecycle.open_here())
        # Its own before those of another manager of the same base directory.
        for life in here:
            if life.registry is self._registry:
                return life.experiment
        for life in here:
            if life.experiment.path.parent == self.base_dir:
                return life.experiment
        # A helper thread saves into what the program runs, as long as there is no doubt which that is.
        running = [life for life in self._created if life.is_open]
        if len(running) == 1:
            return running[0].experiment
        if running:
            raise errors.NoActiveExperimentError(
                operation, f"{len(running)} experiments are active, none of them started by this thread"
            )
        raise errors.NoActiveExperimentError(operation)
