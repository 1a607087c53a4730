"""Titles of experiments in a report: their names, with the settings that distinguish those of the same name."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final

from runbook.config.difference import differing, without_own_paths
from runbook.serialize.flatten import flatten

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbook.typing import Json

_MOST_SETTINGS: Final = 3
_LONGEST: Final = 90


def flatten_settings(experiment_id: str, config: object) -> dict[str, Json]:
    """The settings of a config, flat, without paths into the experiment's own folder, which always differ."""
    return flatten(without_own_paths(config, experiment_id)) if isinstance(config, dict) else {}


def told_apart(names: Sequence[str], settings: Sequence[Mapping[str, Json]], fallback: Sequence[str]) -> list[str]:
    """A title for each experiment: its name; names that several have get the settings that differ, or a fallback.

    Args:
        names: the name of each experiment.
        settings: the flat settings of each experiment.
        fallback: a text for each experiment that is always unique.

    Example:
        >>> told_apart(["a", "a", "b"], [{"lr": 1}, {"lr": 2}, {}], ["x", "y", "z"])
        ['a · lr=1', 'a · lr=2', 'b']
    """
    titles = list(names)
    for name, count in Counter(names).items():
        if count == 1:
            continue
        alike = [at for at, other in enumerate(names) if other == name]
        different = differing({str(at): dict(settings[at]) for at in alike})
        texts = [_format_settings({key: values.get(str(at)) for key, values in different.items()}) for at in alike]
        is_unique = (
            0 < len(different) <= _MOST_SETTINGS and len(set(texts)) == count and max(map(len, texts)) <= _LONGEST
        )
        for at, text in zip(alike, texts, strict=True):
            titles[at] = f"{name} · {text if is_unique else fallback[at]}"
    return titles


def format_setting(value: Json) -> str:
    """The value of a setting as people write it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _format_settings(settings: Mapping[str, Json]) -> str:
    return ", ".join(f"{key}={format_setting(value)}" for key, value in settings.items())
