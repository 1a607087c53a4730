"""The fields of a registry entry, by the names that people write.

A name is a path: `status`, `config.optim.lr`, `metrics."val loss"`. A path that begins with `config` or `metrics` leads
to what the user recorded. Any other path is a field of the entry itself, or else a path within `config` or `metrics`;
only one of the two may have it.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from runbook import errors
from runbook.hints import ask_for, find_nearest, list_known
from runbook.record.registry_entry import SECTIONS, TIMES, duration_of, parse_moment, section_of
from runbook.serialize.flatten import NON_FINITE, flatten, restore_floats

if TYPE_CHECKING:
    from runbook.typing import Entry

Getter: TypeAlias = "Callable[[Entry], object]"

MISSING: Final = object()
"""What a getter returns for a field that an entry does not have; a recorded null is None."""

MEASURED: Final = TIMES | {"duration"}
OWN: Final = {
    "id": "experiment_id",
    "experiment_id": "experiment_id",
    "name": "custom_name",
    "custom_name": "custom_name",
    "status": "status",
    "end_reason": "end_reason",
    "started": "timestamp",
    "timestamp": "timestamp",
    "ended": "completed_at",
    "completed_at": "completed_at",
    "duration": "duration",
    "duration_s": "duration",
    "description": "description",
    "notes": "notes",
    "tags": "tags",
    "host": "host",
    "parent": "parent",
    "directory": "directory",
    "config": "config",
    "metrics": "metrics",
}
"""The key in the entry for each name of an entry's own field."""

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LENGTH: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[smhdw])+")
_PART_OF_A_LENGTH: Final = re.compile(r"([0-9.]+)([smhdw])")
_BARE: Final = re.compile(r"[\w/@%#$:+-]+")
_NUMBERS: Final = frozenset({int, float})
_NEAREST_SHOWN: Final = 3
_NEAREST_OF: Final = 1000
_WORDS: Final = re.compile(r"[^\W_]+")


class FieldPath(NamedTuple):
    """The name of a field as somebody wrote it.

    Args:
        path: its names, outermost first.
        text: how it was written.
        column: the column at which it begins, 0-based.
        is_value: whether its writer may have meant a text in quotes.
    """

    path: tuple[str, ...]
    text: str
    column: int = 0
    is_value: bool = False

    @property
    def own(self) -> str | None:
        """The key of the entry's own field; None for a field in `config` or `metrics`."""
        return OWN.get(self.path[0]) if len(self.path) == 1 else None

    @property
    def sections(self) -> tuple[str, ...]:
        """The sections to search: `config`, `metrics`, or both where the name begins with neither."""
        if self.own is not None:
            return ()
        return (self.path[0],) if self.path[0] in SECTIONS else SECTIONS

    @property
    def inner(self) -> tuple[str, ...]:
        """The names within `config` or `metrics`."""
        return self.path[1:] if self.path[0] in SECTIONS else self.path


class Source(NamedTuple):
    """The entries that a getter reads from.

    Args:
        entries: all of the entries; a field that none of them has is a typing mistake.
        now: the present, aware; the duration of a running experiment ends there.
    """

    entries: Sequence[Entry]
    now: datetime


def make_getter(field: FieldPath, source: Source, where: tuple[str, str]) -> Getter:
    """A function that returns the field's value in an entry.

    Args:
        field: which field.
        source: the entries that it will read.
        where: the text in which the field was written and the name of that argument, for the message.

    Raises:
        QueryError: if no entry has the field, or if both `config` and `metrics` have one of that name.
    """
    lookup = Lookup(field, source.now, where)
    for entry in source.entries:
        if lookup.learn(entry):
            break
    lookup.check()
    return lookup.get


class Lookup:
    """A getter of one field for entries that are read one by one, and a check that the field exists.

    Times are returned as `datetime`, the duration in seconds (to now while an experiment runs), non-finite floats as
    floats, though strict JSON writes them as words.

    Args:
        field: which field.
        now: the present, aware.
        where: the text in which the field was written and the name of that argument, for the message.

    Attributes:
        get: returns the field's value in an entry. Call `learn` with each entry first, until it returns True.
    """

    def __init__(self, field: FieldPath, now: datetime, where: tuple[str, str]) -> None:
        self._field = field
        self._where = where
        self._inner = {section: _make_getter(section, field.inner) for section in field.sections}
        self._having: list[str] = []
        # Only the latest: finding the nearest name among many thousand entries would take too long.
        self._latest: deque[Entry] = deque(maxlen=_NEAREST_OF)
        self._is_any_there = False
        self._take: Getter = self._inner[field.sections[0]] if field.sections else lambda _: MISSING
        self.get: Getter = self._get if field.own is None else _make_own_getter(field.own, now)

    def _get(self, entry: Entry) -> object:
        value = self._take(entry)
        # Most values are numbers; this check alone takes a third of the time of the call.
        return value if type(value) in _NUMBERS else _restore_value(value)

    def learn(self, entry: Entry) -> bool:
        """Find the section in which an entry has the field; True if no further entry needs to be passed."""
        for section, take in self._inner.items():
            if section not in self._having and take(entry) is not MISSING:
                # No earlier entry has the field in either section, so their values do not change.
                self._take = take
                self._having.append(section)
        if not self._having:
            self._latest.append(entry)
            self._is_any_there = self._is_any_there or any(section_of(entry, section) for section in self._inner)
        return len(self._having) == len(self._inner)

    def check(self) -> None:
        """Refuse a field that does not exist.

        Raises:
            QueryError: if no entry has the field, or if both `config` and `metrics` have one of that name.
        """
        if len(self._having) > 1:
            choice = " or ".join(_spell(section, ".".join(self._field.inner)) for section in self._inner)
            raise errors.QueryError(
                self._where[0], self._field.column, f"this name is in both; write {choice}", self._where[1]
            )
        # Before the first metric is recorded, any name may still be right.
        if self._inner and not self._having and self._is_any_there:
            problem = _describe_unknown(self._field, self._latest)
            raise errors.QueryError(self._where[0], self._field.column, problem, self._where[1])


def parse_length(text: str) -> timedelta | None:
    """A length of time such as `45m`, `1.5h`, `2d` or `1h30m`; None for other texts and for too large numbers."""
    if _LENGTH.fullmatch(text) is None:
        return None
    parts = _PART_OF_A_LENGTH.findall(text)
    try:
        return sum((timedelta(**{_UNITS[unit]: float(many)}) for many, unit in parts), timedelta())
    except OverflowError:
        return None


def _make_own_getter(key: str, now: datetime) -> Getter:
    if key == "duration":
        return lambda entry: duration_of(entry, now)
    if key in TIMES:
        return lambda entry: parse_moment(entry.get(key))
    if key in SECTIONS:
        return lambda entry: section_of(entry, key)
    return lambda entry: entry.get(key)


def _make_getter(section: str, path: tuple[str, ...]) -> Getter:
    """A function that returns the value at a path in the config or the metrics of an entry."""
    if len(path) == 1:
        return _make_key_getter(section, path[0])
    steps = _list_steps(path)
    return lambda entry: _find(entry.get(section), steps, 0)


def _make_key_getter(section: str, name: str) -> Getter:
    """The same for a path of one name, which is by far the most frequent, in half the time."""

    def get(entry: Entry) -> object:
        holder = entry.get(section)
        return holder.get(name, MISSING) if type(holder) is dict or isinstance(holder, Mapping) else MISSING

    return get


_Steps: TypeAlias = tuple[tuple[tuple[str, int], ...], ...]


def _list_steps(path: tuple[str, ...]) -> _Steps:
    """For each position in a path, the keys that may come next and the position after each.

    Names of metrics are flat and have dots in them, and a key of a config may hold a dot as well: `a.b.c` is `c` in `b`
    in `a`, or else `c` in the value of the key `a.b`, and so on.
    """
    return tuple(
        tuple((".".join(path[start:end]), end) for end in range(start + 1, len(path) + 1)) for start in range(len(path))
    )


def _find(holder: object, steps: _Steps, position: int) -> object:
    if position == len(steps):
        return holder
    if type(holder) is not dict and not isinstance(holder, Mapping):
        return MISSING
    for key, after in steps[position]:
        if key in holder:
            found = _find(holder[key], steps, after)
            if found is not MISSING:
                return found
    return MISSING


def _restore_value(value: object) -> object:
    if isinstance(value, str):
        return NON_FINITE.get(value, value)
    return restore_floats(value) if isinstance(value, list) else value


def _describe_unknown(field: FieldPath, entries: Iterable[Entry]) -> str:
    hints = []
    if field.is_value and field.path[0] not in SECTIONS:
        hints.append("put it in quotes if it is a text")
    spelled = _spell_fields(field, entries)
    if nearest := _find_nearest_fields(field, spelled):
        hints.append(ask_for(nearest))
    if not hints:
        hints.append(list_known(path for paths in spelled.values() for path in paths))
    return f"no experiment has a field {field.text!r}; {', or '.join(hints)}"


def _spell_fields(field: FieldPath, entries: Iterable[Entry]) -> dict[str, list[str]]:
    """The names of the existing fields in the sections that were searched, each with the ways to write it."""
    names = dict.fromkeys(
        (section, name)
        for entry in entries
        for section in field.sections
        for name in flatten(section_of(entry, section))
    )
    spelled: dict[str, list[str]] = {}
    for section, name in names:
        spelled.setdefault(name, []).append(_spell(section, name))
    if len(field.sections) > 1:
        for name in OWN:
            if name not in SECTIONS:
                spelled.setdefault(name, []).insert(0, name)
    return spelled


def _find_nearest_fields(field: FieldPath, spelled: Mapping[str, list[str]]) -> list[str]:
    """Fields with a similar name, as a query has to write them."""
    # Somebody may write a word of the name or its initials: `f1` for `test_f1`, `lr` for `optim.learning_rate`.
    last = field.path[-1].lower()
    short = [name for name in spelled if last in {*_WORDS.findall(name.lower()), _initials(name)}]
    wanted = ".".join(field.inner)
    # Short names match by chance: "failed" has both letters of "id".
    long = [name for name in spelled if 2 * len(name) >= len(wanted)]
    close = find_nearest(wanted, long, cutoff=0.5)
    found = dict.fromkeys(path for name in [*short, *close] for path in spelled[name])
    return list(found)[:_NEAREST_SHOWN]


def _initials(name: str) -> str:
    return "".join(word[0] for word in _WORDS.findall(name.lower().rpartition(".")[2]))


def _spell(section: str, name: str) -> str:
    parts = (part if _BARE.fullmatch(part) else json.dumps(part) for part in name.split("."))
    return ".".join([section, *parts])
