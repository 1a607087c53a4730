"""The fields of an entry of the registry, by the names that people write.

A name is a path: `status`, `config.optim.lr`, `metrics."val loss"`. `config` and `metrics` begin the two that hold
whatever the user recorded; any other first word is a field of the entry itself, or else the beginning of a path in
either of those two, as long as only one of them has it.
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
"""What a getter gives for a field that an entry does not have; a recorded null is None."""

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
"""The names of an entry's own fields, with the key that each stands for."""

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LENGTH: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[smhdw])+")
_PART_OF_A_LENGTH: Final = re.compile(r"([0-9.]+)([smhdw])")
_BARE: Final = re.compile(r"[\w/@%#$:+-]+")
_NUMBERS: Final = frozenset({int, float})
_NEAREST_SHOWN: Final = 3
_NEAREST_OF: Final = 1000
_WORDS: Final = re.compile(r"[^\W_]+")


class FieldPath(NamedTuple):
    """A field as somebody wrote it.

    Args:
        path: its names, outermost first.
        text: how it was written.
        column: where it was written, 0-based.
        is_value: whether it stands where a text in quotes may have been meant.
    """

    path: tuple[str, ...]
    text: str
    column: int = 0
    is_value: bool = False

    @property
    def own(self) -> str | None:
        """The field of the entry itself that it names; None for one in `config` or `metrics`."""
        return OWN.get(self.path[0]) if len(self.path) == 1 else None

    @property
    def sections(self) -> tuple[str, ...]:
        """Where it may be found: in one of `config` and `metrics`, or in both for a name without either."""
        if self.own is not None:
            return ()
        return (self.path[0],) if self.path[0] in SECTIONS else SECTIONS

    @property
    def inner(self) -> tuple[str, ...]:
        """The names within `config` or `metrics`."""
        return self.path[1:] if self.path[0] in SECTIONS else self.path


class Source(NamedTuple):
    """What fields are taken from.

    Args:
        entries: all of the entries, to tell a field that only some have from a slip of the pen.
        now: the moment of the question.
    """

    entries: Sequence[Entry]
    now: datetime


def getter(field: FieldPath, source: Source, where: tuple[str, str]) -> Getter:
    """A function that takes the field out of an entry.

    Args:
        field: which field.
        source: where it will be taken from.
        where: the text that it was written in and what that is, for the message.

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
    """A field that is taken out of entries which come one after the other.

    A time is a `datetime`, the duration is in seconds, to now for what is running. The words by which strict JSON has
    to write non-finite floats are floats again.

    Args:
        field: which field.
        now: the moment of the question.
        where: the text that it was written in and what that is, for the message.

    Attributes:
        get: takes the field out of an entry from which `learn` has learned, or before which all that came were alike
            in this.
    """

    def __init__(self, field: FieldPath, now: datetime, where: tuple[str, str]) -> None:
        self._field = field
        self._where = where
        self._inner = {section: _inner(section, field.inner) for section in field.sections}
        self._having: list[str] = []
        # Of many thousands, the latest: comparing with each of them would take longer than anybody waits.
        self._latest: deque[Entry] = deque(maxlen=_NEAREST_OF)
        self._is_any_there = False
        self._take: Getter = self._inner[field.sections[0]] if field.sections else lambda _: MISSING
        self.get: Getter = self._get if field.own is None else _own(field.own, now)

    def _get(self, entry: Entry) -> object:
        value = self._take(entry)
        # Nearly always, and in a third of the time.
        return value if type(value) in _NUMBERS else _leaf(value)

    def learn(self, entry: Entry) -> bool:
        """Look where one more entry has the field; True if the next ones can tell nothing new."""
        for section, take in self._inner.items():
            if section not in self._having and take(entry) is not MISSING:
                # Those before it have it nowhere, so that it is all the same where it was looked for in them.
                self._take = take
                self._having.append(section)
        if not self._having:
            self._latest.append(entry)
            self._is_any_there = self._is_any_there or any(section_of(entry, section) for section in self._inner)
        return len(self._having) == len(self._inner)

    def check(self) -> None:
        """Refuse a field that there is not.

        Raises:
            QueryError: if no entry has the field, or if both `config` and `metrics` have one of that name.
        """
        if len(self._having) > 1:
            choice = " or ".join(_spelled(section, ".".join(self._field.inner)) for section in self._inner)
            raise errors.QueryError(
                self._where[0], self._field.column, f"this name is in both; write {choice}", self._where[1]
            )
        # Without a single metric on record, as while the first experiment runs, nothing can be said about its name.
        if self._inner and not self._having and self._is_any_there:
            problem = _unknown(self._field, self._latest)
            raise errors.QueryError(self._where[0], self._field.column, problem, self._where[1])


def length(text: str) -> timedelta | None:
    """A length of time such as `45m`, `1.5h`, `2d` or `1h30m`; None for any other text, and beyond all time."""
    if _LENGTH.fullmatch(text) is None:
        return None
    parts = _PART_OF_A_LENGTH.findall(text)
    try:
        return sum((timedelta(**{_UNITS[unit]: float(many)}) for many, unit in parts), timedelta())
    except OverflowError:
        return None


def _own(key: str, now: datetime) -> Getter:
    if key == "duration":
        return lambda entry: duration_of(entry, now)
    if key in TIMES:
        return lambda entry: parse_moment(entry.get(key))
    if key in SECTIONS:
        return lambda entry: section_of(entry, key)
    return lambda entry: entry.get(key)


def _inner(section: str, path: tuple[str, ...]) -> Getter:
    """A function that takes what a path leads to out of the config or the metrics."""
    if len(path) == 1:
        return _only(section, path[0])
    steps = _steps(path)
    return lambda entry: _find(entry.get(section), steps, 0)


def _only(section: str, name: str) -> Getter:
    """The same for one name, which is by far the most frequent, in half the time."""

    def get(entry: Entry) -> object:
        holder = entry.get(section)
        return holder.get(name, MISSING) if type(holder) is dict or isinstance(holder, Mapping) else MISSING

    return get


_Steps: TypeAlias = tuple[tuple[tuple[str, int], ...], ...]


def _steps(path: tuple[str, ...]) -> _Steps:
    """For each position in a path the keys that may come next, and the position after each.

    The names of metrics are flat, with dots in them, and a key of a config may hold a dot as well: `a.b.c` is `c` in
    `b` in `a`, or else what has the key `a.b`, and so on.
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


def _leaf(value: object) -> object:
    if isinstance(value, str):
        return NON_FINITE.get(value, value)
    return restore_floats(value) if isinstance(value, list) else value


def _unknown(field: FieldPath, entries: Iterable[Entry]) -> str:
    hints = []
    if field.is_value and field.path[0] not in SECTIONS:
        hints.append("put it in quotes if it is a text")
    spelled = _spellings(field, entries)
    if nearest := _nearest(field, spelled):
        hints.append(ask_for(nearest))
    if not hints:
        hints.append(list_known(path for paths in spelled.values() for path in paths))
    return f"no experiment has a field {field.text!r}; {', or '.join(hints)}"


def _spellings(field: FieldPath, entries: Iterable[Entry]) -> dict[str, list[str]]:
    """The names of the fields that there are where it was looked for, and how each has to be written."""
    names = dict.fromkeys(
        (section, name)
        for entry in entries
        for section in field.sections
        for name in flatten(section_of(entry, section))
    )
    spelled: dict[str, list[str]] = {}
    for section, name in names:
        spelled.setdefault(name, []).append(_spelled(section, name))
    if len(field.sections) > 1:
        for name in OWN:
            if name not in SECTIONS:
                spelled.setdefault(name, []).insert(0, name)
    return spelled


def _nearest(field: FieldPath, spelled: Mapping[str, list[str]]) -> list[str]:
    """Fields that come close, as they have to be written."""
    # Somebody may write a word of the name or its initials: `f1` for `test_f1`, `lr` for `optim.learning_rate`.
    last = field.path[-1].lower()
    short = [name for name in spelled if last in {*_WORDS.findall(name.lower()), _initials(name)}]
    wanted = ".".join(field.inner)
    # "failed" has both letters of "id".
    long = [name for name in spelled if 2 * len(name) >= len(wanted)]
    close = find_nearest(wanted, long, cutoff=0.5)
    found = dict.fromkeys(path for name in [*short, *close] for path in spelled[name])
    return list(found)[:_NEAREST_SHOWN]


def _initials(name: str) -> str:
    return "".join(word[0] for word in _WORDS.findall(name.lower().rpartition(".")[2]))


def _spelled(section: str, name: str) -> str:
    parts = (part if _BARE.fullmatch(part) else json.dumps(part) for part in name.split("."))
    return ".".join([section, *parts])
