"""The difference between configs: the settings that are not the same in all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.serialize.flatten import flatten

if TYPE_CHECKING:
    from runbook.typing import Json, JsonObject


def config_diff(configs: dict[str, dict[str, Json]]) -> dict[str, dict[str, Json]]:
    """The settings that are not the same in all configs.

    Args:
        configs: configs as JSON-compatible data, by the id of their experiment.

    Returns:
        `{dotted key: {experiment_id: value}}`. The top-level `save_dir` is left out: it is in the folder of the
        experiment, and always differs.
    """
    return differing(
        {
            experiment_id: flatten({key: value for key, value in config.items() if key != "save_dir"})
            for experiment_id, config in configs.items()
        }
    )


def differing(flat: dict[str, dict[str, Json]]) -> dict[str, dict[str, Json]]:
    """The keys whose values differ, or that only some have: `{key: {owner: value}}`.

    Args:
        flat: for each owner its values by key.
    """
    keys = dict.fromkeys(key for settings in flat.values() for key in settings)
    found = {key: {owner: settings[key] for owner, settings in flat.items() if key in settings} for key in keys}
    return {key: values for key, values in found.items() if len(values) < len(flat) or not _all_same(values)}


def without_own_paths(config: JsonObject, experiment_id: str) -> JsonObject:
    """The config without each inner `save_dir` that was set to the experiment's own folder."""
    own = f"{experiment_id}/checkpoints"
    kept: JsonObject = {}
    for key, value in config.items():
        if isinstance(value, dict):
            kept[key] = without_own_paths(value, experiment_id)
        elif not (key == "save_dir" and isinstance(value, str) and value.replace("\\", "/").endswith(own)):
            kept[key] = value
    return kept


def _all_same(values: dict[str, Json]) -> bool:
    first, *others = values.values()
    # True and 1 are equal in Python, but different settings; NaN is not equal to itself, but the same setting.
    return all(
        isinstance(other, bool) is isinstance(first, bool) and (other == first or (other != other and first != first))  # noqa: PLR0124
        for other in others
    )
