"""The details of single experiments in a report: record, config, metrics, environment, and failures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from runbook import errors
from runbook.display import cut
from runbook.pages.report.environment import environment_rows
from runbook.pages.report.labels import flatten_settings, format_setting
from runbook.read.view import record_of
from runbook.serialize.jsonable import to_jsonable
from runbook.serialize.timestamps import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbook import ExperimentView
    from runbook.typing import Json, JsonObject

_DETAIL_BYTES: Final = 1_200_000
_TEXT_LENGTH: Final = 2_000
_LONG_TEXT_LENGTH: Final = 12_000
_NAME_LENGTH: Final = 200
_MOST_TAGS: Final = 50


class _Room(NamedTuple):
    """The most settings of each config and environment that are shown, and the most characters of each."""

    settings: int
    length: int


_ROOMS: Final = (_Room(300, 2_000), _Room(150, 400), _Room(60, 80), _Room(20, 40))
"""A report uses the first with which everything fits; only configs of an unusual size need another than the first."""


def describe_experiments(views: Sequence[ExperimentView], remarks: list[str]) -> JsonObject:
    """The details of experiments, as JSON-compatible data.

    Args:
        views: the experiments.
        remarks: a list to which sentences about what is not shown are added.

    Returns:
        `{"experiments": […], "packages": […]}`; experiments with the same packages share one list.
    """
    made: JsonObject = {}
    for room in _ROOMS:
        packages: dict[str, int] = {}
        experiments: list[Json] = [
            _describe_experiment(view, room) | _describe_environment(view, room, packages) for view in views
        ]
        made = {"experiments": experiments, "packages": [json.loads(text) for text in packages]}
        if len(json.dumps(made, ensure_ascii=False)) <= _DETAIL_BYTES:
            break
    if room != _ROOMS[0]:
        remarks.append(
            f"Of each config at most {room.settings} settings are shown, up to {room.length} characters each."
        )
    return made


def _describe_experiment(view: ExperimentView, room: _Room) -> JsonObject:
    record = record_of(view)
    settings = flatten_settings(view.id, record.config)
    return {
        "id": view.id,
        "status": view.status.value,
        "reason": None if view.end_reason is None else view.end_reason.value,
        "started": format_time(record.timestamp),
        "ended": None if record.completed_at is None else format_time(record.completed_at),
        "description": cut(view.description or "", _TEXT_LENGTH),
        "tags": [cut(tag, _NAME_LENGTH) for tag in view.tags[:_MOST_TAGS]],
        "notes": cut(view.notes or "", _LONG_TEXT_LENGTH),
        "host": record.host,
        "parent": view.parent,
        "function": record.function,
        "attempts": view.attempt,
        "config": _list_pairs({key: cut(format_setting(value), room.length) for key, value in settings.items()}, room),
        "settings": len(settings),
        "metrics": _list_pairs({name: to_jsonable(value) for name, value in view.metrics.items()}, room),
        "final_metrics": len(view.metrics),
    }


def _list_pairs(values: JsonObject, room: _Room) -> list[Json]:
    return [[cut(name, min(room.length, _NAME_LENGTH)), value] for name, value in list(values.items())[: room.settings]]


def _describe_environment(view: ExperimentView, room: _Room, packages: dict[str, int]) -> JsonObject:
    try:
        rows, installed = environment_rows(view.load_environment(), room.length)
    except FileNotFoundError:
        return {"environment": []}
    except (errors.RunbookError, OSError) as error:
        return {"environment": [], "environment_problem": str(error)}
    key = packages.setdefault(json.dumps(installed), len(packages)) if installed else None
    return {"environment": rows, "packages": key}


def describe_failures(views: Sequence[ExperimentView]) -> list[Json]:
    """The endings of failed and interrupted experiments, newest first.

    Args:
        views: the experiments, oldest first.
    """
    return [_describe_ending(view) for view in reversed(views)]


def _describe_ending(view: ExperimentView) -> JsonObject:
    record = record_of(view)
    return {
        "id": view.id,
        "name": cut(view.name or view.id, _NAME_LENGTH),
        "status": view.status.value,
        "reason": None if view.end_reason is None else view.end_reason.value,
        "ended": None if record.completed_at is None else format_time(record.completed_at),
        "evidence": record.attempts[-1].evidence if record.attempts else None,
        "failure": _describe_failure(view),
    }


def _describe_failure(view: ExperimentView) -> JsonObject | None:
    failure = record_of(view).failure
    if failure is None:
        return None
    traceback = failure.traceback
    if len(traceback) > _LONG_TEXT_LENGTH:
        # The end is kept, because the innermost call comes last.
        left_out = len(traceback) - _LONG_TEXT_LENGTH
        traceback = f"… {left_out:,} characters left out …\n{traceback[-_LONG_TEXT_LENGTH:]}"
    return {"type": failure.type, "message": cut(failure.message, _TEXT_LENGTH), "traceback": traceback}
