"""The comparison of groups: the mean of each group, and whether a gap is larger than noise."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from runbook.compare import group_tables, verdicts
from runbook.compare.directions import check_names, is_number, resolve_directions
from runbook.compare.group_results import GroupResults, Pair
from runbook.compare.grouping import CONFIG, Group, group
from runbook.compare.predictions import compare_predictions
from runbook.compare.statistics import ALPHA, CONFIDENCE, Contrast, Summary, contrast, holm, summarize
from runbook.errors import ComparisonError, UnknownStatusError
from runbook.hints import Hint
from runbook.record import registry_entry
from runbook.record.status import Status
from runbook.render import notebook, tables
from runbook.serialize import json_text
from runbook.serialize.jsonable import to_jsonable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pandas import DataFrame

    from runbook.read.view import ExperimentView
    from runbook.render.tables import Table
    from runbook.typing import Entry, JsonObject

_MOST_PAIRS: Final = 20_000


@attrs.frozen(repr=False)
class GroupComparison(GroupResults):
    """Groups of experiments compared, metric by metric; notebooks show it as tables.

    `manager.compare_groups` makes one; for its attributes see `GroupResults`.

    Example:
        >>> comparison = manager.compare_groups("config.lr", metrics=["test_f1"])  # doctest: +SKIP
        >>> print(comparison.to_text())  # doctest: +SKIP
        >>> [pair.is_significant for pair in comparison.pairs]  # doctest: +SKIP
        [True]
    """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.groups)} groups by {', '.join(self.by)}>"

    @property
    def verdicts(self) -> list[str]:
        """The results of the tests in sentences, which claim no more than the numbers show."""
        return verdicts.write_sentences(self)

    @property
    def notes(self) -> list[str]:
        """The notes to the numbers: what was left out, which samples are small, which p-values were corrected."""
        return verdicts.write_notes(self)

    def tables(self) -> list[Table]:
        """The table of the groups; with more than two groups also the table of the pairs with the smallest p-values."""
        return group_tables.build_tables(self)

    def to_text(self, width: int = 80, *, colour: bool = False) -> str:
        """Tables, verdicts and notes for a terminal, at most `width` columns wide."""
        return "\n".join(tables.to_text(table, width=width, colour=colour) for table in self.tables())

    def to_markdown(self) -> str:
        """Tables, verdicts and notes in Markdown."""
        return "\n".join(map(tables.to_markdown, self.tables()))

    def to_latex(self) -> str:
        """Tables, verdicts and notes in LaTeX with booktabs."""
        return "\n".join(map(tables.to_latex, self.tables()))

    def to_csv(self, of: Literal["groups", "pairs"] = "groups") -> str:
        """CSV with a line for each metric and group, or for each metric and pair of groups; numbers in full."""
        return tables.to_csv(self._build_long_table(of))

    def to_dataframe(self, of: Literal["groups", "pairs"] = "groups") -> DataFrame:
        """A pandas data frame with the rows and columns of `to_csv`.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return tables.to_dataframe(self._build_long_table(of))

    def to_dict(self) -> JsonObject:
        """The whole comparison as JSON-compatible data.

        `by`, `groups` (`label`, `settings`, `experiment_ids`, `metrics`: by name `n`, `mean`, `standard_deviation`,
        `interval`, `missing`, `not_finite`), `directions`, `best`, `pairs` (`metric`, `first`, `second`, `difference`
        of the second to the first, `interval`, `statistic`, `degrees_of_freedom`, `p_value`, `p_value_holm`,
        `hedges_g`, `hedges_g_interval`, `is_significant`, `problem`), `tests`, `alpha`, `confidence`, `left_out`,
        `predictions`, `verdicts`, `notes`. Unknown values are null.
        """
        groups = [
            {
                "label": one.label,
                "settings": one.settings,
                "experiment_ids": one.experiment_ids,
                "metrics": {name: attrs.asdict(summaries[index]) for name, summaries in self.metrics.items()},
            }
            for index, one in enumerate(self.groups)
        ]
        data = to_jsonable(
            {
                "by": self.by,
                "groups": groups,
                "directions": self.directions,
                "best": self.best,
                "pairs": [pair.to_dict() for pair in self.pairs],
                "tests": self.test_count,
                "alpha": ALPHA,
                "confidence": CONFIDENCE,
                "left_out": self.left_out,
                "predictions": None if self.predictions is None else attrs.asdict(self.predictions),
                "verdicts": self.verdicts,
                "notes": self.notes,
            }
        )
        assert isinstance(data, dict)
        return data

    def to_json(self) -> str:
        """`to_dict` as strict JSON."""
        return json_text.encode(self.to_dict()).decode()

    def _repr_html_(self) -> str:
        return "".join(map(notebook.table_html, self.tables()))

    def _build_long_table(self, of: str) -> Table:
        if of not in {"groups", "pairs"}:
            raise ComparisonError(f"there is no table of {of!r}", Hint("pass 'groups' or 'pairs'", None))
        return group_tables.build_long_groups(self) if of == "groups" else group_tables.build_long_pairs(self)


def compare_groups(
    entries: Sequence[Entry],
    by: str | Iterable[str] = CONFIG,
    *,
    metrics: Iterable[str] | None = None,
    minimize: Iterable[str] = (),
    maximize: Iterable[str] = (),
    status: str | Iterable[str] = Status.COMPLETED.value,
    predictions: str | None = None,
    allow_pickle: bool = False,
    view: Callable[[str], ExperimentView],
) -> GroupComparison:
    """Groups of experiments compared; `ExperimentManager.compare_groups` says more.

    All pairs of groups are tested, and all p-values are corrected together. Tests against the best group only would
    be fewer, but the best one is chosen by the same numbers and therefore looks better than it is.

    Args:
        entries: registry entries, with floats for metrics; they determine the order of the groups.
        by: "config" or fields; see `grouping.group`.
        metrics: the names of the metrics to compare; by default all whose values are numbers.
        minimize: metrics that are better when they are lower.
        maximize: metrics that are better when they are higher.
        status: the status, or several, of the experiments to compare; the others are left out.
        predictions: the name of a file of predictions, by which to compare two groups.
        allow_pickle: whether that file may be a pickle, which runs code that it contains.
        view: a function that returns the experiment of an id.

    Raises:
        ComparisonError: if there is nothing to compare, or no such metric.
        QueryError: for a field to group by that no experiment has.
        UnknownStatusError: for a word that is no status.
        MissingExtraError: if SciPy is not installed.
    """
    wanted = {status} if isinstance(status, str) else set(status)
    for unknown in wanted - set(Status):
        raise UnknownStatusError(unknown, [known.value for known in Status])
    chosen_entries = [entry for entry in entries if entry.get("status") in wanted]
    if not chosen_entries:
        raise ComparisonError(
            f"none of {len(entries)} experiments is {' or '.join(sorted(wanted))}",
            Hint(
                "choose others with ids= or where=, or say status= for those that have not completed",
                "name others, choose them with --where, or say --status for those that have not completed",
            ),
        )
    names = _choose_metrics(chosen_entries, metrics)
    known = resolve_directions(names, minimize, maximize)
    values = {str(entry["experiment_id"]): registry_entry.section_of(entry, "metrics") for entry in chosen_entries}
    groups = group(chosen_entries, by)
    left_out = _count_left_out(entries, wanted)
    # If the user chose metrics, groups without any of them are not meant.
    unrelated = set() if metrics is None else set(_find_unrelated(names, groups, values))
    if unrelated:
        # The labels show only what differs, so that fewer groups have shorter labels.
        groups = group([entry for entry in chosen_entries if str(entry["experiment_id"]) not in unrelated], by)
        left_out[f"without {' or '.join(names)}"] = len(unrelated)
    summaries = {
        name: tuple(summarize(values[one].get(name) for one in members.experiment_ids) for members in groups)
        for name in names
    }
    return GroupComparison(
        by=(by,) if isinstance(by, str) else tuple(by),
        groups=tuple(groups),
        metrics=summaries,
        directions=known,
        pairs=_compare_pairs(groups, summaries),
        left_out=left_out,
        predictions=None
        if predictions is None
        else compare_predictions(
            predictions,
            {one.label: list(map(view, one.experiment_ids)) for one in groups},
            allow_pickle=allow_pickle,
        ),
    )


def _choose_metrics(entries: Sequence[Entry], metrics: Iterable[str] | None) -> list[str]:
    names = dict.fromkeys(
        name
        for entry in entries
        for name, value in registry_entry.section_of(entry, "metrics").items()
        if is_number(value)
    )
    if metrics is not None:
        chosen = [metrics] if isinstance(metrics, str) else list(dict.fromkeys(metrics))
        if not chosen:
            hint = Hint("leave out metrics= for all that are numbers", "leave out --metric for all that are numbers")
            raise ComparisonError("no metric was named", hint)
        check_names(chosen, names)
        names = dict.fromkeys(chosen)
    if not names:
        raise ComparisonError(
            f"no final metric of these {len(entries)} experiments is a number",
            Hint("save_final_metrics saves such", None),
        )
    return list(names)


def _find_unrelated(names: Sequence[str], groups: Sequence[Group], values: Mapping[str, Entry]) -> Iterator[str]:
    """The ids of the experiments of groups without any of the metrics."""
    for members in groups:
        if not any(name in values[one] for one in members.experiment_ids for name in names):
            yield from members.experiment_ids


def _compare_pairs(groups: Sequence[Group], summaries: dict[str, tuple[Summary, ...]]) -> tuple[Pair, ...]:
    if len(groups) * (len(groups) - 1) // 2 * len(summaries) > _MOST_PAIRS:
        return ()
    found: list[tuple[str, str, str, Contrast, bool]] = []
    for name, group_summaries in summaries.items():
        for (one, first), (other, second) in combinations(zip(groups, group_summaries, strict=True), 2):
            is_small = first.is_small or second.is_small
            found.append((name, one.label, other.label, contrast(first, second), is_small))
    corrected = holm([result.p_value for *_, result, _ in found])
    return tuple(Pair(*facts, p_value_holm=p) for facts, p in zip(found, corrected, strict=True))


def _count_left_out(entries: Sequence[Entry], wanted: set[str]) -> dict[str, int]:
    counts: dict[str, Any] = {}
    for entry in entries:
        status = str(entry.get("status"))
        if status not in wanted:
            counts[status] = counts.get(status, 0) + 1
    return counts
