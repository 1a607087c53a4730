"""`ExperimentManager`: the legacy API and ours, on one base directory.

Each method says what a user gets and hands the work on: questions to the catalog, experiments of separate calls to
`ManualRuns`, everything else to the package that does it. All of that is imported when a method is called.
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
        # What it created belongs to this process; a worker that receives a manager gets one of its own.
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
        """The index that new experiments go into; None where tracking is disabled."""
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
        return self._manual.create(config, custom_name, description, self._writable_index()).path

    def save_training_history(self, history: object = None) -> Path:
        """Save the training history: a dict of lists, a list of dicts, a Keras `History`, or None for the live log."""
        return self._manual.active("save_training_history").save_training_history(history)

    def save_predictions(self, results: object, filename: str = "test_predictions.pkl") -> Path:
        """Save predictions in `results/`, in the format that the suffix of the name stands for."""
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
        """Save the final metrics, and show their numbers in the registry."""
        return self._manual.active("save_final_metrics").save_final_metrics(metrics)

    def mark_complete(self, status: str = "completed", notes: str | None = None) -> None:
        """End the active experiment.

        Args:
            status: completed, failed or interrupted.
            notes: added to its notes.

        Raises:
            NoActiveExperimentError: if there is none.
            UnknownStatusError: for any other status; the experiment goes on.
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
        from runbook.api.decorator import decorated

        return decorated(function, self._writable_index, given)

    def list_experiments(self, status: str | None = None) -> ExperimentList:
        """All experiments, oldest first, as plain dicts with the legacy fields and ours.

        Args:
            status: only those with this status.

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
        """The experiments that fit, newest first, as `list_experiments` gives them.

        Args:
            where: an expression over the fields, such as `config.lr < 1e-4 and metrics.test_f1 > 0.8`; what can be
                written in it stands in `runbook.query.parser`. A comparison with a field that an experiment does
                not have is false.
            status: one status or several.
            tag: one tag or several; an experiment must have them all.
            name: a shell pattern, case-sensitive: `baseline*`.
            since: the earliest start: a time or date, local where it has no offset, an ISO 8601 text, or how long
                ago, as a timedelta or as text: "45m", "3h", "2d", "1w".
            until: the latest start, not included; a date includes that day.
            sort: a field or several, "-metrics.test_f1" for the largest first. Experiments without it come last.
            limit: how many at most.

        Raises:
            QueryError: if one of them cannot be read, or names a field that no experiment has.
            UnknownStatusError: if there is no such status.

        Example:
            >>> manager.find("metrics.test_f1 > 0.8", since="2d", sort="-metrics.test_f1")  # doctest: +SKIP
        """
        return self._catalog.find(
            where, status=status, tag=tag, name=name, since=since, until=until, sort=sort, limit=limit
        )

    def to_dataframe(self, where: str | None = None, **options: Unpack[QueryOptions]) -> pd.DataFrame:
        """The experiments that fit as a data frame of pandas, with columns such as `config.lr` and `metrics.f1`.

        Args:
            where: an expression; None for all experiments.
            options: whatever else `find` takes.

        Returns:
            One row an experiment, newest first unless sorted; for its columns see `ExperimentList.to_dataframe`.

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
            experiment_id: an id, the beginning of one, a name, whose latest experiment is meant, the path of its
                folder, `latest`, or `@2` for the one before the latest and so on.

        Raises:
            ExperimentNotFoundError: if there is none, naming the nearest.
            AmbiguousExperimentError: if there are several.
        """
        (view,) = self.get_experiments([experiment_id])
        return view

    def get_experiments(self, experiment_ids: Iterable[str]) -> list[ExperimentView]:
        """Read-only views of several experiments, for which the registry is read once.

        Args:
            experiment_ids: each as for `get_experiment`.

        Raises:
            ExperimentNotFoundError: if there is no such experiment.
            AmbiguousExperimentError: if there are several.
        """
        return self._catalog.views(experiment_ids)

    def get_experiment_path(self, experiment_id: str) -> Path:
        """The folder of one experiment; for what it takes and raises see `get_experiment`."""
        return self._layout.experiment(self._catalog.resolve_id(experiment_id)).root

    def compare_experiments(
        self, experiment_ids: Iterable[str], *, minimize: Iterable[str] = (), maximize: Iterable[str] = ()
    ) -> Comparison:
        """Configs and results of several experiments side by side.

        Args:
            experiment_ids: ids, beginnings of ids or names.
            minimize: metrics that are better when they are lower, where their names do not say so.
            maximize: metrics that are better when they are higher.

        Returns:
            `{"experiments": [{"experiment_id", "custom_name", "status", "config", "metrics"}, …],
            "config_diff": {dotted key: {experiment_id: value}}, …}`, the latter with only the keys that differ: a dict
            that also shows itself as a table.

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
        """Groups of experiments with mean, standard deviation and 95 % interval, and whether a gap is more than noise.

        Each pair of groups is tested by Welch's test, all of them corrected together by Holm's rule, with Hedges' g
        for the size of the gap. Nothing is tested with fewer than 3 experiments in a group.

        Args:
            by: "config" for groups that differ in more than seeds and folders for output; or a field or several, such
                as "config.lr", "lr", "name", "tags".
            ids: ids, beginnings of ids or names of the experiments; by default all, oldest first.
            where: an expression for those that are wanted, as for `find`.
            status: which of them count; how many are left out is said.
            metrics: the metrics to compare; by default all that are numbers. The fewer, the less has to be corrected.
            minimize: metrics that are better when they are lower, where their names do not say so.
            maximize: metrics that are better when they are higher.
            predictions: the name of a file that `save_predictions` made in the experiments of two groups, with columns
                `y_true` and `y_pred` (or `target` and `prediction`): their accuracy on the same examples is compared
                by a paired bootstrap.
            allow_pickle: let that file be a pickle, which runs code that it contains.

        Raises:
            ComparisonError: if there is nothing to compare, no such metric, or the predictions do not match.
            QueryError: if `by` or `where` cannot be read, or names a field that no experiment has.
            ExperimentNotFoundError: if there is no such experiment.
            PickleNotAllowedError: if the predictions are a pickle and `allow_pickle` is False.
            MissingExtraError: without SciPy; `pip install "runbook[stats]"`.

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
            export_path: the directory that the copy of the folder goes into, under the experiment's id; or, when it
                ends in `.zip`, the file that is made, with a manifest of checksums.
            progress: called with how many bytes are copied, and how many there are; what it raises ends the export,
                and nothing of it is left.

        Returns:
            The path of the copy.

        Raises:
            ExperimentNotFoundError: if there is no such experiment.
            TargetExistsError: if there is something of that name already.
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
        """Take in an experiment that was exported; nothing in it is ever unpickled or run.

        Args:
            path: a `.zip` of `export_experiment`, or a copy of an experiment's folder.
            on_conflict: what happens when another experiment has its id: "rename" gives it a free one, "skip" leaves
                it out, "error" raises. The same experiment with the same content is always left out.
            progress: called with how many bytes have been read and found true, and how many there are; what it
                raises ends the import, and nothing of it is left.

        Returns:
            Its id here; None if it was left out.

        Raises:
            BundleError: if it is not what it says; nothing is left behind.
            ExperimentExistsError: if its id is taken and `on_conflict` is "error".
        """
        from pathlib import Path

        from runbook.storage import base_directory
        from runbook.transfer import import_

        base_directory.prepare(self._layout)
        return import_.import_bundle(self._index, Path(path).expanduser(), on_conflict, progress=progress)

    def merge(self, other_base_dir: StrPath, *, progress: ProgressHook | None = None) -> MergeReport:
        """Take in all experiments of another base directory.

        It is safe in any order, can be repeated, and can be interrupted and run again; nothing is overwritten. Of two
        states of one experiment the later one is kept and the earlier one goes into the trash; different experiments
        of one id are both kept, theirs under a free id.

        Args:
            other_base_dir: the other base directory; it is only read.
            progress: called with how many experiments are done, and how many there are; what it raises ends the
                merge, and what has come in by then is there whole.

        Returns:
            What became of each of its experiments.
        """
        from pathlib import Path

        from runbook.storage import base_directory
        from runbook.transfer import merge

        base_directory.prepare(self._layout)
        return merge.merge(self._index, Path(other_base_dir).expanduser(), progress)

    def delete_experiment(self, experiment_id: str) -> Path:
        """Move an experiment into the trash, from where `restore_experiment` brings it back.

        Returns:
            Where it is now.

        Raises:
            ExperimentNotFoundError: if there is no such experiment.
            UsageError: if it is running.
        """
        from runbook.maintain import trash

        return trash.delete(self._index, experiment_id)

    def restore_experiment(self, experiment_id: str) -> str:
        """Bring an experiment back from the trash.

        Returns:
            Its id.

        Raises:
            ExperimentNotFoundError: if it is not in the trash.
        """
        from runbook.maintain import trash

        return trash.restore(self._index, experiment_id)

    def list_trash(self) -> ExperimentList:
        """The experiments in the trash, as `list_experiments` gives them, with `deleted_at`."""
        from runbook.maintain import trash
        from runbook.read.listing import list_of_entries

        return list_of_entries(trash.list_trashed(self._index))

    def empty_trash(self) -> int:
        """Delete for good what is in the trash.

        Returns:
            How many experiments that were.
        """
        from runbook.maintain import trash

        return trash.empty(self._index)

    def collect_garbage(
        self, *, trash_older_than: timedelta | None = None, dry_run: bool = False, progress: ProgressHook | None = None
    ) -> GarbageReport:
        """Make room: delete for good what is in the trash, and what dead processes left behind.

        No experiment is touched. What repairs and merges moved out of the way goes like what is in the trash.

        Args:
            trash_older_than: spare what was deleted more recently, and what nobody knows when; None spares nothing.
            dry_run: change nothing, and say what would go.
            progress: called with how many things are done, and how many there are.

        Returns:
            What went, or would go: `.experiments`, `.leftovers`, `.freed_bytes`, and what `.failed`.

        Raises:
            UsageError: if `trash_older_than` is negative.
            BaseDirectoryError: if there is a link in the place of the trash.

        Example:
            >>> manager.collect_garbage(trash_older_than=timedelta(days=30)).freed_bytes  # doctest: +SKIP
            1048576
        """
        from runbook.maintain import garbage

        return garbage.collect(self._index, older_than=trash_older_than, is_dry_run=dry_run, progress=progress)

    def doctor(self) -> list[Finding]:
        """What is wrong in the base directory, in plain words with a hint, and what its disk promises.

        Nothing is changed.

        Example:
            >>> for finding in manager.doctor():  # doctest: +SKIP
            ...     print(finding)
        """
        from runbook.maintain import doctor

        return doctor.diagnose(self._index)

    def repair(self) -> list[Finding]:
        """Mend what can be mended; what is in the way is moved into `.set-aside/`, nothing is deleted.

        Returns:
            What was found and mended.
        """
        from runbook.maintain import doctor

        return doctor.repair(self._index)

    def declare_ended(self, experiment_id: str, status: str = "interrupted", notes: str | None = None) -> None:
        """Say that an experiment has ended which ran where nobody can look from here.

        Args:
            experiment_id: an id, the beginning of one, or a name.
            status: how it ended.
            notes: added to its notes.

        Raises:
            UsageError: if it is alive, or has ended already.
            UnknownStatusError: for a status by which no experiment ends.
        """
        from runbook.maintain import doctor
        from runbook.record import identifiers
        from runbook.run.experiment import ending_status

        found = identifiers.resolve_id(experiment_id, self._index.summaries(), self._shown_base)
        doctor.declare_ended(self._index, found, ending_status(status), notes)

    def add_note(self, experiment_id: str, text: str) -> None:
        """Add a note to an experiment from outside, whether it runs or has ended.

        It is a line of the experiment's `logs/annotations.jsonl`, and is shown below its own notes. Of one of the
        seed's tool, which has no record, it is kept in the registry.

        Args:
            experiment_id: an id, the beginning of one, or a name.
            text: the note; of several lines, if you like.

        Raises:
            ExperimentNotFoundError: if there is no such experiment.
            OSError: if it cannot be written.

        Example:
            >>> manager.add_note("baseline", "the loss explodes at epoch 3")  # doctest: +SKIP
        """
        from runbook.maintain.annotate import annotate

        annotate(self._index, experiment_id, note=str(text))

    def add_tags(self, experiment_id: str, *tags: str) -> None:
        """Give an experiment tags from outside, whether it runs or has ended; for the rest see `add_note`."""
        from runbook.maintain.annotate import annotate
        from runbook.run.experiment import as_tags

        annotate(self._index, experiment_id, tags=as_tags(tags))

    def remove_tags(self, experiment_id: str, *tags: str) -> None:
        """Take tags from an experiment; for the rest see `add_note`.

        A tag that it does not have is no error. What is said from outside has the last word: a tag that was taken
        away here is not shown again when the experiment itself adds it, only when `add_tags` does.
        """
        from runbook.maintain.annotate import annotate
        from runbook.run.experiment import as_tags

        annotate(self._index, experiment_id, untags=as_tags(tags))
