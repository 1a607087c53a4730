"""The fields of an entry of the registry, by the names that people write.

A name is a path: `status`, `config.optim.lr`, `metrics."val loss"`. `config` and `metrics` begin the two that hold
whatever the user recorded; any other first word is a field of the entry itself, or else the beginning of a path in
either of those two, as long as only one of them has it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from runbook import codec, errors
from runbook.flat import flatten
from runbook.leaves import NON_FINITE
from runbook.records import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Entry: TypeAlias = Mapping[str, Any]
Getter: TypeAlias = Callable[[Entry], object]

MISSING: Final = object()
"""What a getter gives for a field that an entry does not have; a recorded null is None."""

SECTIONS: Final = ("config", "metrics")
TIMES: Final = frozenset({"timestamp", "completed_at"})
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

_NEAREST_SHOWN: Final = 3
_NEAREST_OF: Final = 1000


@attrs.frozen
class FieldPath:
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
    def reads(self) -> frozenset[str]:
        """The keys of an entry that finding it takes."""
        if self.own is None:
            return frozenset(self.sections)
        return frozenset({*TIMES, "status"} if self.own == "duration" else {self.own})


def getter(field: FieldPath, entries: Sequence[Entry], where: tuple[str, str], now: datetime) -> Getter:
    """A function that takes the field out of an entry.

    A time is a `datetime`, the duration is in seconds, to `now` for what is running. The words by which strict JSON
    has to write non-finite floats are floats again.

    Args:
        field: which field.
        entries: the entries that it will be taken from, to tell a field that only some have from a slip of the pen.
        where: the text that it was written in and what that is, for the message.
        now: the moment of the question.

    Raises:
        QueryError: if no entry has the field, or if both `config` and `metrics` have one of that name.
    """
    if field.own is not None:
        return _own(field.own, now)
    inner = field.path[1:] if field.path[0] in SECTIONS else field.path
    steps = _steps(inner)
    having = [section for section in field.sections if any(_in_section(entry, section, steps) for entry in entries)]
    if len(having) > 1:
        choice = " or ".join(f"{section}.{field.text}" for section in having)
        raise errors.QueryError(where[0], field.column, f"{field.text!r} is in both; write {choice}", where[1])
    # Without a single metric on record, as while the first experiment runs, nothing can be said about its name.
    if not having and any(entry.get(section) for entry in entries for section in field.sections):
        raise errors.QueryError(where[0], field.column, _unknown(field, entries), where[1])
    section = having[0] if having else field.sections[0]
    return lambda entry: _leaf(_find(entry.get(section), steps, 0))


def moment(value: object) -> datetime | None:
    """The moment that an entry has for a time; None for anything that is no ISO 8601 time."""
    try:
        return codec.parse_time(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def duration(entry: Entry, now: datetime) -> float | None:
    """How long an experiment took, in seconds; to `now` while it runs, None where that is not on record."""
    started, ended = moment(entry.get("timestamp")), moment(entry.get("completed_at"))
    if ended is None and entry.get("status") == Status.RUNNING:
        ended = now
    return None if started is None or ended is None else (ended - started).total_seconds()


def _own(key: str, now: datetime) -> Getter:
    if key == "duration":
        return lambda entry: duration(entry, now)
    if key in TIMES:
        return lambda entry: moment(entry.get(key))
    return lambda entry: entry.get(key)


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
    if not isinstance(holder, Mapping):
        return MISSING
    for key, after in steps[position]:
        if key in holder:
            found = _find(holder[key], steps, after)
            if found is not MISSING:
                return found
    return MISSING


def _in_section(entry: Entry, section: str, steps: _Steps) -> bool:
    return _find(entry.get(section), steps, 0) is not MISSING


def _leaf(value: object) -> object:
    return NON_FINITE.get(value, value) if isinstance(value, str) else value


def _unknown(field: FieldPath, entries: Sequence[Entry]) -> str:
    problem = f"no experiment has a field {field.text!r}"
    nearest = _nearest(field, entries)
    remedies = []
    if field.is_value and field.path[0] not in SECTIONS:
        remedies.append(f'write "{field.text}" in quotes if it is a text')
    if nearest:
        remedies.append(f"did you mean {' or '.join(nearest)}?")
    return f"{problem}; {', or '.join(remedies) or 'list_experiments() shows the fields that there are'}"


def _nearest(field: FieldPath, entries: Sequence[Entry]) -> list[str]:
    # Of many thousands, the latest: comparing with each of them would take longer than anybody waits.
    names: Iterable[str] = (
        f"{section}.{name}"
        for entry in entries[-_NEAREST_OF:]
        for section in SECTIONS
        for name in flatten(entry.get(section) or {})
    )
    known = dict.fromkeys([*names, *OWN])
    close = difflib.get_close_matches(field.text, known, n=_NEAREST_SHOWN, cutoff=0.6)
    if close:
        return close
    # Somebody who leaves out where it is: `lr` for `config.optim.lr`.
    last = field.path[-1]
    inner = {name: name.rpartition(".")[2] for name in known}
    ends = set(difflib.get_close_matches(last, set(inner.values()), n=_NEAREST_SHOWN, cutoff=0.8))
    return [name for name, end in inner.items() if end in ends][:_NEAREST_SHOWN]


def now_utc() -> datetime:
    """This moment."""
    return datetime.now(UTC)
