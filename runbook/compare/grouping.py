"""Experiments that belong together: all that differ by their seed alone, or that share a field."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from runbook import display, errors
from runbook.config.difference import differing
from runbook.config.settings import canonical, without_outputs
from runbook.hints import Hint
from runbook.query import fields, parser
from runbook.query.fields import MISSING, FieldPath
from runbook.record import registry_entry
from runbook.serialize import timestamps
from runbook.serialize.flatten import flatten
from runbook.typing import Entry, Json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runbook.query.fields import Getter

CONFIG: Final = "config"

SEEDS: Final = ("seed", "*_seed", "seed_everything", "random_state")
"""Settings, at any depth, by which the experiments of one group may differ: patterns of the shell."""

_OWN: Final = {*fields.OWN, "tag"}
_LABEL_KEYS: Final = 4
_LABEL_VALUE: Final = 40


@attrs.frozen
class Group:
    """Experiments that are taken together.

    Attributes:
        label: what it is called, unique among the groups of a comparison.
        settings: what sets it apart from the other groups, by dotted key.
        experiment_ids: in the order in which they were given.
        varying: the settings, seeds aside, that are not the same in all of its experiments.
        repeats: how many of its experiments have config and seed of another one in it.
    """

    label: str
    settings: dict[str, Json]
    experiment_ids: tuple[str, ...]
    varying: tuple[str, ...] = ()
    repeats: int = 0


def group(entries: Sequence[Entry], by: str | Iterable[str] = CONFIG) -> list[Group]:
    """The groups, in the order in which their first experiments were given.

    Args:
        entries: lines of the registry.
        by: "config" for all of it without seeds and folders for output (see `SEEDS` and `config.OUTPUT_KEYS`), or a
            field or several: `config.lr`, `lr`, `name`, `tags`. Experiments without the field are a group as well.

    Raises:
        QueryError: for a field that none of them has.
    """
    texts = [by] if isinstance(by, str) else list(by)
    if not texts:
        hint = Hint("pass 'config', or a field such as 'config.lr'", "name config, or a field such as config.lr")
        raise errors.ComparisonError("nothing to group by", hint)
    getters = {_name(text): _getter(text, entries) for text in texts if text != CONFIG}
    members: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        key = [canonical(registry_entry.section_of(entry, "config"), SEEDS)] if CONFIG in texts else []
        key += [_key(get(entry)) for get in getters.values()]
        members.setdefault(tuple(key), []).append(entry)
    firsts = [found[0] for found in members.values()]
    settings = [{name: _plain(get(first)) for name, get in getters.items()} for first in firsts]
    labels = [", ".join(_part(name, get(first)) for name, get in getters.items()) for first in firsts]
    if CONFIG in texts:
        flat = {str(place): _counting(first) for place, first in enumerate(firsts)}
        differences = differing(flat)
        for place in range(len(firsts)):
            values = {key: found.get(str(place), MISSING) for key, found in differences.items()}
            settings[place] |= {key: _plain(value) for key, value in values.items() if value is not MISSING}
            parts = [labels[place], *(_part(key, value) for key, value in list(values.items())[:_LABEL_KEYS])]
            parts += [f"+{len(values) - _LABEL_KEYS} more"] if len(values) > _LABEL_KEYS else []
            labels[place] = ", ".join(filter(None, parts)) or "one config"
    return [
        Group(
            label=label,
            settings=own,
            experiment_ids=tuple(str(entry["experiment_id"]) for entry in found),
            varying=tuple(differing({str(entry["experiment_id"]): _counting(entry) for entry in found})),
            repeats=_repeats(found),
        )
        for label, own, found in zip(_unique(labels), settings, members.values(), strict=True)
    ]


def _getter(text: str, entries: Sequence[Entry]) -> Getter:
    field = parser.parse_field(text, "by", "config.lr, name or tags")
    if field.path == ("tag",):
        field = FieldPath(("tags",), text)
    return fields.make_getter(field, fields.Source(entries, timestamps.now_utc()), (text, "by"))


def _name(text: str) -> str:
    """As in a label: without `config.`, as long as that leaves no field of the experiment itself."""
    inner = text.removeprefix("config.")
    return text if inner in _OWN else inner


def _plain(value: Any) -> Json:
    if value is MISSING:
        return None
    return timestamps.format_time(value) if isinstance(value, datetime) else cast("Json", value)


def _key(value: object) -> str:
    return "" if value is MISSING else canonical(_plain(value))


def _part(name: str, value: object) -> str:
    """`lr=0.1`; only the value of a field of the experiment itself."""
    if value is MISSING:
        return f"no {name}"
    plain = _plain(value)
    is_own = name in _OWN
    if is_own and isinstance(plain, list):
        plain = "+".join(map(str, plain)) or None
    if is_own and plain is None:
        return f"no {name}"
    text = "None" if plain is None else display.one_line(plain)
    text = display.cut(text, _LABEL_VALUE)
    return text if is_own else f"{name}={text}"


def _counting(entry: Entry) -> dict[str, Json]:
    """The settings that make a difference between groups."""
    return without_outputs(flatten(registry_entry.section_of(entry, "config")), SEEDS)


def _repeats(entries: Sequence[Entry]) -> int:
    """How many are nothing but another one run again; without a seed on record nobody can tell."""
    seen: set[str] = set()
    count = 0
    for entry in entries:
        config = registry_entry.section_of(entry, "config")
        flat = without_outputs(flatten(config))
        if len(without_outputs(flat, SEEDS)) == len(flat):
            continue
        whole = canonical(config)
        count += whole in seen
        seen.add(whole)
    return count


def _unique(labels: Sequence[str]) -> list[str]:
    """The labels, with numbers behind those that are not the first of their kind."""
    found: dict[str, None] = {}
    for label in labels:
        free, count = label, 1
        while free in found:
            count += 1
            free = f"{label} ({count})"
        found[free] = None
    return list(found)
