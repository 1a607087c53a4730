"""`ExperimentManager`: the legacy API and ours, on one base directory.

The methods only document and delegate: `Catalog` looks experiments up, `ManualRuns` starts and ends them by separate
calls, and other packages do the rest. Each method imports what it needs when it is called.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date, datetime, timedelta
    from pathlib import Path
    from typing import Concatenate, ParamSpec, TypeVar, Unpack

    import pandas as pd

    from runbook.api.catalog import Catalog
    from runbook.api.manual_runs import ManualRuns
    from runbook.api.tracking import ExperimentBlock, TrackedDecorator
    from runbook.compare.comparison import Comparison
    from runbook.compare.groups import GroupComparison
    from runbook.index import Index
    from runbook.maintain.doctor import Finding
    from runbook.maintain.garbage import GarbageReport
    from runbook.query.search import QueryOptions
    from runbook.read.listing import ExperimentList
    from runbook.read.view import ExperimentView
    from runbook.run.experiment import Experiment
    from runbook.transfer.merge import MergeReport
    from runbook.typing import ExperimentOptions, ProgressHook, StrPath, TrackedOptions

    E = TypeVar("E", bound=Experiment)
    P = ParamSpec("P")
    R = TypeVar("R")


class ExperimentManager:
    """The experiments of one base directory.

    Any number of managers, processes and machines may work on one base directory.

    Args:
        base_dir: the base directory; by default `RUNBOOK_DIR`, else `./experiments`. It is made if it is missing.
        registry_file: the file name of the registry in it.

    Raises:
        BaseDirectoryError: if the base directory is a file.

    Example:
        >>> manager = ExperimentManager("./experiments")  # doctest: +SKIP
        >>> folder = manager.create_experiment({"lr": 0.1}, custom_name="baseline")  # doctest: +SKIP
        >>> manager.save_final_metrics({"f1": 0.9})  # doctest: +SKIP
        >>> manager.mark_complete()  # doctest: +SKIP
    """

    def __init__(self, base_dir: StrPath | None = None, registry_file: str = "experiment_registry.json") -> None:
        from pathlib import Path

        from runbook import environ
        from runbook.index import open_index
        from runbook.record import identifiers
        from runbook.record.layout import BaseLayout
        from runbook.storage import base_directory

        self._shown_base = environ.base_dir(base_dir)
        self._registry_file = identifiers.check_file_name("registry file name", registry_file)
        self._layout = BaseLayout(Path(self._shown_base).expanduser().absolute(), registry_file)
        self._index = open_index(self._layout, self._shown_base)
        if not environ.is_disabled():
            base_directory.check(self._layout)

    def __repr__(self) -> str:
        return f"ExperimentManager({self._shown_base!r})"

    def __reduce__(self) -> tuple[type[ExperimentManager], tuple[str, str]]:
        # Its experiments belong to this process, so a copy in another process starts without any.
        return type(self), (self._shown_base, self._registry_file)

    @functools.cached_property
    def _catalog(self) -> Catalog:
        from runbook.api.catalog import Catalog

        return Catalog(self._index, self._shown_base)

    @functools.cached_property
    def _manual(self) -> ManualRuns:
        from runbook.api.manual_runs import ManualRuns

        return ManualRuns(self._index)

    def _writable_index(self) -> Index | None:
        """The index that new experiments go into; None if tracking is disabled."""
        from runbook import environ

        return None if environ.is_disabled() else self._index

    @property
    def base_dir(self) -> Path:
        """The base directory, as an absolute path."""
        return self._layout.root

    def create_experiment(
        self, config: object = None, custom_name: str | None = None, description: str | None = None
    ) -> Path:
        """Start an experiment that `mark_complete` will end.

        If the program ends without `mark_complete`, the experiment is interrupted, or failed if an exception ended
        the program. If the same thread starts another experiment first, this one is interrupted and abandoned.

        Args:
            config: the settings; its `save_dir`, if it has one, is set to the experiment's checkpoints folder.
            custom_name: any string.
            description: what the experiment tests.

        Returns:
            The folder of the experiment.

        Raises:
            ConfigError: if the config holds no settings.
            BaseDirectoryError: if the base directory cannot be used.
        """
        return self._manual.create(config, custom_name, description, self._writable_index()).path

    def save_training_history(self, history: object = None) -> Path:
        """Save the history: a dict of lists, a list of dicts, a Keras `History`, or None for the live history."""
        return self._manual.active("save_training_history").save_training_history(history)

    def save_predictions(self, results: object, filename: str = "test_predictions.pkl") -> Path:
        """Save predictions in `results/`, in the format that the suffix of the filename selects."""
        return self._manual.active("save_predictions").save_predictions(results, filename)

    def save_bias_metrics(self, gmb_metrics: object, bias_details: object = None) -> Path:
        """Save bias metrics: `{"gmb_metrics": …, "bias_details": …}`."""
        return self._manual.active("save_bias_metrics").save_bias_metrics(gmb_metrics, bias_details)

    def save_xai_metrics(self, xai_metrics: object) -> Path:
        """Save faithfulness metrics."""
        return self._manual.active("save_xai_metrics").save_xai_metrics(xai_metrics)

    def save_eraser_results(self, results_path: StrPath) -> Path:
        """Copy rationales in ERASER's form into the experiment."""
        return self._manual.active("save_eraser_results").save_eraser_results(results_path)

    def save_figure(self, figure: object, name: str) -> Path:
        """Save a figure of matplotlib or plotly in `results/`; see `Experiment.save_figure`."""
        return self._manual.active("save_figure").save_figure(figure, name)

    def save_final_metrics(self, metrics: Mapping[str, object]) -> Path:
        """Save the final metrics, and put their numbers into the registry."""
        return self._manual.active("save_final_metrics").save_final_metrics(metrics)

    def mark_complete(self, status: str = "completed", notes: str | None = None) -> None:
        """End the active experiment.

        Args:
            status: completed, failed or interrupted.
            notes: added to its notes.

        Raises:
            NoActiveExperimentError: if there is none.
            UnknownStatusError: for any other status; the experiment keeps running.
        """
        self._manual.mark_complete(status, notes)

    def experiment(self, config: object = None, **options: Unpack[ExperimentOptions]) -> ExperimentBlock:
        """`runbook.experiment`, in this base directory."""
        from runbook.api.tracking import ExperimentBlock
        from runbook.run import lifecycle
        from runbook.run.plan import make_plan

        return ExperimentBlock(lifecycle.Lifecycle(make_plan(config, **options), self._writable_index()))

    @overload
    def tracked(self, function: Callable[Concatenate[E, P], R], /) -> Callable[P, R]: ...
    @overload
    def tracked(self, function: Callable[P, R], /) -> Callable[P, R]: ...
    @overload
    def tracked(self, /, **options: Unpack[TrackedOptions]) -> TrackedDecorator: ...
    def tracked(self, function: Any = None, /, **given: Any) -> Any:
        """`runbook.tracked`, in this base directory."""
        from runbook.api.decorator import decorate

        return decorate(function, self._writable_index, given)

    def list_experiments(self, status: str | None = None) -> ExperimentList:
        """All experiments, oldest first, as dicts with the legacy fields and ours.

        Args:
            status: select only experiments with this status.

        Raises:
            UnknownStatusError: if there is no such status.
        """
        from runbook import errors
        from runbook.record.status import Status

        if status is not None and status not in set(Status):
            raise errors.UnknownStatusError(status, [known.value for known in Status])
        return self._catalog.select(lambda entry: status is None or entry.get("status") == status)

    def find(
        self,
        where: str | None = None,
        *,
        status: str | Iterable[str] | None = None,
        tag: str | Iterable[str] = (),
        name: str | None = None,
        since: datetime | date | timedelta | str | None = None,
        until: datetime | date | timedelta | str | None = None,
        sort: str | Iterable[str] | None = None,
        limit: int | None = None,
    ) -> ExperimentList:
        """The experiments that match, newest first, in the form of `list_experiments`.

        Args:
            where: an expression over the fields, such as `config.lr < 1e-4 and metrics.test_f1 > 0.8`;
                `runbook.query.parser` documents its grammar. A comparison with a field that an experiment does not
                have is false.
            status: one status or several.
            tag: one tag or several; an experiment must have all of them.
            name: a shell pattern, case-sensitive: `baseline*`.
            since: the earliest start: a time or date, local if it has no offset, an ISO 8601 text, or how long ago,
                as a timedelta or as text: "45m", "3h", "2d", "1w".
            until: the latest start, not included; a date includes that day.
            sort: one field or several, "-metrics.test_f1" for the largest first. Experiments without it come last.
            limit: the largest number of experiments.

        Raises:
            QueryError: if an argument cannot be read, or names a field that no experiment has.
            UnknownStatusError: if there is no such status.

        Example:
            >>> manager.find("metrics.test_f1 > 0.8", since="2d", sort="-metrics.test_f1")  # doctest: +SKIP
        """
        return self._catalog.find(
            where, status=status, tag=tag, name=name, since=since, until=until, sort=sort, limit=limit
        )

    def to_dataframe(self, where: str | None = None, **options: Unpack[QueryOptions]) -> pd.DataFrame:
        """The experiments that match, as a data frame of pandas with columns such as `config.lr` and `metrics.f1`.

        Args:
            where: an expression; None for all experiments.
            options: the other arguments of `find`.

        Returns:
            One row for each experiment, newest first by default; for its columns see `ExperimentList.to_dataframe`.

        Raises:
            MissingExtraError: if pandas is not installed.
            QueryError: as `find`.

        Example:
            >>> frame = manager.to_dataframe("metrics.f1 > 0.8", status="completed")  # doctest: +SKIP
            >>> frame.groupby("config.optim.lr")["metrics.f1"].agg(["mean", "std"])  # doctest: +SKIP
        """
        return self.find(where, **options).to_dataframe()

    def _repr_html_(self) -> str:
        return self._catalog.to_html()

    def print_experiment_summary(self) -> None:
        """Print a table of all experiments."""
        self._catalog.print_summary()

    def get_experiment(self, experiment_id: str) -> ExperimentView:
        """A read-only view of one experiment, running or ended.

        Args:
            experiment_id: an id, the beginning of one, a name (which means its latest experiment), the path of the
                experiment's folder, `latest`, or `@2` for the one before the latest and so on.

        Raises:
            ExperimentNotFoundError: if there is none; the message names the nearest.
            AmbiguousExperimentError: if it is the beginning of several ids.
        """
        (view,) = self.get_experiments([experiment_id])
        return view

    def get_experiments(self, experiment_ids: Iterable[str]) -> list[ExperimentView]:
        """Read-only views of several experiments; the registry is read once for all of them.

        Args:
            experiment_ids: each as for `get_experiment`.

        Raises:
            ExperimentNotFoundError: if there is no such experiment.
            AmbiguousExperimentError: if one is the beginning of several ids.
        """
        return self._catalog.views(experiment_ids)

    def get_experiment_path(self, experiment_id: str) -> Path:
        """The folder of one experiment; for arguments and errors see `get_experiment`."""
        return self._layout.experiment(self._catalog.resolve_id(experiment_id)).root

    def compare_experiments(
        self, experiment_ids: Iterable[str], *, minimize: Iterable[str] = (), maximize: Iterable[str] = ()
    ) -> Comparison:
        """Configs and results of several experiments side by side.

        Args:
            experiment_ids: ids, beginnings of ids or names.
            minimize: metrics that are better when they are lower, if their names do not show that.
            maximize: metrics that are better when they are higher.

        Returns:
            A dict that prints as a table: `{"experiments": [{"experiment_id", "custom_name", "status", "config",
            "metrics"}, …], "config_diff": {dotted key: {experiment_id: value}}, …}`. `config_diff` has only the keys
            that differ.

        Raises:
            ExperimentNotFoundError: if there is no such experiment.
            ComparisonError: for a metric that none of them has.
        """
        from runbook.compare import comparison

        ids = [experiment_ids] if isinstance(experiment_ids, str) else experiment_ids
        views = self.get_experiments(ids)
        return comparison.compare(views, minimize=minimize, maximize=maximize)

    def compare_groups(
        self,
        by: str | Iterable[str] = "config",
        ids: Iterable[str] | None = None,
        *,
        where: str | None = None,
        status: str | Iterable[str] = "completed",
        metrics: Iterable[str] | None = None,
        minimize: Iterable[str] = (),
        maximize: Iterable[str] = (),
        predictions: str | None = None,
        allow_pickle: bool = False,
    ) -> GroupComparison:
        """Groups of experiments with mean, standard deviation, 95 % interval, and tests of the differences.

        Welch's test compares each pair of groups. Holm's rule corrects the p-values of all pairs and metrics together,
        and Hedges' g measures the size of each difference. A group of fewer than 3 experiments is not tested.

        Args:
            by: "config" for one group for each config, apart from seeds and output folders; or one field or several,
                such as "config.lr", "lr", "name", "tags".
            ids: ids, beginnings of ids or names of the experiments; by default all, oldest first.
            where: an expression that selects experiments, as for `find`.
            status: the statuses that count; the result states how many experiments are left out.
            metrics: the metrics to compare; by default all that are numbers. With fewer metrics, fewer tests have to
                be corrected.
            minimize: metrics that are better when they are lower, if their names do not show that.
            maximize: metrics that are better when they are higher.
            predictions: the name of a file that `save_predictions` wrote in the experiments of two groups, with
                columns `y_true` and `y_pred` (or `target` and `prediction`). A paired bootstrap compares their
                accuracy on the same examples.
            allow_pickle: whether that file may be a pickle. Loading a pickle runs code that it contains.

        Raises:
            ComparisonError: if there is nothing to compare, no such metric, or the predictions do not match.
            QueryError: if `by` or `where` cannot be read, or names a field that no experiment has.
            ExperimentNotFoundError: if there is no such experiment.
            PickleNotAllowedError: if the predictions are a pickle and `allow_pickle` is False.
            MissingExtraError: if SciPy is not installed; `pip install "runbook[stats]"`.

        Example:
            >>> print(manager.compare_groups("config.lr", metrics=["test_f1"]).to_text())  # doctest: +SKIP
        """
        return self._catalog.compare_groups(
            by,
            ids,
            where,
            metrics=metrics,
            minimize=minimize,
            maximize=maximize,
            status=status,
            predictions=predictions,
            allow_pickle=allow_pickle,
        )

    def report(
        self, path: StrPath, ids: Sequence[str] | None = None, *, progress: Callable[[int, int], None] | None = None
    ) -> Path:
        """Write experiments into one HTML file that opens from disk; see `runbook.pages.report.write_report`."""
        from runbook.pages.report import write_report

        return write_report(self, ids, path, progress=progress)

    def export_experiment(
        self, experiment_id: str, export_path: StrPath, *, progress: ProgressHook | None = None
    ) -> Path:
        """Copy an experiment, as a folder or as one file.

        Args:
            experiment_id: an id, the beginning of one, or a name.
            export_path: the directory that gets the copy of the folder, named by the experiment's id; or a path that
                ends in `.zip`, for one file with a manifest of checksums.
            progress: called with the number of bytes that are copied, and of all bytes. An error that it raises ends
                the export, and nothing of the copy is left.

        Returns:
            The path of the copy.

        Raises:
            ExperimentNotFoundError: if there is no such experiment.
            TargetExistsError: if the target exists already.
        """
        from pathlib import Path

        from runbook.transfer import bundle

        target = Path(export_path).expanduser()
        export = bundle.export_zip if target.suffix.lower() == ".zip" else bundle.export_folder
        return export(self.get_experiment(experiment_id), target, progress)

    def import_experiment(
        self,
        path: StrPath,
        on_conflict: Literal["rename", "skip", "error"] = "error",
        *,
        progress: ProgressHook | None = None,
    ) -> str | None:
        """Import an experiment that was exported; nothing in it is unpickled or run.

        Args:
            path: a `.zip` of `export_experiment`, or a copy of an experiment's folder.
            on_conflict: what to do if another experiment has its id: "rename" gives the imported one a free id,
                "skip" does not import it, "error" raises. The same experiment with the same content is always skipped.
            progress: called with the number of bytes that are read and checked, and of all bytes. An error that it
                raises ends the import, and nothing of the experiment is left.

        Returns:
            Its id in this base directory; None if it was skipped.

        Raises:
            BundleError: if it is no bundle, or its content does not match its manifest; nothing is left behind.
            ExperimentExistsError: if its id is taken and `on_conflict` is "error".
        """
        from pathlib import Path

        from runbook.storage import base_directory
        from runbook.transfer import import_

        base_directory.prepare(self._layout)
        return import_.import_bundle(self._index, Path(path).expanduser(), on_conflict, progress=progress)

    def merge(self, other_base_dir: StrPath, *, progress: ProgressHook | None = None) -> MergeReport:
        """Copy all experiments of another base directory into this one.

        You can merge base directories in any order, merge twice, and run an interrupted merge again; nothing is
        overwritten. If both have the same experiment in different states, the later state is kept and the earlier one
        goes into the trash. If different experiments have the same id, both are kept, the other one under a free id.

        Args:
            other_base_dir: the other base directory; it is only read.
            progress: called with the number of experiments that are done, and of all. An error that it raises ends
                the merge; each experiment that was merged before is complete.

        Returns:
            What was done with each of the other experiments.
        """
        from pathlib import Path

        from runbook.storage import base_directory
        from runbook.transfer import merge

        base_directory.prepare(self._layout)
        return merge.merge(self._index, Path(other_base_dir).expanduser(), progress)

    def delete_experiment(self, experiment_id: str) -> Path:
        """Move an experiment into the trash; `restore_experiment` moves it back.

        Returns:
            Its folder in the trash.

        Raises:
            ExperimentNotFoundError: if there is no such experiment.
            UsageError: if it is running.
        """
        from runbook.maintain import trash

        return trash.delete(self._index, experiment_id)

    def restore_experiment(self, experiment_id: str) -> str:
        """Move an experiment back from the trash.

        Returns:
            Its id.

        Raises:
            ExperimentNotFoundError: if it is not in the trash.
        """
        from runbook.maintain import trash

        return trash.restore(self._index, experiment_id)

    def list_trash(self) -> ExperimentList:
        """The experiments in the trash, in the form of `list_experiments`, with `deleted_at`."""
        from runbook.maintain import trash
        from runbook.read.listing import list_of_entries

        return list_of_entries(trash.list_trashed(self._index))

    def empty_trash(self) -> int:
        """Delete for good what is in the trash.

        Returns:
            The number of experiments that were deleted.
        """
        from runbook.maintain import trash

        return trash.empty(self._index)

    def collect_garbage(
        self, *, trash_older_than: timedelta | None = None, dry_run: bool = False, progress: ProgressHook | None = None
    ) -> GarbageReport:
        """Free disk space: delete for good what is in the trash and in quarantine, and leftovers of dead processes.

        No experiment outside of the trash changes.

        Args:
            trash_older_than: keep what was deleted more recently than this, and what has no known time of deletion;
                None keeps nothing.
            dry_run: change nothing, and only report what would be deleted.
            progress: called with the number of items that are done, and of all items.

        Returns:
            What was deleted, or would be: `.experiments`, `.leftovers`, `.freed_bytes`, and what `.failed`.

        Raises:
            UsageError: if `trash_older_than` is negative.
            BaseDirectoryError: if the trash is a link.

        Example:
            >>> manager.collect_garbage(trash_older_than=timedelta(days=30)).freed_bytes  # doctest: +SKIP
            1048576
        """
        from runbook.maintain import garbage

        return garbage.collect(self._index, older_than=trash_older_than, is_dry_run=dry_run, progress=progress)

    def doctor(self) -> list[Finding]:
        """Findings about the base directory: what is wrong, with a hint, and what its file system guarantees.

        Nothing is changed.

        Example:
            >>> for finding in manager.doctor():  # doctest: +SKIP
            ...     print(finding)
        """
        from runbook.maintain import doctor

        return doctor.diagnose(self._index)

    def repair(self) -> list[Finding]:
        """Repair what can be repaired; what is in the way is quarantined in `.set-aside/`, and nothing is deleted.

        Returns:
            The findings that were repaired.
        """
        from runbook.maintain import doctor

        return doctor.repair(self._index)

    def declare_ended(self, experiment_id: str, status: str = "interrupted", notes: str | None = None) -> None:
        """Record the end of an experiment whose process cannot be checked from this machine.

        Args:
            experiment_id: an id, the beginning of one, or a name.
            status: completed, failed or interrupted.
            notes: added to its notes.

        Raises:
            UsageError: if it is alive, or has ended already.
            UnknownStatusError: for any other status.
        """
        from runbook.maintain import doctor
        from runbook.record import identifiers
        from runbook.run.experiment import ending_status

        found = identifiers.resolve_id(experiment_id, self._index.summaries(), self._shown_base)
        doctor.declare_ended(self._index, found, ending_status(status), notes)

    def add_note(self, experiment_id: str, text: str) -> None:
        """Add a note to an experiment that is running or has ended.

        The note becomes a line of the experiment's `logs/annotations.jsonl`, and is shown below the experiment's own
        notes. An experiment of the legacy tool has no record; its note becomes part of its entry in the registry.

        Args:
            experiment_id: an id, the beginning of one, or a name.
            text: the note; it may have several lines.

        Raises:
            ExperimentNotFoundError: if there is no such experiment.
            OSError: if it cannot be written.

        Example:
            >>> manager.add_note("baseline", "the loss explodes at epoch 3")  # doctest: +SKIP
        """
        from runbook.maintain.annotate import annotate

        annotate(self._index, experiment_id, note=str(text))

    def add_tags(self, experiment_id: str, *tags: str) -> None:
        """Add tags to an experiment that is running or has ended; for arguments and errors see `add_note`."""
        from runbook.maintain.annotate import annotate
        from runbook.run.experiment import as_tags

        annotate(self._index, experiment_id, tags=as_tags(tags))

    def remove_tags(self, experiment_id: str, *tags: str) -> None:
        """Remove tags from an experiment that is running or has ended; for arguments and errors see `add_note`.

        A tag that it does not have is no error. Annotations win over the record: when the experiment itself adds a
        removed tag again, it stays removed; only `add_tags` of the manager adds it again.
        """
        from runbook.maintain.annotate import annotate
        from runbook.run.experiment import as_tags

        annotate(self._index, experiment_id, untags=as_tags(tags))
