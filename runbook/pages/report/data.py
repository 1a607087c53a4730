"""What a report says: read from a base directory into plain data, with nothing about how it looks."""

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
from runbook.pages.report.details import details, failures
from runbook.pages.report.labels import as_text, own_settings, told_apart
from runbook.pages.report.table import status_counts, status_of, table
from runbook.read.view import record_of
from runbook.serialize.timestamps import format_time
from runbook.typing import JsonObject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runbook import ExperimentManager
    from runbook.typing import Json

SHOWN: Final = 50
"""So many experiments have curves and details; the table has all."""

_MOST_METRICS: Final = 60
_MOST_FAILURES: Final = 50
_MOST_SETTINGS: Final = 60
_NAME_LENGTH: Final = 80
_UNFINISHED: Final = frozenset({Status.FAILED.value, Status.INTERRUPTED.value})


@attrs.frozen
class Collected:
    """What a report is made of.

    Args:
        data: what the page says, without curves and pictures.
        views: the experiments with details, oldest first.
        curves: theirs.
        groups: for each group of experiments that differ in nothing but the seed, their positions.
        remarks: what is not shown, in words.
    """

    data: JsonObject
    views: list[ExperimentView]
    curves: list[Curve]
    groups: list[list[int]]
    remarks: list[str]


def collect(
    manager: ExperimentManager, ids: Sequence[str] | None, progress: Callable[[int, int], None] | None
) -> Collected:
    """Read experiments.

    Args:
        manager: of the base directory.
        ids: which; None means all.
        progress: called with how many histories are read, and how many there are.

    Raises:
        ExperimentNotFoundError: if there is no such experiment.
        AmbiguousExperimentError: if an id fits several.
    """
    wanted = None if ids is None else {view.id for view in manager.get_experiments(ids)}
    # Oldest first, whatever the order of the ids: colours and columns are to be the same in every report of them.
    entries = [entry for entry in manager.list_experiments() if wanted is None or entry["experiment_id"] in wanted]
    remarks: list[str] = []
    views = _views(manager, entries[-SHOWN:], remarks)
    if len(entries) > SHOWN:
        remarks.append(
            f"Curves and details are those of the newest {SHOWN} of {len(entries):,} experiments; the table has all. "
            "To see others, name them."
        )
    told = details(views, remarks)
    found = _curves(views, told, progress)
    drawn = _most_common(found, remarks)
    groups, group_rows = _groups(views)
    data: JsonObject = {
        "base_dir": str(manager.base_dir),
        "made_at": format_time(datetime.now(UTC)),
        "is_whole": ids is None,
        "counts": status_counts(entries),
        "table": table(entries, remarks),
        **told,
        "titles": _titles(views),
        "places": _places(len(views), {curve.owner for curve in drawn}),
        "settings": _settings(views),
        "groups": group_rows,
        "failures": failures(_unfinished(manager, entries, remarks)),
    }
    return Collected(data, views, drawn, groups, remarks)


def _views(
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
                # Deleted since the list was made, or damaged beyond what the registry has of it.
                remarks.append(f"{one} is only in the table: {error}")
        return found


def _curves(
    views: Sequence[ExperimentView], told: JsonObject, progress: Callable[[int, int], None] | None
) -> list[Curve]:
    """The curves of all; in what is told of an experiment, whether it has any, and why not."""
    found: list[Curve] = []
    for position, (view, detail) in enumerate(zip(views, cast("list[JsonObject]", told["experiments"]), strict=True)):
        try:
            own = curves_.of_history(view.history(), position)
        except (errors.RunbookError, OSError, ValueError) as error:
            detail["history_problem"] = str(error)
            own = []
        detail["has_history"] = bool(own)
        found += own
        if progress is not None:
            progress(position + 1, len(views))
    return found


def _unfinished(
    manager: ExperimentManager, entries: Sequence[Mapping[str, Any]], remarks: list[str]
) -> list[ExperimentView]:
    """The newest failed and interrupted experiments, those without details too."""
    found = [entry for entry in entries if status_of(entry) in _UNFINISHED]
    if len(found) > _MOST_FAILURES:
        remarks.append(f"Of {len(found):,} failed and interrupted experiments the newest {_MOST_FAILURES} are told.")
    return _views(manager, found[-_MOST_FAILURES:], [])


def _places(count: int, with_curves: set[int]) -> list[Json]:
    """Which of the colours each experiment has: those that are drawn have the first ones, which differ most."""
    order = sorted(range(count), key=lambda position: (position not in with_curves, position))
    places: list[Json] = [0] * count
    for place, position in enumerate(order):
        places[position] = place
    return places


def _titles(views: Sequence[ExperimentView]) -> list[Json]:
    names = [cut(view.name or view.id, _NAME_LENGTH) for view in views]
    settings = [own_settings(view.id, record_of(view).config) for view in views]
    return list(told_apart(names, settings, [view.id[-8:] for view in views]))


def _settings(views: Sequence[ExperimentView]) -> JsonObject:
    """The settings in which the experiments differ, and those that they share."""
    configs = {view.id: own_settings(view.id, record_of(view).config) for view in views}
    different = differing(configs) if len(views) > 1 else {}
    shared = next(iter(configs.values()), {})
    return {
        "differing": [
            [
                cut(key, _NAME_LENGTH),
                [None if view.id not in values else cut(as_text(values[view.id]), _NAME_LENGTH) for view in views],
            ]
            for key, values in list(different.items())[:_MOST_SETTINGS]
        ],
        "differing_count": len(different),
        "shared": [
            [cut(key, _NAME_LENGTH), cut(as_text(value), _NAME_LENGTH)]
            for key, value in list(shared.items())[:_MOST_SETTINGS]
            if key not in different
        ],
    }


def _most_common(curves: list[Curve], remarks: list[str]) -> list[Curve]:
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


def _groups(views: Sequence[ExperimentView]) -> tuple[list[list[int]], list[Json]]:
    """The experiments that differ by their seed alone: their positions, and what the page says of each group."""
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
