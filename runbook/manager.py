"""`ExperimentManager`: the seed's API, each method a few lines that delegate.

What they delegate to is imported when it is asked for, as in `runbook.tracking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date, datetime, timedelta
    from pathlib import Path
    from typing import Concatenate, ParamSpec, TypeVar, Unpack

    import pandas as pd

    from runbook.bundle.merging import MergeReport
    from runbook.comparison import Comparison
    from runbook.comparison.group_comparison import GroupComparison
    from runbook.handle import Experiment
    from runbook.lifecycle import Lifecycle
    from runbook.listing import ExperimentList
    from runbook.query import QueryOptions
    from runbook.registry import Listing, Registry
    from runbook.tracking import ExperimentBlock, TrackedDecorator
    from runbook.typing import ExperimentOptions, ProgressHook, StrPath, TrackedOptions
    from runbook.upkeep.doctor import Finding
    from runbook.upkeep.garbage import GarbageReport
    from runbook.view import ExperimentView

    E = TypeVar("E", bound=Experiment)
    P = ParamSpec("P")
    R = TypeVar("R")

_NEWEST_SHOWN: Final = 20


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

        from runbook import defaults, folder, identity
        from runbook.layout import BaseLayout
        from runbook.registry import Registry

        self._shown_base = defaults.base_dir(base_dir)
        self._registry_file = identity.check_file_name("registry file name", registry_file)
        self._layout = BaseLayout(Path(self._shown_base).expanduser().absolute(), registry_file)
        self._registry = Registry(self._layout, self._shown_base)
        self._created: list[Lifecycle] = []
        if not defaults.is_disabled():
            folder.check_base(self._layout)

    def __repr__(self) -> str:
        return f"ExperimentManager({self._shown_base!r})"

    def __reduce__(self) -> tuple[type[ExperimentManager], tuple[str, str]]:
        # What it created belongs to this process; a worker that receives a manager gets one of its own.
        return type(self), (self._shown_base, self._registry_file)

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
        from runbook import endings, lifecycle
        from runbook.notices import warn
        from runbook.planning import plan

        what = plan(config, name=custom_name, description=description)
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
        from runbook import lifecycle

        experiment = self._active("mark_complete")
        life = lifecycle.of(experiment)
        if life is not None and life.is_manual:
            life.mark(status, notes)
        else:
            experiment.finish(status, notes)

    def list_experiments(self, status: str | None = None) -> ExperimentList:
        """All experiments, oldest first, as plain dicts with the seed's fields and ours.

        Args:
            status: only those with this status.

        Raises:
            UnknownStatusError: if there is no such status.
        """
        from runbook import errors
        from runbook.listing import ExperimentList
        from runbook.records import Status

        if status is not None and status not in set(Status):
            raise errors.UnknownStatusError(status, [known.value for known in Status])
        entries = self._registry.entries()
        return ExperimentList.of(entry for entry in entries if status is None or entry.get("status") == status)

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
                written in it stands in `runbook.query.expressions`. A comparison with a field that an experiment does
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
        from runbook import query
        from runbook.listing import ExperimentList

        asked = query.parse(where, status=status, tag=tag, name=name, since=since, until=until, sort=sort, limit=limit)
        return ExperimentList.of(query.find(asked, self._registry))

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
        from runbook.listing import ExperimentList
        from runbook.tables import notebook
        from runbook.tables.summary import closing_line

        entries = self._registry.listing().entries
        newest = ExperimentList.of(entries[: -_NEWEST_SHOWN - 1 : -1])
        return notebook.experiments_html(newest, closing_line(entries, self._shown_base))

    def print_experiment_summary(self) -> None:
        """Print a table of all experiments."""
        from runbook.tables.summary import print_summary

        print_summary(self._registry.entries(), self._shown_base)

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
        from runbook import identity

        listing = self._registry.listing()
        found = [identity.resolve(one, listing.entries, self._shown_base) for one in experiment_ids]
        return [self._view(one, listing) for one in found]

    def _view(self, experiment_id: str, listing: Listing) -> ExperimentView:
        from runbook import annotation, codec, errors
        from runbook.view import ExperimentView

        layout = self._layout.experiment(experiment_id)
        try:
            record = annotation.annotated(self._registry.record(experiment_id), layout)
        except (FileNotFoundError, errors.DamagedFileError, errors.NewerFormatError):
            # The seed's tool wrote none; of a damaged one, the registry has what is left.
            entry = next(entry for entry in listing.entries if entry["experiment_id"] == experiment_id)
            listing.complete(entry)
            record = codec.record_of_entry(entry, self._layout.registry)
        return ExperimentView(layout, record)

    def get_experiment_path(self, experiment_id: str) -> Path:
        """The folder of one experiment; for what it takes and raises see `get_experiment`."""
        from runbook import identity

        found = identity.resolve(experiment_id, self._registry.listing().entries, self._shown_base)
        return self._layout.experiment(found).root

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
        from runbook import comparison

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
        from runbook import identity, query
        from runbook.comparison import group_comparison
        from runbook.listing import ExperimentList

        entries = self._registry.entries()
        if ids is not None:
            wanted = [ids] if isinstance(ids, str) else ids
            by_id = {entry["experiment_id"]: entry for entry in entries}
            found = dict.fromkeys(identity.resolve(one, entries, self._shown_base) for one in wanted)
            entries = [by_id[one] for one in found]
        if where is not None:
            kept = {entry["experiment_id"] for entry in query.matching(query.parse(where), entries)}
            entries = [entry for entry in entries if entry["experiment_id"] in kept]
        return group_comparison.compare_groups(
            ExperimentList.of(entries),
            by,
            metrics=metrics,
            minimize=minimize,
            maximize=maximize,
            status=status,
            predictions=predictions,
            allow_pickle=allow_pickle,
            view=self.get_experiment,
        )

    def report(
        self, path: StrPath, ids: Sequence[str] | None = None, *, progress: Callable[[int, int], None] | None = None
    ) -> Path:
        """Write experiments into one HTML file that opens from disk; see `runbook.report.write_report`."""
        from runbook.report import write_report

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

        from runbook import bundle

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

        from runbook import folder
        from runbook.bundle import importing

        folder.prepare_base(self._layout)
        return importing.import_bundle(self._registry, Path(path).expanduser(), on_conflict, progress=progress)

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

        from runbook import folder
        from runbook.bundle import merging

        folder.prepare_base(self._layout)
        return merging.merge(self._registry, Path(other_base_dir).expanduser(), progress)

    def delete_experiment(self, experiment_id: str) -> Path:
        """Move an experiment into the trash, from where `restore_experiment` brings it back.

        Returns:
            Where it is now.

        Raises:
            ExperimentNotFoundError: if there is no such experiment.
            UsageError: if it is running.
        """
        from runbook.upkeep import trash

        return trash.delete(self._registry, experiment_id)

    def restore_experiment(self, experiment_id: str) -> str:
        """Bring an experiment back from the trash.

        Returns:
            Its id.

        Raises:
            ExperimentNotFoundError: if it is not in the trash.
        """
        from runbook.upkeep import trash

        return trash.restore(self._registry, experiment_id)

    def list_trash(self) -> ExperimentList:
        """The experiments in the trash, as `list_experiments` gives them, with `deleted_at`."""
        from runbook.listing import ExperimentList
        from runbook.upkeep import trash

        return ExperimentList.of(trash.trashed(self._registry))

    def empty_trash(self) -> int:
        """Delete for good what is in the trash.

        Returns:
            How many experiments that were.
        """
        from runbook.upkeep import trash

        return trash.empty(self._registry)

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
        from runbook.upkeep import garbage

        return garbage.collect(self._registry, older_than=trash_older_than, is_dry_run=dry_run, progress=progress)

    def doctor(self) -> list[Finding]:
        """What is wrong in the base directory, in plain words with the remedy, and what its disk promises.

        Nothing is changed.

        Example:
            >>> for finding in manager.doctor():  # doctest: +SKIP
            ...     print(finding)
        """
        from runbook.upkeep import doctor

        return doctor.diagnose(self._registry)

    def repair(self) -> list[Finding]:
        """Mend what can be mended; what is in the way is moved into `.set-aside/`, nothing is deleted.

        Returns:
            What was found and mended.
        """
        from runbook.upkeep import doctor

        return doctor.repair(self._registry)

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
        from runbook import identity
        from runbook.handle import ending_status
        from runbook.upkeep import doctor

        found = identity.resolve(experiment_id, self._registry.listing().entries, self._shown_base)
        doctor.declare_ended(self._registry, found, ending_status(status), notes)

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
        from runbook.annotating import annotate

        annotate(self._registry, experiment_id, note=str(text))

    def add_tags(self, experiment_id: str, *tags: str) -> None:
        """Give an experiment tags from outside, whether it runs or has ended; for the rest see `add_note`."""
        from runbook.annotating import annotate
        from runbook.handle import as_tags

        annotate(self._registry, experiment_id, tags=as_tags(tags))

    def remove_tags(self, experiment_id: str, *tags: str) -> None:
        """Take tags from an experiment; for the rest see `add_note`.

        A tag that it does not have is no error. What is said from outside has the last word: a tag that was taken
        away here is not shown again when the experiment itself adds it, only when `add_tags` does.
        """
        from runbook.annotating import annotate
        from runbook.handle import as_tags

        annotate(self._registry, experiment_id, untags=as_tags(tags))

    def experiment(self, config: object = None, **options: Unpack[ExperimentOptions]) -> ExperimentBlock:
        """`runbook.experiment`, in this base directory."""
        from runbook import lifecycle
        from runbook.planning import plan
        from runbook.tracking import ExperimentBlock

        return ExperimentBlock(lifecycle.Lifecycle(plan(config, **options), self._index()))

    @overload
    def tracked(self, function: Callable[Concatenate[E, P], R], /) -> Callable[P, R]: ...
    @overload
    def tracked(self, function: Callable[P, R], /) -> Callable[P, R]: ...
    @overload
    def tracked(self, /, **options: Unpack[TrackedOptions]) -> TrackedDecorator: ...
    def tracked(self, function: Any = None, /, **given: Any) -> Any:
        """`runbook.tracked`, in this base directory."""
        from runbook.wrapping import decorated

        return decorated(function, self._index, given)

    def _index(self) -> Registry | None:
        from runbook import defaults

        return None if defaults.is_disabled() else self._registry

    def _active(self, operation: str) -> Experiment:
        """The experiment that a call without an id means."""
        from runbook import errors, lifecycle

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
