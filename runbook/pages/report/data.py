"""The data of a report, read from a base directory; how it looks is decided elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from runbook import ExperimentView, Status, errors
from runbook.compare.grouping import group
from runbook.config.difference import differing
from runbook.display import cut
from runbook.pages.report import curves as curves_
from runbook.pages.report.curves import Curve
from runbook.pages.report.details import describe_experiments, describe_failures
from runbook.pages.report.labels import flatten_settings, format_setting, told_apart
from runbook.pages.report.table import build_table, count_statuses, status_of
from runbook.read.view import record_of
from runbook.serialize.timestamps import format_time
from runbook.typing import JsonObject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runbook import ExperimentManager
    from runbook.typing import Json

SHOWN: Final = 50
"""The most experiments with curves and details; the table has all experiments."""

_MOST_METRICS: Final = 60
_MOST_FAILURES: Final = 50
_MOST_SETTINGS: Final = 60
_NAME_LENGTH: Final = 80
_UNFINISHED: Final = frozenset({Status.FAILED.value, Status.INTERRUPTED.value})


@attrs.frozen
class Collected:
    """The content of a report.

    Args:
        data: the data of the page, without curves and pictures.
        views: the experiments with details, oldest first.
        curves: the curves of these experiments.
        groups: for each group of experiments that differ only by the seed, their positions in `views`.
        remarks: sentences about what is not shown.
    """

    data: JsonObject
    views: list[ExperimentView]
    curves: list[Curve]
    groups: list[list[int]]
    remarks: list[str]


def collect(
    manager: ExperimentManager, ids: Sequence[str] | None, progress: Callable[[int, int], None] | None
) -> Collected:
    """The content of a report about experiments.

    Args:
        manager: the manager of the base directory.
        ids: the experiments; None for all.
        progress: called with the number of histories that are read, and the number of all.

    Raises:
        ExperimentNotFoundError: if an experiment does not exist.
        AmbiguousExperimentError: if an id stands for several experiments.
    """
    wanted = None if ids is None else {view.id for view in manager.get_experiments(ids)}
    # Oldest first, not in the order of the ids, so that every report of them has the same colours and columns.
    entries = [entry for entry in manager.list_experiments() if wanted is None or entry["experiment_id"] in wanted]
    remarks: list[str] = []
    views = _read_views(manager, entries[-SHOWN:], remarks)
    if len(entries) > SHOWN:
        remarks.append(
            f"Curves and details are those of the newest {SHOWN} of {len(entries):,} experiments; the table has all. "
            "To see others, name them."
        )
    described = describe_experiments(views, remarks)
    found = _read_curves(views, described, progress)
    drawn = _select_curves(found, remarks)
    groups, group_rows = _find_groups(views)
    data: JsonObject = {
        "base_dir": str(manager.base_dir),
        "made_at": format_time(datetime.now(UTC)),
        "is_whole": ids is None,
        "counts": count_statuses(entries),
        "table": build_table(entries, remarks),
        **described,
        "titles": _make_titles(views),
        "places": _assign_colours(len(views), {curve.owner for curve in drawn}),
        "settings": _compare_settings(views),
        "groups": group_rows,
        "failures": describe_failures(_find_unfinished(manager, entries, remarks)),
    }
    return Collected(data, views, drawn, groups, remarks)


def _read_views(
    manager: ExperimentManager, entries: Sequence[Mapping[str, Any]], remarks: list[str]
) -> list[ExperimentView]:
    ids = [str(entry["experiment_id"]) for entry in entries]
    try:
        return manager.get_experiments(ids)
    except (errors.RunbookError, OSError):
        found = []
        for one in ids:
            try:
                found.append(manager.get_experiment(one))
            except (errors.RunbookError, OSError) as error:
                # It was deleted after the list was read, or its files are damaged.
                remarks.append(f"{one} is only in the table: {error}")
        return found


def _read_curves(
    views: Sequence[ExperimentView], described: JsonObject, progress: Callable[[int, int], None] | None
) -> list[Curve]:
    """The curves of all experiments; each experiment's details get `has_history` and any problem with the history."""
    found: list[Curve] = []
    for position, (view, detail) in enumerate(
        zip(views, cast("list[JsonObject]", described["experiments"]), strict=True)
    ):
        try:
            own = curves_.build_curves(view.history(), position)
        except (errors.RunbookError, OSError, ValueError) as error:
            detail["history_problem"] = str(error)
            own = []
        detail["has_history"] = bool(own)
        found += own
        if progress is not None:
            progress(position + 1, len(views))
    return found


def _find_unfinished(
    manager: ExperimentManager, entries: Sequence[Mapping[str, Any]], remarks: list[str]
) -> list[ExperimentView]:
    """The newest failed and interrupted experiments, also those without details."""
    found = [entry for entry in entries if status_of(entry) in _UNFINISHED]
    if len(found) > _MOST_FAILURES:
        remarks.append(f"Of {len(found):,} failed and interrupted experiments the newest {_MOST_FAILURES} are shown.")
    return _read_views(manager, found[-_MOST_FAILURES:], [])


def _assign_colours(count: int, with_curves: set[int]) -> list[Json]:
    """The number of each experiment's colour; experiments with curves have the first colours, which differ most."""
    order = sorted(range(count), key=lambda position: (position not in with_curves, position))
    colours: list[Json] = [0] * count
    for colour, position in enumerate(order):
        colours[position] = colour
    return colours


def _make_titles(views: Sequence[ExperimentView]) -> list[Json]:
    names = [cut(view.name or view.id, _NAME_LENGTH) for view in views]
    settings = [flatten_settings(view.id, record_of(view).config) for view in views]
    return list(told_apart(names, settings, [view.id[-8:] for view in views]))


def _compare_settings(views: Sequence[ExperimentView]) -> JsonObject:
    """The settings in which the experiments differ, and those that all have in common."""
    configs = {view.id: flatten_settings(view.id, record_of(view).config) for view in views}
    different = differing(configs) if len(views) > 1 else {}
    shared = next(iter(configs.values()), {})
    return {
        "differing": [
            [
                cut(key, _NAME_LENGTH),
                [
                    None if view.id not in values else cut(format_setting(values[view.id]), _NAME_LENGTH)
                    for view in views
                ],
            ]
            for key, values in list(different.items())[:_MOST_SETTINGS]
        ],
        "differing_count": len(different),
        "shared": [
            [cut(key, _NAME_LENGTH), cut(format_setting(value), _NAME_LENGTH)]
            for key, value in list(shared.items())[:_MOST_SETTINGS]
            if key not in different
        ],
    }


def _select_curves(curves: list[Curve], remarks: list[str]) -> list[Curve]:
    counts: dict[str, int] = {}
    for curve in curves:
        counts[curve.metric] = counts.get(curve.metric, 0) + 1
    if len(counts) <= _MOST_METRICS:
        return curves
    kept = set(sorted(counts, key=lambda name: -counts[name])[:_MOST_METRICS])
    remarks.append(
        f"Of {len(counts):,} metrics in the histories {_MOST_METRICS} have a chart, those that most experiments have."
    )
    return [curve for curve in curves if curve.metric in kept]


def _find_groups(views: Sequence[ExperimentView]) -> tuple[list[list[int]], list[Json]]:
    """The groups of experiments that differ only by their seed: their positions, and the data of each for the page."""
    position_of = {view.id: position for position, view in enumerate(views)}
    found = group([{"experiment_id": view.id, "config": record_of(view).config} for view in views])
    several = [one for one in found if len(one.experiment_ids) > 1]
    members = [[position_of[experiment_id] for experiment_id in one.experiment_ids] for one in several]
    names = [
        " / ".join(dict.fromkeys(cut(views[at].name or views[at].id, _NAME_LENGTH) for at in positions))
        for positions in members
    ]
    rows: list[Json] = [
        {
            "members": list(positions),
            "name": cut(f"{name} · {one.label}" if names.count(name) > 1 else name, _NAME_LENGTH),
        }
        for one, positions, name in zip(several, members, names, strict=True)
    ]
    return members, rows
