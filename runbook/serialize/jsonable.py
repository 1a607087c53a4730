"""Any Python value as plain data that strict JSON can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from types import ModuleType
from typing import Any, Final, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from runbook.messages import warn_once
from runbook.serialize.arrays import array_content, describe, element_count, is_array, is_table, labels_of, table_rows
from runbook.serialize.flatten import NON_FINITE, flatten, free_name, key_text, sorting_key
from runbook.serialize.objects import is_omegaconf, is_sequence, omegaconf_content, settings_of
from runbook.serialize.scalars import by_repr, clean_text, is_named, leaf_rule, plain_float, qualified_name
from runbook.typing import Json, JsonObject

__all__ = ["MAX_DEPTH", "numbers_of", "pairs_to_jsonable", "to_jsonable"]

MAX_DEPTH: Final = 100
"""How many levels of nesting are followed; a reader of JSON gives up somewhere above."""

_MAX_REPEATS: Final = 1_000_000
"""How often containers that were met before are written out again.

Shared objects appear in full wherever they are referred to. A handful of objects that all refer to each
other has more paths through it than a disk has room, and without this limit they would all be walked.
"""

_SHALLOW: Final = 8
"""Rows of data share what they refer to near the top; paths without number are met further down."""

_DEEP_WEIGHT: Final = 20
"""How many repeats near the top one repeat further down counts for."""


def to_jsonable(value: object, *, max_array: int | None = None) -> Json:
    """The value as dicts with string keys, lists, strings, finite numbers, booleans and None.

    Non-finite floats become the strings "NaN", "Infinity" and "-Infinity". A value without a JSON form
    becomes `{"__repr__": "<its repr>"}`, with one warning for its type in this process; so do cycles and
    whatever lies deeper than `MAX_DEPTH`. The result is the same in every process.

    Args:
        value: anything. No object can make this raise, whatever its methods do.
        max_array: arrays, series and tables with more elements than this are described by type, shape and
            dtype or columns under the key `__array__`. None writes them out whole.

    Example:
        >>> to_jsonable({"lr": 1e-3, "layers": (64, 32), "best": float("nan")})
        {'lr': 0.001, 'layers': [64, 32], 'best': 'NaN'}
    """
    return _Walk(max_array).plain(value, 0)


def pairs_to_jsonable(
    owner: object, pairs: Iterable[tuple[object, object]], *, max_array: int | None = None
) -> JsonObject:
    """The settings that the caller took from `owner`, plain in the way of `to_jsonable`."""
    return _Walk(max_array).owned(owner, pairs)


class _Walk:
    """One way through one value; it knows what it stands inside of, so that cycles come to an end."""

    def __init__(self, max_array: int | None) -> None:
        self._max_array = max_array
        self._inside: set[int] = set()
        self._seen: set[int] = set()
        self._repeats = 0

    def plain(self, value: Any, depth: int) -> Json:
        cls = type(value)
        if value is None or cls is bool:
            return value  # type: ignore[no-any-return]
        try:
            kind = _kinds.get(cls) or _kind(cls)
            return self._guarded(value, kind, depth) if kind.rule is None else kind.rule(value)
        except Exception:  # whatever the host's object does, the training goes on
            return by_repr(value)

    def owned(self, owner: object, pairs: Iterable[tuple[object, object]]) -> JsonObject:
        self._inside.add(id(owner))
        try:
            return self._dict(pairs, 1)
        except Exception:  # as in `plain`
            return by_repr(owner)

    def _guarded(self, value: object, kind: _Kind, depth: int) -> Json:
        if depth >= MAX_DEPTH:
            return {"__repr__": f"<nested more than {MAX_DEPTH} levels deep>"}
        identity = id(value)
        if identity in self._inside:
            return {"__repr__": "<cycle>"}
        weight = kind.weight if depth <= _SHALLOW else kind.weight * _DEEP_WEIGHT
        if weight and self._too_often(identity, weight):
            return {"__repr__": "<left out: the same objects appear too often>"}
        self._inside.add(identity)
        try:
            return kind.opener(self, value, depth + 1)
        finally:
            self._inside.discard(identity)

    def _too_often(self, identity: int, weight: int) -> bool:
        if identity not in self._seen:
            self._seen.add(identity)
            return False
        self._repeats += weight
        if self._repeats <= _MAX_REPEATS:
            return False
        warn_once(
            "plain:repeats",
            "a value that refers to the same objects over and over was cut short; pass only the settings that matter",
        )
        return True

    def from_enum(self, value: Enum, depth: int) -> Json:
        return self.plain(value.value, depth)

    def from_name(self, value: Any, _: int) -> Json:
        if issubclass(type(value), ModuleType):
            return clean_text(value.__name__)
        return qualified_name(value) if is_named(value) else by_repr(value)

    def from_table(self, value: object, depth: int) -> Json:
        if self._is_large(value):
            return describe(value)
        try:
            return [self._dict(row, depth + 1) for row in table_rows(value)]
        except Exception:  # a lazy table may fail to compute its rows
            return describe(value)

    def from_array(self, value: Any, depth: int) -> Json:
        dimensions = len(value.shape)
        if dimensions and self._is_large(value):
            return describe(value)
        try:
            content: Any = array_content(value)
            labels = labels_of(value)
            if labels is not None:
                return self._dict(zip(labels, content, strict=True), depth)
            return self._nested(content, dimensions, depth)
        except Exception:  # the content may be on a device, in a trace or in no memory at all
            return describe(value)

    def from_omegaconf(self, value: object, depth: int) -> Json:
        content = omegaconf_content(value)
        if isinstance(content, dict):
            return self._dict(content.items(), depth)
        if isinstance(content, list):
            return [self.plain(item, depth) for item in content]
        return self.plain(content, depth)

    def from_sequence(self, value: object, depth: int) -> Json:
        return [self.plain(item, depth) for item in _items_of(value)]

    def from_set(self, value: Iterable[object], depth: int) -> Json:
        return sorted((self.plain(item, depth) for item in value), key=sorting_key)

    def from_dict(self, value: dict[object, object], depth: int) -> Json:
        return self._dict(list(value.items()), depth)

    def from_partial(self, value: Any, depth: int) -> Json:
        return self._dict([("partial", value.func), ("args", value.args), ("keywords", value.keywords)], depth)

    def from_settings(self, value: object, depth: int) -> Json:
        pairs = settings_of(value)
        return self.from_name(value, depth) if pairs is None else self._dict(pairs, depth)

    def _dict(self, pairs: Iterable[tuple[object, object]], depth: int) -> JsonObject:
        plain: JsonObject = {}
        for key, item in pairs:
            plain[self._key(key, plain, depth)] = self.plain(item, depth)
        return plain

    def _key(self, key: object, taken: JsonObject, depth: int) -> str:
        if type(key) is str and key.isascii() and key not in taken:
            return key
        return free_name(key_text(self.plain(key, depth)), type(key).__name__, taken)

    def _nested(self, content: object, dimensions: int, depth: int) -> Json:
        # These lists were made for us a moment ago. As values of their own they would count as met before,
        # because the next ones live at the addresses of the last ones.
        if dimensions > 0 and type(content) is list:
            return [self._nested(item, dimensions - 1, depth) for item in content]
        return self.plain(content, depth)

    def _is_large(self, value: object) -> bool:
        return self._max_array is not None and element_count(value) > self._max_array


_Opener: TypeAlias = Callable[[_Walk, Any, int], Json]

_OPENERS: Final[tuple[tuple[Callable[[type], bool], _Opener, int], ...]] = (
    # Whose values are opened how, and how much meeting one of them again weighs: objects refer to each other
    # far more densely than containers of data do, and arrays are too often made on the way to count at all.
    (lambda cls: cls is dict, _Walk.from_dict, 1),
    (lambda cls: issubclass(cls, Enum), _Walk.from_enum, 0),
    (lambda cls: issubclass(cls, (type, ModuleType)), _Walk.from_name, 0),
    (is_table, _Walk.from_table, 0),
    (is_array, _Walk.from_array, 0),
    (is_omegaconf, _Walk.from_omegaconf, 1),
    (is_sequence, _Walk.from_sequence, 1),
    (lambda cls: issubclass(cls, (set, frozenset)), _Walk.from_set, 1),
    (lambda cls: issubclass(cls, partial), _Walk.from_partial, 1),
    (lambda cls: issubclass(cls, Mapping), _Walk.from_settings, 1),
    (lambda _: True, _Walk.from_settings, 10),
)


class _Kind(NamedTuple):
    """How the values of a class become plain: by a rule where nothing is inside them, or else opened."""

    rule: Callable[[Any], Json] | None
    opener: _Opener
    weight: int


_kinds: WeakKeyDictionary[type, _Kind] = WeakKeyDictionary()
"""What was found out about a class; weak, for a class that a program makes and drops is not ours to keep."""


def _kind(cls: type) -> _Kind:
    rule = None if issubclass(cls, Enum) else leaf_rule(cls)
    kind = _Kind(rule, *next((opener, weight) for fits, opener, weight in _OPENERS if fits(cls)))
    _kinds[cls] = kind
    return kind


def numbers_of(value: Mapping[Any, Any]) -> dict[str, Json]:
    """Only the numbers of a possibly nested mapping, under dotted names.

    Numbers are ints, floats, booleans, scalars of NumPy and torch, and arrays of one element. Non-finite
    ones are the strings "NaN", "Infinity" and "-Infinity", and such a string counts as a number.

    Example:
        >>> numbers_of({"loss": 0.5, "model": "bert", "val": {"f1": 0.9, "curve": [0.1, 0.2]}})
        {'loss': 0.5, 'val.f1': 0.9}
    """
    return flatten(_numbers(value, set()))


def _items_of(value: Any) -> Iterable[object]:
    try:
        return list(value)
    except Exception:
        for base in (list, tuple):
            if issubclass(type(value), base):
                # A subclass can spoil the way through it, but not what the list or tuple below it holds.
                return list(base.__iter__(value))
        raise


def _numbers(value: Any, inside: set[int]) -> JsonObject:
    if id(value) in inside or len(inside) >= MAX_DEPTH:
        return {}
    found: JsonObject = {}
    try:
        pairs = settings_of(value) or []
    except Exception:  # a mapping of the host's that cannot be read has no numbers for us
        return found
    for key, item in pairs:
        try:
            number = _number(item)
            if number is None and issubclass(type(item), Mapping):
                number = _numbers(item, inside | {id(value)}) or None
        except Exception:  # a value that breaks under the question is no number
            number = None
        if number is not None:
            found[free_name(key_text(to_jsonable(key)), type(key).__name__, found)] = number
    return found


def _number(item: Any) -> Json:
    cls = type(item)
    if cls is float:
        return plain_float(item)
    if not (issubclass(cls, (int, float, str)) or (_kinds.get(cls) or _kind(cls)).opener is _Walk.from_array):
        return None
    plain = to_jsonable(item, max_array=1)
    while isinstance(plain, list) and len(plain) == 1:
        plain = plain[0]
    is_number = isinstance(plain, (int, float)) or (isinstance(plain, str) and plain in NON_FINITE)
    return plain if is_number else None
