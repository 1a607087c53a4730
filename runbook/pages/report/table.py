"""The table of a report: every experiment as one row of short cells."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from runbook import Status
from runbook.compare.directions import best_of, direction_of
from runbook.config.difference import differing
from runbook.display import cut
from runbook.pages.report.labels import flatten_settings, format_setting
from runbook.serialize.flatten import restore_floats
from runbook.serialize.jsonable import to_jsonable
from runbook.serialize.timestamps import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbook.typing import Json, JsonObject

_MOST_COLUMNS: Final = 12
_MOST_LEADING: Final = 6
_MOST_CELLS: Final = 150_000
_CELL_LENGTHS: Final = (80, 40, 20)
_TABLE_BYTES: Final = 2_500_000
_MOST_TAGS: Final = 12
_LONGEST_TITLE: Final = 200


def build_table(entries: Sequence[Mapping[str, Any]], remarks: list[str]) -> JsonObject:
    """A table of experiments, with the settings in which they differ and their final metrics.

    Args:
        entries: the experiments from `list_experiments`.
        remarks: a list to which sentences about what is not shown are added.
    """
    configs = {
        entry["experiment_id"]: flatten_settings(entry["experiment_id"], entry.get("config")) for entry in entries
    }
    different = differing(configs) if len(entries) > 1 else {}
    metrics: dict[str, dict[str, Any]] = {}
    for entry in entries:
        for name, value in entry["metrics"].items():
            metrics.setdefault(name, {})[entry["experiment_id"]] = value
    most = max(2, min(_MOST_COLUMNS, _MOST_CELLS // max(1, len(entries)) // 2))
    leading, others = _choose_settings(different, len(entries), most, remarks)
    settings_shown = leading + others
    metrics_shown = _choose_metrics(metrics, most, remarks)
    made: JsonObject = {
        "settings": [cut(name, _LONGEST_TITLE) for name in settings_shown],
        "leading": len(leading),
        "metrics": [cut(name, _LONGEST_TITLE) for name in metrics_shown],
        "best": [_find_best(name, metrics[name], entries) for name in metrics_shown],
    }
    rows: list[Json] = []
    for length in _CELL_LENGTHS:
        rows = [_build_row(entry, different, settings_shown, metrics_shown, length) for entry in entries]
        if len(json.dumps(rows, ensure_ascii=False)) <= _TABLE_BYTES:
            break
    return made | {"rows": rows}


def _build_row(
    entry: Mapping[str, Any],
    different: Mapping[str, Mapping[str, Json]],
    settings: Sequence[str],
    metrics: Sequence[str],
    length: int,
) -> list[Json]:
    experiment_id = entry["experiment_id"]
    return [
        experiment_id,
        cut(str(entry.get("custom_name") or ""), length),
        status_of(entry),
        entry.get("end_reason"),
        _format_moment(entry.get("timestamp")),
        _compute_duration(entry),
        [cut(str(tag), length) for tag in (entry.get("tags") or ())[:_MOST_TAGS]],
        [_build_cell(different[name].get(experiment_id), length) for name in settings],
        [_build_cell(to_jsonable(entry["metrics"].get(name)), length) for name in metrics],
    ]


def count_statuses(entries: Sequence[Mapping[str, Any]]) -> JsonObject:
    """The number of experiments with each status, in the order of `Status`; without those that no experiment has."""
    counts = {status.value: 0 for status in Status}
    for entry in entries:
        counts[status_of(entry)] += 1
    return {status: count for status, count in counts.items() if count}


def status_of(entry: Mapping[str, Any]) -> str:
    """The status of an experiment; "unknown" if the entry has none that is known."""
    status = str(entry.get("status"))
    return status if status in set(Status) else Status.UNKNOWN.value


def _choose_settings(
    different: Mapping[str, Mapping[str, Json]], count: int, most: int, remarks: list[str]
) -> tuple[list[str], list[str]]:
    """The settings for columns before the metrics, which most experiments have, and those for columns after them."""
    ranked = sorted(
        different, key=lambda name: (-len(different[name]), -len({*map(format_setting, different[name].values())}))
    )
    if len(ranked) > most:
        # Without room for all, a setting that one experiment has would be a column that is otherwise empty.
        ranked = [name for name in ranked if len(different[name]) > 1][:most]
        remarks.append(
            f"The table has {len(ranked)} of {len(different):,} settings, those that most experiments have; "
            "the others are in the details."
        )
    leading = [name for name in ranked if 2 * len(different[name]) > count][:_MOST_LEADING]
    # In the order of the configs, which users chose, not by rank.
    kept = set(ranked)
    shown = [name for name in different if name in kept]
    return [name for name in shown if name in leading], [name for name in shown if name not in leading]


def _choose_metrics(metrics: Mapping[str, Mapping[str, Any]], most: int, remarks: list[str]) -> list[str]:
    names = sorted(metrics, key=lambda name: -len(metrics[name]))
    if len(names) > most:
        remarks.append(f"The table has {most} of {len(names):,} metrics, those that most experiments have.")
    return names[:most]


def _find_best(name: str, values: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> JsonObject | None:
    """The rows with the best value of a metric; None where its name implies no direction."""
    direction = direction_of(name)
    best = set(best_of({owner: restore_floats(value) for owner, value in values.items()}, direction))
    if not best or len(best) == len(values):
        return None
    rows = [position for position, entry in enumerate(entries) if entry["experiment_id"] in best]
    return {"direction": direction, "rows": list(rows)}


def _build_cell(value: Json, length: int) -> Json:
    if value is None or isinstance(value, int | float):
        return value
    return cut(format_setting(value), length)


def _format_moment(value: object) -> str | None:
    try:
        return format_time(parse_time(str(value)))
    except ValueError:
        return None


def _compute_duration(entry: Mapping[str, Any]) -> float | None:
    """How long an experiment took, or has run so far, in seconds; None where that is unknown."""
    ended = entry.get("completed_at")
    if ended is None and entry.get("status") != Status.RUNNING:
        return None
    try:
        started = parse_time(str(entry.get("timestamp")))
        until = datetime.now(UTC) if ended is None else parse_time(str(ended))
    except ValueError:
        return None
    return max(0.0, (until - started).total_seconds())
