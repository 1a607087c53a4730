"""A comparison of groups as tables for people and as tables for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from runbook.compare.grouping import CONFIG
from runbook.compare.verdicts import p_text, range_text, write_notes, write_sentences
from runbook.display import number
from runbook.render.tables import Cell, Column, Table

if TYPE_CHECKING:
    from runbook.compare.group_results import GroupResults
    from runbook.compare.statistics import Summary
    from runbook.typing import Json, JsonObject

_PAIRS_SHOWN: Final = 20
_TWO: Final = 2


def build_tables(comparison: GroupResults) -> list[Table]:
    """The tables for people; verdicts and notes stand below the last one."""
    columns = (
        *(Column("metric"), Column("group"), Column("n", is_numeric=True), Column("mean", is_numeric=True)),
        *(Column("sd", is_numeric=True), Column("95% interval", is_numeric=True)),
    )
    best = comparison.best
    # The table of pairs refers to groups by number: two labels and a minus would not fit.
    has_pairs = len(comparison.groups) > _TWO and comparison.test_count > 0
    rows = []
    for name, summaries in comparison.metrics.items():
        is_first = True
        for position, (group, summary) in enumerate(zip(comparison.groups, summaries, strict=True)):
            if summary.n == summary.not_finite == 0:
                continue  # The notes name groups without this metric.
            rows.append(
                (
                    Cell(name, text=name if is_first else ""),
                    Cell(group.label, text=f"{position + 1}: {group.label}" if has_pairs else None),
                    Cell(summary.n),
                    Cell(summary.mean, text=_format_number(summary.mean), is_best=group.label in best.get(name, ())),
                    Cell(summary.standard_deviation, text=_format_number(summary.standard_deviation)),
                    Cell(None, text=range_text(summary.interval)),
                )
            )
            is_first = False
    remarks = (*write_sentences(comparison), *write_notes(comparison))
    groups = Table(
        columns,
        tuple(rows),
        _caption_of(comparison),
        mark="the best mean, whether or not the gap is larger than noise",
    )
    if not has_pairs:
        return [attrs.evolve(groups, notes=remarks)]
    return [groups, attrs.evolve(_build_pair_table(comparison), notes=remarks)]


def _build_pair_table(comparison: GroupResults) -> Table:
    ordered = sorted(
        (pair for pair in comparison.pairs if pair.contrast.difference is not None),
        key=lambda pair: (pair.p_value_holm is None, pair.p_value_holm or 0.0, pair.contrast.p_value or 0.0),
    )
    numbers = {group.label: position + 1 for position, group in enumerate(comparison.groups)}
    rows = tuple(
        (
            Cell(pair.metric),
            Cell(None, text=f"{numbers[pair.second]} - {numbers[pair.first]}"),
            Cell(pair.contrast.difference, text=_format_number(pair.contrast.difference)),
            Cell(None, text=range_text(pair.contrast.interval)),
            Cell(pair.contrast.hedges_g, text=_format_number(pair.contrast.hedges_g)),
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


def _caption_of(comparison: GroupResults) -> str:
    count = sum(len(group.experiment_ids) for group in comparison.groups)
    plural = "" if len(comparison.groups) == 1 else "s"
    by = ", ".join(f"{one} without seeds" if one == CONFIG else one for one in comparison.by)
    return f"{count} experiment{'' if count == 1 else 's'} in {len(comparison.groups)} group{plural} by {by}"


def build_long_groups(comparison: GroupResults) -> Table:
    """A table for programs with a row for each metric and group."""
    fields = ("n", "mean", "standard_deviation", "interval_low", "interval_high", "missing", "not_finite")
    rows = (
        (Cell(name), Cell(group.label), *(Cell(value) for value in _list_values(summary)), Cell(group.label in best))
        for name, summaries in comparison.metrics.items()
        for best in [comparison.best.get(name, [])]
        for group, summary in zip(comparison.groups, summaries, strict=True)
    )
    return Table(tuple(Column(title) for title in ("metric", "group", *fields, "is_best")), tuple(rows))


def _list_values(summary: Summary) -> tuple[Json, ...]:
    low, high = summary.interval or (None, None)
    return (summary.n, summary.mean, summary.standard_deviation, low, high, summary.missing, summary.not_finite)


def build_long_pairs(comparison: GroupResults) -> Table:
    """A table for programs with a row for each metric and pair of groups."""
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


def _format_number(value: float | None) -> str:
    return "-" if value is None else number(value)
