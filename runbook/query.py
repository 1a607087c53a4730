"""Filtering and sorting experiments."""

from __future__ import annotations

import fnmatch
import heapq
import json
import re
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar

import attrs

from runbook import codec, errors, expressions, fields
from runbook.fields import MISSING, Entry, FieldPath
from runbook.records import Status
from runbook.tokens import tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runbook.expressions import Predicate

E = TypeVar("E", bound=Entry)

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[smhdw])+")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class QueryOptions(TypedDict, total=False):
    """What can be said to `find` besides `where`; see `ExperimentManager.find`."""

    status: str | Iterable[str] | None
    tag: str | Iterable[str]
    name: str | None
    since: datetime | date | timedelta | str | None
    until: datetime | date | timedelta | str | None
    sort: str | Iterable[str] | None
    limit: int | None


@attrs.frozen
class SortKey:
    """One field to sort by."""

    field: FieldPath
    is_descending: bool
    text: str


@attrs.frozen
class Query:
    """A question about experiments that has been read and checked; `parse` makes one.

    Args:
        where: what has to hold.
        statuses: the statuses that are wanted; empty for any.
        tags: the tags that all have to be there.
        name: a shell pattern.
        since: the first moment at which an experiment may have started, in UTC.
        until: the first moment that is too late.
        sort: the fields to sort by; empty for the newest first.
        limit: how many at most.
        now: the moment of the question, in UTC.
    """

    where: expressions.Expression | None = None
    statuses: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    sort: tuple[SortKey, ...] = ()
    limit: int | None = None
    now: datetime = attrs.field(factory=fields.now_utc)


def parse(
    where: str | None = None,
    *,
    status: str | Iterable[str] | None = None,
    tag: str | Iterable[str] = (),
    name: str | None = None,
    since: datetime | date | timedelta | str | None = None,
    until: datetime | date | timedelta | str | None = None,
    sort: str | Iterable[str] | None = None,
    limit: int | None = None,
    now: datetime | None = None,
) -> Query:
    """Read and check a question; `ExperimentManager.find` says more about its parts.

    Args:
        where: an expression.
        status: one status or several.
        tag: one tag or several.
        name: a shell pattern.
        since: the earliest start.
        until: the latest start.
        sort: a field or several.
        limit: how many at most.
        now: the moment that "2d" counts back from; by default this one.

    Raises:
        QueryError: for a part that cannot be read.
        UnknownStatusError: for a status that there is none of.
    """
    now = fields.now_utc() if now is None else now
    return Query(
        where=None if where is None else expressions.parse(where),
        statuses=_statuses(status),
        tags=frozenset(_several(tag, "tag")),
        name=name,
        since=_moment(since, now, "since"),
        until=_moment(until, now, "until"),
        sort=tuple(_sort_key(text) for text in _several(sort, "sort")),
        limit=_limit(limit),
        now=now,
    )


def matching(query: Query, entries: Iterable[E]) -> list[E]:
    """The entries that a question asks for, in the order that it asks for.

    The entries are the ones given, not copies. Of each, only the keys in `reads(query)` are looked at.

    Args:
        query: the question.
        entries: lines of the registry, oldest first.

    Raises:
        QueryError: if the question names a field that no entry has.
    """
    known = entries if isinstance(entries, list) else list(entries)
    tests = _tests(query, known)
    found = (entry for entry in reversed(known) if all(test(entry) for test in tests))
    if not query.sort:
        return list(islice(found, query.limit))
    keys = [(fields.getter(key.field, known, (key.text, "sort"), query.now), key.is_descending) for key in query.sort]

    def order(entry: E) -> tuple[object, ...]:
        return tuple(_rank(get(entry), is_descending=is_descending) for get, is_descending in keys)

    return sorted(found, key=order) if query.limit is None else heapq.nsmallest(query.limit, found, key=order)


def reads(query: Query) -> frozenset[str]:
    """The keys of an entry that a question looks at; one whose `config` is not among them need not decode it."""
    asked = {
        "status": bool(query.statuses),
        "tags": bool(query.tags),
        "custom_name": query.name is not None,
        "timestamp": query.since is not None or query.until is not None,
    }
    found = {key for key, is_asked in asked.items() if is_asked}
    paths = [*(query.where.fields if query.where else ()), *(key.field for key in query.sort)]
    return frozenset(found.union(*(path.reads for path in paths)))


def _tests(query: Query, entries: Sequence[Entry]) -> list[Predicate]:
    """What an entry has to pass, the cheap questions first."""
    tests: list[Predicate] = []
    if query.statuses:
        tests.append(lambda entry: entry.get("status") in query.statuses)
    if query.name is not None:
        fits = re.compile(fnmatch.translate(query.name)).match
        tests.append(lambda entry: isinstance(name := entry.get("custom_name"), str) and fits(name) is not None)
    if query.tags:
        tests.append(lambda entry: query.tags.issubset(entry.get("tags") or ()))
    if query.since is not None or query.until is not None:
        tests.append(_window(query.since, query.until))
    if query.where is not None:
        tests.append(query.where.predicate(entries, query.now))
    return tests


def _window(since: datetime | None, until: datetime | None) -> Predicate:
    def test(entry: Entry) -> bool:
        started = fields.moment(entry.get("timestamp"))
        return started is not None and (since is None or started >= since) and (until is None or started < until)

    return test


def _limit(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise errors.QueryError(repr(value), 0, "a limit is a whole number from 0 up, or None for all", "limit")


def _statuses(status: str | Iterable[str] | None) -> frozenset[str]:
    wanted = _several(status, "status")
    for one in wanted:
        if one not in set(Status):
            raise errors.UnknownStatusError(one, [known.value for known in Status])
    return frozenset(str(one) for one in wanted)


def _several(value: str | Iterable[str] | None, what: str) -> list[str]:
    if value is None:
        return []
    texts = [value] if isinstance(value, str) else list(value)
    for text in texts:
        if not isinstance(text, str):
            raise errors.QueryError(repr(text), 0, f"a {what} is a text, not of type {type(text).__name__}", what)
    return texts


def _moment(value: datetime | date | timedelta | str | None, now: datetime, what: str) -> datetime | None:
    """A limit of the window, in UTC; a day by itself counts from its beginning, or as `until` to its end."""
    try:
        if isinstance(value, str):
            value = _read_moment(value.strip())
        if isinstance(value, timedelta):
            return now - value
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, datetime.min.time()) + timedelta(days=what == "until")
        if value is None or isinstance(value, datetime):
            return value and value.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    text = value if isinstance(value, str) else repr(value)
    problem = "write how long ago, such as 45m, 3h, 2d or 1w, or an ISO 8601 date or time, such as 2024-12-16T14:30"
    raise errors.QueryError(text, 0, problem, what)


def _read_moment(text: str) -> datetime | date | timedelta:
    if _AGO.fullmatch(text):
        parts = re.findall(r"([0-9.]+)([smhdw])", text)
        return sum((timedelta(**{_UNITS[unit]: float(amount)}) for amount, unit in parts), timedelta())
    return date.fromisoformat(text) if _DATE.fullmatch(text) else codec.parse_time(text)


def _sort_key(text: str) -> SortKey:
    is_descending = text.startswith("-")
    column = int(is_descending)
    # The sign gives way to a space, so that the columns stay the ones of the text.
    words = tokens(" " * column + text[column:], "sort")
    if len(words) != 2 or words[0].kind != "field":  # noqa: PLR2004
        problem = "expected one field, such as metrics.test_f1, or -metrics.test_f1 for the largest first"
        raise errors.QueryError(text, words[0].column if len(words) == 1 else words[1].column, problem, "sort")
    path: Any = words[0].value
    return SortKey(FieldPath(path, words[0].text, words[0].column), is_descending, text)


def _rank(value: object, *, is_descending: bool) -> tuple[int, Any]:
    """A key to sort by: numbers, then texts, times and all else; then NaN, then null and what is missing."""
    if value is MISSING or value is None:
        return 5, 0
    if isinstance(value, (int, float)):
        # NaN is in no order with anything, and would leave the others in none.
        rank: tuple[int, Any] = (0, value) if value == value else (4, 0)  # noqa: PLR0124
        return (0, -value) if is_descending and rank[0] == 0 else rank
    if isinstance(value, str):
        rank = (1, value)
    elif isinstance(value, datetime):
        rank = (2, value)
    else:
        rank = (3, json.dumps(value, sort_keys=True, default=str))
    return (rank[0], _Reversed(rank[1])) if is_descending else rank


@attrs.frozen(order=False)
class _Reversed:
    """A key that sorts the other way round; sorting in reverse would put what is missing first."""

    key: Any

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.key < self.key)
