"""What a report says: read from a base directory into plain data, with nothing about how it looks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from runbook import ExperimentView, Status, errors
from runbook.codec import format_time, parse_time
from runbook.differences import differing
from runbook.grouping import group
from runbook.plain import to_plain
from runbook.report import curves as curves_
from runbook.report.curves import Curve
from runbook.report.environment import environment_rows
from runbook.report.naming import as_text, cut, own_settings, told_apart
from runbook.typing import JsonObject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runbook import ExperimentManager
    from runbook.typing import Json

SHOWN: Final = 50
"""So many experiments have curves and details; the table has all."""

_MOST_METRICS: Final = 60
_MOST_COLUMNS: Final = 12
_MOST_CELLS: Final = 150_000
_MOST_FAILURES: Final = 50
_CELL_LENGTH: Final = 80
_TEXT_LENGTH: Final = 2_000
_TRACEBACK_LENGTH: Final = 12_000
_MOST_SETTINGS: Final = 300
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
    found: list[Curve] = []
    details: list[Json] = []
    packages: dict[str, int] = {}
    for position, view in enumerate(views):
        detail = _detail(view, packages)
        try:
            of_view = curves_.of_history(view.history(), position)
        except (errors.RunbookError, OSError, ValueError) as error:
            detail["history_problem"] = str(error)
            of_view = []
        detail["has_history"] = bool(of_view)
        found += of_view
        details.append(detail)
        if progress is not None:
            progress(position + 1, len(views))
    found = _most_common(found, remarks)
    groups, group_rows = _groups(views)
    data: JsonObject = {
        "base_dir": str(manager.base_dir),
        "made_at": format_time(datetime.now(UTC)),
        "is_whole": ids is None,
        "counts": _counts(entries),
        "table": _table(entries, {view.id for view in views}, remarks),
        "experiments": details,
        "titles": _titles(views),
        "places": _places(len(views), {curve.owner for curve in found}),
        "packages": [json.loads(text) for text in packages],
        "settings": _settings(views),
        "groups": group_rows,
        "failures": _failures(manager, entries, remarks),
    }
    return Collected(data, views, found, groups, remarks)


def _views(
    manager: ExperimentManager, entries: Sequence[Mapping[str, Any]], remarks: list[str]
) -> list[ExperimentView]:
    ids = [str(entry["experiment_id"]) for entry in entries]
    try:
        return manager.get_experiments(ids)
    except errors.RunbookError:
        found = []
        for one in ids:
            try:
                found.append(manager.get_experiment(one))
            except errors.RunbookError as error:
                # Deleted since the list was made, or damaged beyond what the registry has of it.
                remarks.append(f"{one} is only in the table: {error}")
        return found


def _counts(entries: Sequence[Mapping[str, Any]]) -> JsonObject:
    counts: dict[str, int] = {status.value: 0 for status in Status}
    for entry in entries:
        counts[_status(entry)] += 1
    return {status: count for status, count in counts.items() if count}


def _status(entry: Mapping[str, Any]) -> str:
    status = str(entry.get("status"))
    return status if status in set(Status) else Status.UNKNOWN.value


def _table(entries: Sequence[Mapping[str, Any]], with_details: set[str], remarks: list[str]) -> JsonObject:
    configs = {entry["experiment_id"]: own_settings(entry["experiment_id"], entry.get("config")) for entry in entries}
    different = differing(configs) if len(entries) > 1 else {}
    metrics: dict[str, int] = {}
    for entry in entries:
        for name in entry["metrics"]:
            metrics[name] = metrics.get(name, 0) + 1
    most = max(2, min(_MOST_COLUMNS, _MOST_CELLS // max(1, len(entries)) // 2))
    config_names: list[str] = _first(
        sorted(different, key=lambda name: -len(different[name])), most, "settings", remarks
    )
    metric_names: list[str] = _first(sorted(metrics, key=lambda name: -metrics[name]), most, "metrics", remarks)
    return {
        "settings": list(config_names),
        "metrics": list(metric_names),
        "rows": [
            [
                entry["experiment_id"],
                cut(str(entry.get("custom_name") or ""), _CELL_LENGTH),
                _status(entry),
                entry.get("end_reason"),
                _time_text(entry.get("timestamp")),
                _seconds(entry),
                [cut(str(tag), _CELL_LENGTH) for tag in entry.get("tags") or ()],
                [_cell(different[name].get(entry["experiment_id"], _ABSENT)) for name in config_names],
                [_cell(to_plain(entry["metrics"].get(name, _ABSENT))) for name in metric_names],
                entry["experiment_id"] in with_details,
            ]
            for entry in entries
        ],
    }


_ABSENT: Final = None


def _first(names: list[str], most: int, what: str, remarks: list[str]) -> list[str]:
    if len(names) > most:
        remarks.append(f"The table has {most} of {len(names)} {what}, those that most experiments have.")
    return names[:most]


def _cell(value: Json) -> Json:
    if value is None or isinstance(value, int | float):
        return value
    return cut(as_text(value), _CELL_LENGTH)


def _time_text(value: object) -> str | None:
    try:
        return format_time(parse_time(str(value)))
    except ValueError:
        return None


def _seconds(entry: Mapping[str, Any]) -> float | None:
    try:
        started = parse_time(str(entry.get("timestamp")))
        ended = entry.get("completed_at")
        if ended is None and entry.get("status") != Status.RUNNING:
            return None
        return max(0.0, ((parse_time(str(ended)) if ended else datetime.now(UTC)) - started).total_seconds())
    except ValueError:
        return None


def _detail(view: ExperimentView, packages: dict[str, int]) -> JsonObject:
    record = view.record
    settings = own_settings(view.id, record.config)
    detail: JsonObject = {
        "id": view.id,
        "name": cut(view.name or "", _TEXT_LENGTH),
        "status": view.status.value,
        "reason": None if view.end_reason is None else view.end_reason.value,
        "started": format_time(record.timestamp),
        "ended": None if record.completed_at is None else format_time(record.completed_at),
        "description": cut(view.description or "", _TEXT_LENGTH),
        "tags": list(view.tags),
        "notes": cut(view.notes or "", _TRACEBACK_LENGTH),
        "host": record.host,
        "parent": view.parent,
        "function": record.function,
        "attempts": view.attempt,
        "evidence": record.attempts[-1].evidence if record.attempts else None,
        "failure": _failure(view),
        "config": [[key, cut(as_text(value), _TEXT_LENGTH)] for key, value in list(settings.items())[:_MOST_SETTINGS]],
        "settings": len(settings),
        "metrics": [[name, to_plain(value)] for name, value in list(view.metrics.items())[:_MOST_SETTINGS]],
        "final_metrics": len(view.metrics),
    }
    try:
        rows, installed = environment_rows(view.load_environment())
    except FileNotFoundError:
        return detail | {"environment": []}
    except (errors.RunbookError, OSError) as error:
        return detail | {"environment": [], "environment_problem": str(error)}
    # Experiments of one project ran on the same packages, which are long lists.
    return detail | {
        "environment": rows,
        "packages": packages.setdefault(json.dumps(installed), len(packages)) if installed else None,
    }


def _failure(view: ExperimentView) -> JsonObject | None:
    failure = view.record.failure
    if failure is None:
        return None
    traceback = failure.traceback
    if len(traceback) > _TRACEBACK_LENGTH:
        # The innermost call, which failed, comes last.
        traceback = f"… {len(traceback) - _TRACEBACK_LENGTH:,} characters left out …\n{traceback[-_TRACEBACK_LENGTH:]}"
    return {"type": failure.type, "message": cut(failure.message, _TEXT_LENGTH), "traceback": traceback}


def _failures(manager: ExperimentManager, entries: Sequence[Mapping[str, Any]], remarks: list[str]) -> list[Json]:
    """The newest failed and interrupted experiments, those without details too."""
    unfinished = [entry for entry in entries if _status(entry) in _UNFINISHED]
    if len(unfinished) > _MOST_FAILURES:
        remarks.append(
            f"Of {len(unfinished):,} failed and interrupted experiments the newest {_MOST_FAILURES} are told."
        )
    told: list[Json] = []
    for view in reversed(_views(manager, unfinished[-_MOST_FAILURES:], [])):
        record = view.record
        told.append(
            {
                "id": view.id,
                "name": cut(view.name or "", _CELL_LENGTH),
                "status": view.status.value,
                "reason": None if view.end_reason is None else view.end_reason.value,
                "evidence": record.attempts[-1].evidence if record.attempts else None,
                "failure": _failure(view),
                "ended": None if record.completed_at is None else format_time(record.completed_at),
            }
        )
    return told


def _places(count: int, with_curves: set[int]) -> list[Json]:
    """Which of the colours each experiment has: those that are drawn have the first ones, which differ most."""
    order = sorted(range(count), key=lambda position: (position not in with_curves, position))
    places: list[Json] = [0] * count
    for place, position in enumerate(order):
        places[position] = place
    return places


def _titles(views: Sequence[ExperimentView]) -> list[Json]:
    names = [cut(view.name or view.id, _CELL_LENGTH) for view in views]
    settings = [own_settings(view.id, view.record.config) for view in views]
    return list(told_apart(names, settings, [view.id[-8:] for view in views]))


def _settings(views: Sequence[ExperimentView]) -> JsonObject:
    """The settings in which the experiments differ, and those that they share."""
    configs = {view.id: own_settings(view.id, view.record.config) for view in views}
    different = differing(configs) if len(views) > 1 else {}
    shared = next(iter(configs.values()), {})
    return {
        "differing": [
            [key, [None if view.id not in values else cut(as_text(values[view.id]), _CELL_LENGTH) for view in views]]
            for key, values in list(different.items())[:_MOST_SETTINGS]
        ],
        "differing_count": len(different),
        "shared": [
            [key, cut(as_text(value), _TEXT_LENGTH)]
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
    found = group([{"experiment_id": view.id, "config": view.record.config} for view in views])
    several = [one for one in found if len(one.experiment_ids) > 1]
    members = [[position_of[experiment_id] for experiment_id in one.experiment_ids] for one in several]
    names = [
        " / ".join(dict.fromkeys(cut(views[at].name or views[at].id, _CELL_LENGTH) for at in positions))
        for positions in members
    ]
    rows: list[Json] = [
        {
            "members": list(positions),
            "name": cut(f"{name} · {one.label}" if names.count(name) > 1 else name, _CELL_LENGTH),
        }
        for one, positions, name in zip(several, members, names, strict=True)
    ]
    return members, rows
