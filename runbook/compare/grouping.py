"""Groups of experiments that differ only by their seed, or that have the same value of a field."""

from __future__ import annotations

from datetime import UTC, datetime
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
"""Shell patterns for the settings, at any depth, in which the experiments of one group may differ."""

_OWN: Final = {*fields.OWN, "tag"}
_LABEL_KEYS: Final = 4
_LABEL_VALUE: Final = 40


@attrs.frozen
class Group:
    """Experiments that are compared as one.

    Attributes:
        label: its name, unique among the groups of a comparison.
        settings: the settings in which it differs from the other groups, by dotted key.
        experiment_ids: the ids of its experiments, in the order in which they were given.
        varying: the settings, without seeds, that are not the same in all of its experiments.
        repeats: how many of its experiments have the same config and seed as an earlier one of the group.
    """

    label: str
    settings: dict[str, Json]
    experiment_ids: tuple[str, ...]
    varying: tuple[str, ...] = ()
    repeats: int = 0


def group(entries: Sequence[Entry], by: str | Iterable[str] = CONFIG) -> list[Group]:
    """The groups, in the order in which their first experiments were given.

    Args:
        entries: registry entries.
        by: "config" for the whole config without seeds and folders for output (see `SEEDS` and `config.OUTPUT_KEYS`),
            or one or several fields: `config.lr`, `lr`, `name`, `tags`. Experiments without the field form a group.

    Raises:
        ComparisonError: if `by` is empty.
        QueryError: for a field that no experiment has.
    """
    texts = [by] if isinstance(by, str) else list(by)
    if not texts:
        hint = Hint("pass 'config', or a field such as 'config.lr'", "name config, or a field such as config.lr")
        raise errors.ComparisonError("nothing to group by", hint)
    getters = {_shorten_name(text): _make_getter(text, entries) for text in texts if text != CONFIG}
    members: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        key = [canonical(registry_entry.section_of(entry, "config"), SEEDS)] if CONFIG in texts else []
        key += [_make_key(get(entry)) for get in getters.values()]
        members.setdefault(tuple(key), []).append(entry)
    firsts = [found[0] for found in members.values()]
    settings = [{name: _to_jsonable(get(first)) for name, get in getters.items()} for first in firsts]
    labels = [", ".join(_format_part(name, get(first)) for name, get in getters.items()) for first in firsts]
    if CONFIG in texts:
        flat = {str(index): _select_settings(first) for index, first in enumerate(firsts)}
        differences = differing(flat)
        for index in range(len(firsts)):
            values = {key: found.get(str(index), MISSING) for key, found in differences.items()}
            settings[index] |= {key: _to_jsonable(value) for key, value in values.items() if value is not MISSING}
            parts = [labels[index], *(_format_part(key, value) for key, value in list(values.items())[:_LABEL_KEYS])]
            parts += [f"+{len(values) - _LABEL_KEYS} more"] if len(values) > _LABEL_KEYS else []
            labels[index] = ", ".join(filter(None, parts)) or "one config"
    return [
        Group(
            label=label,
            settings=own,
            experiment_ids=tuple(str(entry["experiment_id"]) for entry in found),
            varying=tuple(differing({str(entry["experiment_id"]): _select_settings(entry) for entry in found})),
            repeats=_count_repeats(found),
        )
        for label, own, found in zip(_make_unique(labels), settings, members.values(), strict=True)
    ]


def _make_getter(text: str, entries: Sequence[Entry]) -> Getter:
    field = parser.parse_field(text, "by", "config.lr, name or tags")
    if field.path == ("tag",):
        field = FieldPath(("tags",), text)
    return fields.make_getter(field, fields.Source(entries, datetime.now(UTC)), (text, "by"))


def _shorten_name(text: str) -> str:
    """The name of a field in a label: without `config.`, unless the rest is also a field of the experiment itself."""
    inner = text.removeprefix("config.")
    return text if inner in _OWN else inner


def _to_jsonable(value: Any) -> Json:
    if value is MISSING:
        return None
    return timestamps.format_time(value) if isinstance(value, datetime) else cast("Json", value)


def _make_key(value: object) -> str:
    return "" if value is MISSING else canonical(_to_jsonable(value))


def _format_part(name: str, value: object) -> str:
    """The part of a label for one field: `lr=0.1`, or the value alone for a field of the experiment itself."""
    if value is MISSING:
        return f"no {name}"
    data = _to_jsonable(value)
    is_own = name in _OWN
    if is_own and isinstance(data, list):
        data = "+".join(map(str, data)) or None
    if is_own and data is None:
        return f"no {name}"
    text = "None" if data is None else display.one_line(data)
    text = display.cut(text, _LABEL_VALUE)
    return text if is_own else f"{name}={text}"


def _select_settings(entry: Entry) -> dict[str, Json]:
    """The settings that distinguish groups: all without seeds and folders for output."""
    return without_outputs(flatten(registry_entry.section_of(entry, "config")), SEEDS)


def _count_repeats(entries: Sequence[Entry]) -> int:
    """The number of experiments that repeat config and seed of an earlier one; those without a seed do not count."""
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


def _make_unique(labels: Sequence[str]) -> list[str]:
    """The labels, with a number after each that an earlier group already has."""
    found: dict[str, None] = {}
    for label in labels:
        free, count = label, 1
        while free in found:
            count += 1
            free = f"{label} ({count})"
        found[free] = None
    return list(found)
