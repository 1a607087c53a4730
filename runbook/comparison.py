"""Experiments side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook.plain import flatten, restore_floats
from runbook.view import final_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbook.typing import Json
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
        "config_diff": config_diff({view.id: view.record.config for view in views}),
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
    # True and 1 are equal in Python, and are different settings.
    return all(type(other) is type(first) and other == first for other in others)
