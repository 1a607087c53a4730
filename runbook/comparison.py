"""Experiments side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook.plain import flatten, restore_floats
from runbook.view import final_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbook.typing import Json, JsonObject
    from runbook.view import ExperimentView


def compare(views: Sequence[ExperimentView]) -> dict[str, Any]:
    """Experiments as one plain dict.

    Args:
        views: the experiments, in the order in which they are to appear.

    Returns:
        `{"experiments": [{"experiment_id", "custom_name", "status", "config", "metrics"}, …],
        "config_diff": {dotted key: {experiment_id: value}}}`; the difference has only the keys whose values differ,
        and under each only the experiments that have it. Metrics are nested as they were saved.
    """
    return {
        "experiments": [
            {
                "experiment_id": view.id,
                "custom_name": view.name,
                "status": view.status.value,
                "config": view.config,
                "metrics": restore_floats(final_metrics(view.layout, view.record)),
            }
            for view in views
        ],
        "config_diff": config_diff({view.id: _without_own_paths(view.record.config, view.id) for view in views}),
    }


def config_diff(configs: dict[str, dict[str, Json]]) -> dict[str, dict[str, Json]]:
    """The settings that are not the same in all configs.

    Args:
        configs: plain configs by the id of their experiment.

    Returns:
        `{dotted key: {experiment_id: value}}`. The top-level `save_dir` is left out: it is the experiment's own
        folder, and differs always.
    """
    flat = {
        experiment_id: flatten({key: value for key, value in config.items() if key != "save_dir"})
        for experiment_id, config in configs.items()
    }
    keys = dict.fromkeys(key for settings in flat.values() for key in settings)
    found = {
        key: {experiment_id: settings[key] for experiment_id, settings in flat.items() if key in settings}
        for key in keys
    }
    return {key: values for key, values in found.items() if len(values) < len(flat) or not _all_same(values)}


def _all_same(values: dict[str, Json]) -> bool:
    first, *others = values.values()
    # True and 1 are equal in Python, and are different settings; NaN is not equal to itself, and the same one.
    return all(
        isinstance(other, bool) is isinstance(first, bool) and (other == first or (other != other and first != first))  # noqa: PLR0124
        for other in others
    )


def _without_own_paths(config: JsonObject, experiment_id: str) -> JsonObject:
    """The config without each inner `save_dir` that was pointed at the experiment's own folder."""
    own = f"{experiment_id}/checkpoints"
    kept: JsonObject = {}
    for key, value in config.items():
        if isinstance(value, dict):
            kept[key] = _without_own_paths(value, experiment_id)
        elif not (key == "save_dir" and isinstance(value, str) and value.replace("\\", "/").endswith(own)):
            kept[key] = value
    return kept
