"""Filtering and sorting experiments."""

from __future__ import annotations

import fnmatch
import heapq
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypedDict, TypeVar

from runbook import errors
from runbook.query import fields, parser
from runbook.query.fields import MISSING, FieldPath
from runbook.record import registry_entry
from runbook.record.status import Status
from runbook.serialize import timestamps

if TYPE_CHECKING:
    from runbook.index import Index
    from runbook.query.parser import Predicate
    from runbook.typing import Entry, JsonObject

E = TypeVar("E", bound="Entry")
_Order: TypeAlias = "Callable[[Entry], tuple[Any, ...]]"


class QueryOptions(TypedDict, total=False):
    """The arguments of `ExperimentManager.find` besides `where`; see there."""

    status: str | Iterable[str] | None
    tag: str | Iterable[str]
    name: str | None
    since: datetime | date | timedelta | str | None
    until: datetime | date | timedelta | str | None
    sort: str | Iterable[str] | None
    limit: int | None


class SortKey(NamedTuple):
    """One field to sort by."""

    field: FieldPath
    is_descending: bool
    text: str


class Query(NamedTuple):
    """A parsed and checked query for experiments; `parse` makes one.

    Args:
        now: the moment of the query, in UTC.
        where: the expression that has to be true.
        statuses: the statuses that are wanted; empty for any.
        tags: the tags that an experiment has to have, all of them.
        name: a shell pattern.
        since: the first moment at which an experiment may have started, in UTC.
        until: the first moment at which a start is too late, in UTC.
        sort: the fields to sort by; empty for the newest first.
        limit: how many at most.
    """

    now: datetime
    where: parser.Expression | None = None
    statuses: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    sort: tuple[SortKey, ...] = ()
    limit: int | None = None


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
    """Read and check a query; see `ExperimentManager.find` for its parts.

    Args:
        where: an expression.
        status: one status or several.
        tag: one tag or several.
        name: a shell pattern.
        since: the earliest start.
        until: the latest start.
        sort: a field or several.
        limit: how many at most.
        now: the moment from which "2d" counts back; by default the present.

    Raises:
        QueryError: for a part that cannot be read.
        UnknownStatusError: for a word that is no status.
    """
    now = datetime.now(UTC) if now is None else now
    return Query(
        now=now,
        where=None if where is None else parser.parse(where),
        statuses=_check_statuses(status),
        tags=frozenset(_list_texts(tag, "tag")),
        name=_check_pattern(name),
        since=_parse_limit(since, now, "since"),
        until=_parse_limit(until, now, "until"),
        sort=tuple(_parse_sort_key(text) for text in _list_texts(sort, "sort")),
        limit=_check_limit(limit),
    )


def find(query: Query, index: Index) -> list[JsonObject]:
    """The entries of an index that match a query, in the query's order.

    Args:
        query: the query.
        index: the index to search.

    Raises:
        QueryError: if the query names a field that no experiment has.
        BaseDirectoryError: if the base directory is a file.
    """
    search = _Search(query)
    return search.sort(index.entries(search.matches))


def select(query: Query, entries: Iterable[E]) -> list[E]:
    """The given entries that match a query, in the query's order.

    The entries are the given objects, not copies. Only the fields that the query names are read.

    Args:
        query: the query.
        entries: registry entries, oldest first.

    Raises:
        QueryError: if the query names a field that no entry has.
    """
    search = _Search(query)
    return search.sort([entry for entry in entries if search.matches(entry)])


class _Search:
    """A query that checks one entry after the other.

    Args:
        query: the query.
    """

    def __init__(self, query: Query) -> None:
        where = {} if query.where is None else query.where.lookups(query.now)
        keys = [fields.Lookup(key.field, query.now, (key.text, "sort")) for key in query.sort]
        self._query = query
        self._lookups = [*where.values(), *keys]
        self._unlearned = self._lookups
        self._tests = _make_tests(query)
        if query.where is not None:
            self._tests.append(query.where.predicate({field: lookup.get for field, lookup in where.items()}))
        self._sort_key = _make_sort_key(
            [(lookup.get, key.is_descending) for lookup, key in zip(keys, query.sort, strict=True)]
        )

    def matches(self, entry: Entry) -> bool:
        """Whether an entry matches the query."""
        if self._unlearned:
            self._unlearned = [lookup for lookup in self._unlearned if not lookup.learn(entry)]
        # `all` over a generator takes twice the time, and there may be a hundred thousand entries.
        for test in self._tests:  # noqa: SIM110 - see above
            if not test(entry):
                return False
        return True

    def sort(self, found: list[E]) -> list[E]:
        """The entries that match, sorted and limited as the query says.

        Args:
            found: the entries that match, oldest first.

        Raises:
            QueryError: if the query names a field that no checked entry has.
        """
        for lookup in self._lookups:
            lookup.check()
        newest_first = reversed(found)
        if self._sort_key is None:
            return list(islice(newest_first, self._query.limit))
        if self._query.limit is None:
            return sorted(newest_first, key=self._sort_key)
        return heapq.nsmallest(self._query.limit, newest_first, key=self._sort_key)


def _make_tests(query: Query) -> list[Predicate]:
    """The tests of the query besides its expression; the expression is last because it costs the most."""
    tests: list[Predicate] = []
    if query.statuses:
        tests.append(lambda entry: isinstance(status := entry.get("status"), str) and status in query.statuses)
    if query.name is not None:
        matches = re.compile(fnmatch.translate(query.name)).match
        tests.append(lambda entry: isinstance(name := entry.get("custom_name"), str) and matches(name) is not None)
    if query.tags:
        tests.append(
            lambda entry: isinstance(tags := entry.get("tags"), list) and all(tag in tags for tag in query.tags)
        )
    if query.since is not None or query.until is not None:
        tests.append(_make_window_test(query.since, query.until))
    return tests


def _make_window_test(since: datetime | None, until: datetime | None) -> Predicate:
    def test(entry: Entry) -> bool:
        started = registry_entry.parse_moment(entry.get("timestamp"))
        return started is not None and (since is None or started >= since) and (until is None or started < until)

    return test


def _check_limit(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise errors.QueryError(repr(value), 0, "a limit is a whole number from 0 up, or None for all", "limit")


def _check_statuses(status: str | Iterable[str] | None) -> frozenset[str]:
    wanted = _list_texts(status, "status")
    for one in wanted:
        if one not in set(Status):
            raise errors.UnknownStatusError(one, [known.value for known in Status])
    return frozenset(str(one) for one in wanted)


def _check_pattern(name: object) -> str | None:
    if name is None or isinstance(name, str):
        return name
    raise errors.QueryError(repr(name), 0, "a name is one shell pattern, such as 'base*'", "name")


def _list_texts(value: object, argument: str) -> list[str]:
    if value is None:
        return []
    texts: list[Any] = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    for text in texts:
        if not isinstance(text, str):
            raise errors.QueryError(
                repr(text), 0, f"a {argument} is a text, not of type {type(text).__name__}", argument
            )
    return texts


def _parse_limit(value: datetime | date | timedelta | str | None, now: datetime, argument: str) -> datetime | None:
    """A limit of the window, in UTC; a day by itself counts from its beginning, or as `until` to its end."""
    try:
        if isinstance(value, str):
            value = _read_moment(value.strip())
        if isinstance(value, timedelta):
            return now - value
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, datetime.min.time()) + timedelta(days=argument == "until")
        if value is None or isinstance(value, datetime):
            return value and value.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    text = value if isinstance(value, str) else repr(value)
    problem = "write how long ago, such as 45m, 3h, 2d or 1w, or an ISO 8601 date or time, such as 2024-12-16T14:30"
    raise errors.QueryError(text, 0, problem, argument)


def _read_moment(text: str) -> datetime | date | timedelta:
    ago = fields.parse_length(text)
    if ago is not None:
        return ago
    try:
        return date.fromisoformat(text)
    except ValueError:
        return timestamps.parse_time(text)


def _parse_sort_key(text: str) -> SortKey:
    is_descending = text.startswith("-")
    example = "metrics.test_f1, or -metrics.test_f1 for the largest first"
    return SortKey(parser.parse_field(text, "sort", example, start=int(is_descending)), is_descending, text)


def _make_sort_key(keys: Sequence[tuple[fields.Getter, bool]]) -> _Order | None:
    """A function that makes the key to sort an entry by; None to leave the newest first.

    Args:
        keys: for each field the function that returns its value in an entry, and whether the largest comes first.
    """
    if len(keys) == 1:
        # A tuple of one would take twice the time, and one key is by far the most frequent.
        ((get, is_descending),) = keys
        return lambda entry: _rank_value(get(entry), is_descending=is_descending)
    if not keys:
        return None
    return lambda entry: tuple(_rank_value(get(entry), is_descending=is_descending) for get, is_descending in keys)


def _rank_value(value: object, *, is_descending: bool) -> tuple[int, Any]:
    """A key to sort by: numbers, texts, times, then lists and mappings as they come; NaN and missing values last."""
    if value is MISSING or value is None:
        return 5, 0
    if isinstance(value, (int, float)):
        # NaN compares as False with every number, so that a sort with it among them would leave them unsorted.
        if value != value:  # noqa: PLR0124
            return 4, 0
        return 0, -value if is_descending else value
    if isinstance(value, (str, datetime)):
        return 1 if isinstance(value, str) else 2, _Reversed(value) if is_descending else value
    return 3, 0


class _Reversed:
    """A key that sorts in reverse; sorting the whole list in reverse would put missing values first."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and bool(self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.key < self.key)
