"""Experiments side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from runbook import display
from runbook.compare.directions import best_of, is_number, resolve_directions
from runbook.config.difference import config_diff, without_own_paths
from runbook.read.view import final_metrics, layout_of, record_of
from runbook.record.status import Status
from runbook.render import notebook, tables
from runbook.render.tables import Cell, Column, Table
from runbook.serialize import json_text
from runbook.serialize.flatten import flatten, restore_floats
from runbook.serialize.jsonable import to_jsonable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pandas import DataFrame

    from runbook.read.view import ExperimentView
    from runbook.typing import Json

__all__ = ["Comparison", "compare", "config_diff"]

_FEW: Final = 4
"""The most experiments that are shown as columns; more are shown as rows."""

_NAMED_IN_A_NOTE: Final = 5


class Comparison(dict[str, Any]):
    """Several experiments side by side: a dict, which notebooks show as a table.

    Its keys: `experiments`: `[{"experiment_id", "custom_name", "status", "config", "metrics"}, …]` in the order of the
    call, the metrics nested as they were saved; `config_diff`: `{dotted key: {experiment_id: value}}`, with only the
    keys whose values differ, and under each only the experiments that have it; `metrics`: the final ones, flat,
    `{name: {experiment_id: value}}`, without lists; `directions`: `{name: "min", "max" or None}`; `best`:
    `{name: [experiment_id, …]}`, with only the metrics for which one experiment is best, or several are.

    Example:
        >>> comparison = manager.compare_experiments(["small", "large"])  # doctest: +SKIP
        >>> print(comparison.to_text())  # doctest: +SKIP
        >>> comparison["best"]["test_f1"]  # doctest: +SKIP
        ['20261123_092910_large_de786415']
    """

    def table(self) -> Table:
        """The settings that differ and the metrics: a few experiments as columns, more of them as rows."""
        ids, labels = self._ids(), self._label_experiments()
        if 0 < len(ids) <= _FEW:
            columns = [Column(""), *(Column(labels[experiment_id]) for experiment_id in ids)]
            rows = [(Cell(title), *cells) for title, _, cells in self._list_rows()]
        else:
            found = list(self._list_rows())
            columns = [Column("experiment"), *(Column(title, is_numeric) for title, is_numeric, _ in found)]
            rows = [
                (Cell(experiment_id, text=labels[experiment_id]), *(cells[position] for _, _, cells in found))
                for position, experiment_id in enumerate(ids)
            ]
        return Table(tuple(columns), tuple(rows), notes=tuple(self._list_notes()))

    def to_text(self, width: int = 80, *, colour: bool = False) -> str:
        """The table for a terminal, at most `width` columns wide; the best of each metric has a star."""
        return tables.to_text(self.table(), width=width, colour=colour)

    def to_markdown(self) -> str:
        """The table in Markdown, the best of each metric in bold."""
        return tables.to_markdown(self.table())

    def to_latex(self) -> str:
        """The table in LaTeX with booktabs, the best of each metric in bold."""
        return tables.to_latex(self.table())

    def to_csv(self) -> str:
        """One experiment a line, with `config.` and `metrics.` before the names of the columns, floats in full."""
        return tables.to_csv(self._build_long_table())

    def to_json(self) -> str:
        """The whole comparison as strict JSON; non-finite floats are the strings "NaN", "Infinity" and "-Infinity"."""
        return json_text.encode(to_jsonable(dict(self))).decode()

    def to_dataframe(self) -> DataFrame:
        """A pandas data frame with the columns of `to_csv`, indexed by `experiment_id`.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return tables.to_dataframe(self._build_long_table()).set_index("experiment_id")

    def _repr_html_(self) -> str:
        return notebook.table_html(self.table())

    def _ids(self) -> list[str]:
        return [experiment["experiment_id"] for experiment in self["experiments"]]

    def _label_experiments(self) -> dict[str, str]:
        """The label of each experiment, by id: its name if all names differ, else its id."""
        names = [experiment["custom_name"] for experiment in self["experiments"]]
        ids = self._ids()
        return dict(zip(ids, names if all(names) and len(set(names)) == len(names) else ids, strict=True))

    def _list_rows(self) -> Iterable[tuple[str, bool, list[Cell]]]:
        """The rows one by one: the title, whether its values are numbers, a cell for each experiment."""
        ids = self._ids()
        labels = self._label_experiments()
        if 0 < len(ids) <= _FEW and any(labels[experiment_id] != experiment_id for experiment_id in ids):
            yield "id", False, [Cell(experiment_id) for experiment_id in ids]
        statuses = [experiment["status"] for experiment in self["experiments"]]
        if set(statuses) - {Status.COMPLETED.value}:
            yield "status", False, [Cell(status, style=status) for status in statuses]
        both = self["config_diff"].keys() & self["metrics"].keys()
        for key, values in self["config_diff"].items():
            yield f"config.{key}" if key in both else key, *_build_cells(values, ids)
        for name, values in self["metrics"].items():
            is_numeric, cells = _build_cells(values, ids, best=self["best"].get(name, ()))
            yield f"metrics.{name}" if name in both else name, is_numeric, cells

    def _list_notes(self) -> Iterable[str]:
        if len(self["experiments"]) > 1 and not self["config_diff"]:
            yield "The configs do not differ."
        unknown = [
            name
            for name, direction in self["directions"].items()
            if direction is None and len(best_of(self["metrics"][name], "max")) > 0
        ]
        if unknown:
            yield unknown_directions(unknown)
        if {experiment["status"] for experiment in self["experiments"]} - {Status.COMPLETED.value}:
            yield "What has not completed is shown with the metrics it has so far."

    def _build_long_table(self) -> Table:
        ids = self._ids()
        config = {f"config.{key}": values for key, values in self["config_diff"].items()}
        metrics = {f"metrics.{name}": values for name, values in self["metrics"].items()}
        titles = ("experiment_id", "custom_name", "status", *config, *metrics)
        rows = (
            (
                *(Cell(experiment[field]) for field in ("experiment_id", "custom_name", "status")),
                *(Cell(values.get(experiment_id)) for values in [*config.values(), *metrics.values()]),
            )
            for experiment_id, experiment in zip(ids, self["experiments"], strict=True)
        )
        return Table(tuple(Column(title) for title in titles), tuple(rows))


def compare(
    views: Sequence[ExperimentView], *, minimize: Iterable[str] = (), maximize: Iterable[str] = ()
) -> Comparison:
    """Experiments side by side.

    Args:
        views: the experiments, in the order in which they are to appear.
        minimize: metrics that are better when they are lower, whatever their names say.
        maximize: metrics that are better when they are higher.

    Raises:
        ComparisonError: for a metric that no experiment has.
    """
    nested = {view.id: restore_floats(final_metrics(layout_of(view), record_of(view))) for view in views}
    metrics: dict[str, dict[str, Json]] = {}
    for experiment_id, saved in nested.items():
        assert isinstance(saved, dict)
        for name, value in flatten(saved).items():
            if not isinstance(value, (list, dict)):
                metrics.setdefault(name, {})[experiment_id] = value
    found = resolve_directions(metrics, minimize, maximize)
    best = {name: best_of(values, found[name]) for name, values in metrics.items()}
    return Comparison(
        {
            "experiments": [
                {
                    "experiment_id": view.id,
                    "custom_name": view.name,
                    "status": view.status.value,
                    "config": view.config,
                    "metrics": nested[view.id],
                }
                for view in views
            ],
            "config_diff": config_diff({view.id: without_own_paths(record_of(view).config, view.id) for view in views}),
            "metrics": metrics,
            "directions": found,
            "best": {name: ids for name, ids in best.items() if ids},
        }
    )


def unknown_directions(names: Sequence[str]) -> str:
    """A sentence about metrics for which no best is marked, because their direction is unknown."""
    shown = ", ".join(names[:_NAMED_IN_A_NOTE])
    more = len(names) - _NAMED_IN_A_NOTE
    return (
        f"No best is marked for {shown}{f' and {more} more' if more > 0 else ''}: "
        "the name does not say whether higher or lower is better; minimize= and maximize= do."
    )


def _build_cells(values: dict[str, Json], ids: Sequence[str], best: Sequence[str] = ()) -> tuple[bool, list[Cell]]:
    is_numeric = all(value is None or is_number(value) for value in values.values())
    return is_numeric, [
        Cell(values[experiment_id], text=_format_value(values[experiment_id]), is_best=experiment_id in best)
        if experiment_id in values
        else Cell(None, text="-")
        for experiment_id in ids
    ]


def _format_value(value: Json) -> str:
    # An empty cell would look like an absent setting.
    return "None" if value is None else display.one_line(value)
