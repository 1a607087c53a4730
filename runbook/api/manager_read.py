"""What can be asked of a base directory: lists, searches, views, comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime, timedelta
    from pathlib import Path
    from typing import Unpack

    import pandas as pd

    from runbook.compare.comparison import Comparison
    from runbook.compare.groups import GroupComparison
    from runbook.query.search import QueryOptions
    from runbook.read.listing import ExperimentList
    from runbook.read.view import ExperimentView
    from runbook.record.model import ExperimentRecord
    from runbook.typing import StrPath

_NEWEST_SHOWN: Final = 20


class Asking:
    """The part of `ExperimentManager` that only reads; for its arguments see there."""

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
        self._registry = open_index(self._layout, self._shown_base)
        if not environ.is_disabled():
            base_directory.check(self._layout)

    @property
    def base_dir(self) -> Path:
        """The base directory, as an absolute path."""
        return self._layout.root

    def list_experiments(self, status: str | None = None) -> ExperimentList:
        """All experiments, oldest first, as plain dicts with the legacy fields and ours.

        Args:
            status: only those with this status.

        Raises:
            UnknownStatusError: if there is no such status.
        """
        from runbook import errors
        from runbook.read.listing import ExperimentList
        from runbook.record.status import Status
        from runbook.serialize import gc_pause

        if status is not None and status not in set(Status):
            raise errors.UnknownStatusError(status, [known.value for known in Status])
        with gc_pause.pause_gc():
            return ExperimentList.of(
                self._registry.entries(lambda entry: status is None or entry.get("status") == status)
            )

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
        from runbook.query import search
        from runbook.read.listing import ExperimentList
        from runbook.serialize import gc_pause

        asked = search.parse(where, status=status, tag=tag, name=name, since=since, until=until, sort=sort, limit=limit)
        with gc_pause.pause_gc():
            return ExperimentList.of(search.find(asked, self._registry))

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
        from runbook.read.listing import ExperimentList
        from runbook.render import notebook
        from runbook.render.summary import closing_line

        entries = self._registry.entries()
        newest = ExperimentList.of(entries[: -_NEWEST_SHOWN - 1 : -1])
        return notebook.experiments_html(newest, closing_line(entries, self._shown_base))

    def print_experiment_summary(self) -> None:
        """Print a table of all experiments."""
        from runbook.render.summary import print_summary

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
        from runbook import errors
        from runbook.read.view import ExperimentView
        from runbook.record import identifiers, schema

        wanted = list(experiment_ids)
        resolver = identifiers.Resolver(self._registry.summaries(), self._shown_base)
        found = [resolver.id_of(one) for one in wanted]
        records = {one: record for one in found if (record := self._record(one)) is not None}
        if without := {*found} - records.keys():
            # The legacy tool wrote none; of a damaged one, the registry has what is left.
            for entry in self._registry.entries(lambda entry: entry["experiment_id"] in without):
                records[str(entry["experiment_id"])] = schema.record_of_entry(entry, self._layout.registry)
        for one in found:
            if one not in records:
                # Somebody has deleted it at this moment.
                raise errors.ExperimentNotFoundError(one, self._shown_base)
        return [ExperimentView(self._layout.experiment(one), records[one]) for one in found]

    def _record(self, experiment_id: str) -> ExperimentRecord | None:
        """The record of an experiment with what was said of it since; None if it has none that can be understood."""
        from runbook import errors
        from runbook.storage import annotation_log

        try:
            from runbook.storage import current_record

            record = current_record.read_current(self._registry.layout, experiment_id)
        except (FileNotFoundError, errors.DamagedFileError, errors.NewerFormatError):
            return None
        layout = self._layout.experiment(experiment_id)
        try:
            return annotation_log.with_annotations(record, layout)
        except OSError as error:
            annotation_log.warn_unreadable(layout, error)
            return record

    def get_experiment_path(self, experiment_id: str) -> Path:
        """The folder of one experiment; for what it takes and raises see `get_experiment`."""
        from runbook.record import identifiers

        found = identifiers.resolve_id(experiment_id, self._registry.summaries(), self._shown_base)
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
        from runbook.compare import groups
        from runbook.query import search
        from runbook.read.listing import ExperimentList
        from runbook.record import identifiers

        entries = self._registry.entries()
        if ids is not None:
            wanted = [ids] if isinstance(ids, str) else ids
            by_id = {entry["experiment_id"]: entry for entry in entries}
            resolver = identifiers.Resolver(entries, self._shown_base)
            found = dict.fromkeys(resolver.id_of(one) for one in wanted)
            entries = [by_id[one] for one in found]
        if where is not None:
            kept = {entry["experiment_id"] for entry in search.matching(search.parse(where), entries)}
            entries = [entry for entry in entries if entry["experiment_id"] in kept]
        return groups.compare_groups(
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
