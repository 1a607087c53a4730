"""What experiments and groups are called in a report: by their names, and by what tells those of one name apart."""

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


def own_settings(experiment_id: str, config: object) -> dict[str, Json]:
    """The settings, flat, without the folder of checkpoints, which is the experiment's own and differs always."""
    return flatten(without_own_paths(config, experiment_id)) if isinstance(config, dict) else {}


def told_apart(names: Sequence[str], settings: Sequence[Mapping[str, Json]], fallback: Sequence[str]) -> list[str]:
    """The names; those that several have with the settings in which these differ, or else with the fallback.

    Args:
        names: one for each.
        settings: flat, one mapping for each.
        fallback: a text for each that differs always.

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
        told = [_told({key: values.get(str(at)) for key, values in different.items()}) for at in alike]
        is_enough = 0 < len(different) <= _MOST_SETTINGS and len(set(told)) == count and max(map(len, told)) <= _LONGEST
        for at, text in zip(alike, told, strict=True):
            titles[at] = f"{name} · {text if is_enough else fallback[at]}"
    return titles


def as_text(value: Json) -> str:
    """A setting as people write it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _told(settings: Mapping[str, Json]) -> str:
    return ", ".join(f"{key}={as_text(value)}" for key, value in settings.items())
