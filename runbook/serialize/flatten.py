"""Plain data, flat: joined names, names that are still free, and floats again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbook.typing import Json

NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How the floats that strict JSON cannot hold are written, and what they mean."""


def flatten(data: Mapping[str, Json], separator: str = ".") -> dict[str, Json]:
    """Nested mappings as one mapping with joined keys; lists stay whole and empty mappings stay `{}`.

    Nothing is lost where a key holds the separator itself: if `{"a.b": 1, "a": {"b": 2}}` makes two entries
    of one name, the keys that hold the separator are put in double quotes, and there are `"a.b"` with the
    quotes and `a.b` without. A key with the separator stays as it is while its name is the only one.

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
    # A stack of our own: what a JSON reader just managed to read may be too deep for recursion in Python.
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


def key_text(plain: Json) -> str:
    """A plain value as a key: `None`, `1`, `(1, a)`."""
    if isinstance(plain, list):
        return f"({', '.join(key_text(item) for item in plain)})"
    if isinstance(plain, dict):
        return str(plain["__repr__"]) if list(plain) == ["__repr__"] else sorting_key(plain)[2]
    return str(plain)


def free_name(name: str, kind: str, taken: Mapping[str, object]) -> str:
    """The name, or where it is taken the name with its kind behind it, as in `1 (int)`."""
    free, count = name, 1
    while free in taken:
        free = f"{name} ({kind})" if count == 1 else f"{name} ({kind} {count})"
        count += 1
    return free


def sorting_key(plain: Json) -> tuple[int, float, str]:
    """A key that puts plain values in the same order in every process: numbers by size, then the others."""
    if isinstance(plain, (int, float)):
        return 0, plain, ""
    import json

    return 1, 0, json.dumps(plain, sort_keys=True)


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
