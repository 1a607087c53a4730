"""A comparison of groups as tables: for people, and for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from runbook.compare.grouping import CONFIG
from runbook.compare.verdicts import notes, p_text, range_text, sentences
from runbook.display import number
from runbook.render.tables import Cell, Column, Table

if TYPE_CHECKING:
    from runbook.compare.group_results import GroupResults
    from runbook.compare.statistics import Summary
    from runbook.typing import Json, JsonObject

_PAIRS_SHOWN: Final = 20
_TWO: Final = 2


def tables_of(comparison: GroupResults) -> list[Table]:
    """The tables for people; the last one carries verdicts and notes."""
    columns = (
        *(Column("metric"), Column("group"), Column("n", is_numeric=True), Column("mean", is_numeric=True)),
        *(Column("sd", is_numeric=True), Column("95% interval", is_numeric=True)),
    )
    best = comparison.best
    # The pairs of more than two groups are told by numbers: two labels and a minus would not fit.
    has_pairs = len(comparison.groups) > _TWO and comparison.test_count > 0
    rows = []
    for name, summaries in comparison.metrics.items():
        is_first = True
        for place, (group, summary) in enumerate(zip(comparison.groups, summaries, strict=True)):
            if summary.n == summary.not_finite == 0:
                continue  # A group that never had this metric: the notes say so.
            rows.append(
                (
                    Cell(name, text=name if is_first else ""),
                    Cell(group.label, text=f"{place + 1}: {group.label}" if has_pairs else None),
                    Cell(summary.n),
                    Cell(summary.mean, text=_or_dash(summary.mean), is_best=group.label in best.get(name, ())),
                    Cell(summary.standard_deviation, text=_or_dash(summary.standard_deviation)),
                    Cell(None, text=range_text(summary.interval)),
                )
            )
            is_first = False
    said = (*sentences(comparison), *notes(comparison))
    groups = Table(
        columns, tuple(rows), _caption(comparison), mark="the best mean, whether or not the gap is larger than noise"
    )
    if not has_pairs:
        return [attrs.evolve(groups, notes=said)]
    return [groups, attrs.evolve(_pair_table(comparison), notes=said)]


def _pair_table(comparison: GroupResults) -> Table:
    ordered = sorted(
        (pair for pair in comparison.pairs if pair.contrast.difference is not None),
        key=lambda pair: (pair.p_value_holm is None, pair.p_value_holm or 0.0, pair.contrast.p_value or 0.0),
    )
    places = {group.label: place + 1 for place, group in enumerate(comparison.groups)}
    rows = tuple(
        (
            Cell(pair.metric),
            Cell(None, text=f"{places[pair.second]} - {places[pair.first]}"),
            Cell(pair.contrast.difference, text=_or_dash(pair.contrast.difference)),
            Cell(None, text=range_text(pair.contrast.interval)),
            Cell(pair.contrast.hedges_g, text=_or_dash(pair.contrast.hedges_g)),
            Cell(
                pair.p_value_holm,
                text="-" if pair.p_value_holm is None else p_text("", pair.p_value_holm),
                is_best=pair.is_significant,
            ),
        )
        for pair in ordered[:_PAIRS_SHOWN]
    )
    titles = ("gap", "95% interval", "Hedges' g", "p (Holm)")
    return Table(
        (Column("metric"), Column("groups"), *(Column(title, is_numeric=True) for title in titles)),
        rows,
        caption=None
        if len(ordered) <= _PAIRS_SHOWN
        else f"The {_PAIRS_SHOWN} of {len(ordered)} pairs with the smallest p-values.",
        mark="a gap larger than noise at the 5% level",
    )


def _caption(comparison: GroupResults) -> str:
    count = sum(len(group.experiment_ids) for group in comparison.groups)
    plural = "" if len(comparison.groups) == 1 else "s"
    by = ", ".join(f"{one} without seeds" if one == CONFIG else one for one in comparison.by)
    return f"{count} experiment{'' if count == 1 else 's'} in {len(comparison.groups)} group{plural} by {by}"


def long_groups(comparison: GroupResults) -> Table:
    """A row for each metric and group, for machines."""
    fields = ("n", "mean", "standard_deviation", "interval_low", "interval_high", "missing", "not_finite")
    rows = (
        (Cell(name), Cell(group.label), *(Cell(value) for value in _flat(summary)), Cell(group.label in best))
        for name, summaries in comparison.metrics.items()
        for best in [comparison.best.get(name, [])]
        for group, summary in zip(comparison.groups, summaries, strict=True)
    )
    return Table(tuple(Column(title) for title in ("metric", "group", *fields, "is_best")), tuple(rows))


def _flat(summary: Summary) -> tuple[Json, ...]:
    low, high = summary.interval or (None, None)
    return (summary.n, summary.mean, summary.standard_deviation, low, high, summary.missing, summary.not_finite)


def long_pairs(comparison: GroupResults) -> Table:
    """A row for each metric and pair of groups, for machines."""
    rows = []
    for pair in comparison.pairs:
        facts: JsonObject = {}
        for name, value in pair.to_dict().items():
            if name.endswith("interval"):
                low, high = value or (None, None)  # type: ignore[misc, str-unpack]
                facts |= {f"{name}_low": low, f"{name}_high": high}
            else:
                facts[name] = value
        rows.append(facts)
    titles = list(rows[0]) if rows else ["metric", "first", "second"]
    return Table(
        tuple(Column(title) for title in titles),
        tuple(tuple(Cell(facts[title]) for title in titles) for facts in rows),
    )


def _or_dash(value: float | None) -> str:
    return "-" if value is None else number(value)
