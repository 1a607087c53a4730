"""Nested JSON-compatible data as one flat mapping, and the keys for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbook.typing import Json

NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""The strings for the floats that strict JSON cannot hold."""


def flatten(data: Mapping[str, Json], separator: str = ".") -> dict[str, Json]:
    """Nested mappings as one mapping with joined keys; lists stay whole and empty mappings stay `{}`.

    A key that holds the separator itself stays as it is while its joined key is the only one of that name.
    Where two would be the same, as in `{"a.b": 1, "a": {"b": 2}}`, the key with the separator is put in double
    quotes: `"a.b"` with the quotes is 1, and `a.b` without is 2.

    Example:
        >>> flatten({"optim": {"lr": 0.1, "betas": [0.9, 0.99]}, "seed": 1})
        {'optim.lr': 0.1, 'optim.betas': [0.9, 0.99], 'seed': 1}
    """
    entries = list(_entries(data))
    owners: dict[str, int] = {}
    for path, _ in entries:
        name = separator.join(path)
        owners[name] = owners.get(name, 0) + 1
    flat: dict[str, Json] = {}
    for path, item in entries:
        name = separator.join(path)
        if owners[name] > 1:
            name = separator.join(f'"{key}"' if separator in key else key for key in path)
        flat[free_name(name, "again", flat)] = item
    return flat


def restore_floats(data: Json) -> Json:
    """A copy in which the strings "NaN", "Infinity" and "-Infinity" are floats again, at any depth."""
    holder: list[Json] = [data]
    # A list as a stack: data that a JSON reader can just read may be too deep for recursion in Python.
    unfinished: list[Any] = [holder]
    while unfinished:
        container = unfinished.pop()
        for key, item in list(container.items() if isinstance(container, dict) else enumerate(container)):
            if isinstance(item, str):
                container[key] = NON_FINITE.get(item, item)
            elif isinstance(item, (dict, list)):
                container[key] = item.copy()
                unfinished.append(container[key])
    return holder[0]


def key_text(data: Json) -> str:
    """The text of a key that is no string: `None`, `1`, `(1, a)`."""
    if isinstance(data, list):
        return f"({', '.join(key_text(item) for item in data)})"
    if isinstance(data, dict):
        return str(data["__repr__"]) if list(data) == ["__repr__"] else sorting_key(data)[2]
    return str(data)


def free_name(name: str, kind: str, taken: Mapping[str, object]) -> str:
    """The name; where it is taken, the name followed by its kind, as in `1 (int)`."""
    free, count = name, 1
    while free in taken:
        free = f"{name} ({kind})" if count == 1 else f"{name} ({kind} {count})"
        count += 1
    return free


def sorting_key(data: Json) -> tuple[int, float, str]:
    """A key that sorts values in the same order in every process: numbers by size, then the others by their JSON."""
    if isinstance(data, (int, float)):
        return 0, data, ""
    import json

    return 1, 0, json.dumps(data, sort_keys=True)


def _entries(data: Mapping[str, Json]) -> Iterable[tuple[tuple[str, ...], Json]]:
    unfinished: list[tuple[tuple[str, ...], Any]] = [((), iter(data.items()))]
    while unfinished:
        path, items = unfinished[-1]
        for key, item in items:
            if isinstance(item, Mapping) and item:
                unfinished.append(((*path, key), iter(item.items())))
                break
            yield (*path, key), item
        else:
            unfinished.pop()
