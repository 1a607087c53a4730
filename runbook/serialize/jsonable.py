"""Any Python value as JSON-compatible data."""

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
from runbook.serialize.objects import fields_of, is_omegaconf, is_sequence, omegaconf_content
from runbook.serialize.scalars import (
    clean_text,
    describe_by_repr,
    float_to_jsonable,
    is_named,
    qualified_name,
    scalar_rule,
)
from runbook.typing import Json, JsonObject

__all__ = ["MAX_DEPTH", "numbers_of", "pairs_to_jsonable", "to_jsonable"]

MAX_DEPTH: Final = 100
"""How many levels of nesting are written; readers of JSON fail somewhere above."""

_MAX_REPEATS: Final = 1_000_000
"""How often containers that were written before are written again.

A shared object is written in full wherever another refers to it. A handful of objects that all refer to each
other has more paths through it than a disk has room, and without this limit each path would be written.
"""

_SHALLOW: Final = 8
"""Rows of data refer to the same objects near the top; a level further down can have countless paths."""

_DEEP_WEIGHT: Final = 20
"""One repeat further down counts for as many repeats near the top."""


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
    return _Conversion(max_array).convert(value, 0)


def pairs_to_jsonable(
    owner: object, pairs: Iterable[tuple[object, object]], *, max_array: int | None = None
) -> JsonObject:
    """The names and values that the caller read from `owner`, as a JSON-compatible dict."""
    return _Conversion(max_array).convert_pairs(owner, pairs)


class _Conversion:
    """The conversion of one value; it knows which objects it is inside of, and stops at a cycle."""

    def __init__(self, max_array: int | None) -> None:
        self._max_array = max_array
        self._inside: set[int] = set()
        self._seen: set[int] = set()
        self._repeats = 0

    def convert(self, value: Any, depth: int) -> Json:
        cls = type(value)
        if value is None or cls is bool:
            return value  # type: ignore[no-any-return]
        try:
            kind = _kinds.get(cls) or _kind(cls)
            return self._open(value, kind, depth) if kind.rule is None else kind.rule(value)
        except Exception:  # whatever the user's object does, the training goes on
            return describe_by_repr(value)

    def convert_pairs(self, owner: object, pairs: Iterable[tuple[object, object]]) -> JsonObject:
        self._inside.add(id(owner))
        try:
            return self._dict(pairs, 1)
        except Exception:  # as in `convert`
            return describe_by_repr(owner)

    def _open(self, value: object, kind: _Kind, depth: int) -> Json:
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
            "jsonable:repeats",
            "a value that refers to the same objects over and over was cut short; pass only the settings that matter",
        )
        return True

    def from_enum(self, value: Enum, depth: int) -> Json:
        return self.convert(value.value, depth)

    def from_name(self, value: Any, _: int) -> Json:
        if issubclass(type(value), ModuleType):
            return clean_text(value.__name__)
        return qualified_name(value) if is_named(value) else describe_by_repr(value)

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
            return [self.convert(item, depth) for item in content]
        return self.convert(content, depth)

    def from_sequence(self, value: object, depth: int) -> Json:
        return [self.convert(item, depth) for item in _items_of(value)]

    def from_set(self, value: Iterable[object], depth: int) -> Json:
        return sorted((self.convert(item, depth) for item in value), key=sorting_key)

    def from_dict(self, value: dict[object, object], depth: int) -> Json:
        return self._dict(list(value.items()), depth)

    def from_partial(self, value: Any, depth: int) -> Json:
        return self._dict([("partial", value.func), ("args", value.args), ("keywords", value.keywords)], depth)

    def from_object(self, value: object, depth: int) -> Json:
        pairs = fields_of(value)
        return self.from_name(value, depth) if pairs is None else self._dict(pairs, depth)

    def _dict(self, pairs: Iterable[tuple[object, object]], depth: int) -> JsonObject:
        converted: JsonObject = {}
        for key, item in pairs:
            converted[self._key(key, converted, depth)] = self.convert(item, depth)
        return converted

    def _key(self, key: object, taken: JsonObject, depth: int) -> str:
        if type(key) is str and key.isascii() and key not in taken:
            return key
        return free_name(key_text(self.convert(key, depth)), type(key).__name__, taken)

    def _nested(self, content: object, dimensions: int, depth: int) -> Json:
        # `tolist` has just made these lists. Converted like other values they would count as repeats, because
        # the next ones get the addresses of those that were freed.
        if dimensions > 0 and type(content) is list:
            return [self._nested(item, dimensions - 1, depth) for item in content]
        return self.convert(content, depth)

    def _is_large(self, value: object) -> bool:
        return self._max_array is not None and element_count(value) > self._max_array


_Opener: TypeAlias = Callable[[_Conversion, Any, int], Json]

_OPENERS: Final[tuple[tuple[Callable[[type], bool], _Opener, int], ...]] = (
    # For which classes, how a value is opened, and for how many repeats one more counts. Objects refer to each
    # other far more often than containers of data do. Arrays are often made on the way, and count for nothing.
    (lambda cls: cls is dict, _Conversion.from_dict, 1),
    (lambda cls: issubclass(cls, Enum), _Conversion.from_enum, 0),
    (lambda cls: issubclass(cls, (type, ModuleType)), _Conversion.from_name, 0),
    (is_table, _Conversion.from_table, 0),
    (is_array, _Conversion.from_array, 0),
    (is_omegaconf, _Conversion.from_omegaconf, 1),
    (is_sequence, _Conversion.from_sequence, 1),
    (lambda cls: issubclass(cls, (set, frozenset)), _Conversion.from_set, 1),
    (lambda cls: issubclass(cls, partial), _Conversion.from_partial, 1),
    (lambda cls: issubclass(cls, Mapping), _Conversion.from_object, 1),
    (lambda _: True, _Conversion.from_object, 10),
)


class _Kind(NamedTuple):
    """How the values of a class are converted: scalars by a rule, all others by opening them."""

    rule: Callable[[Any], Json] | None
    opener: _Opener
    weight: int


_kinds: WeakKeyDictionary[type, _Kind] = WeakKeyDictionary()
"""The kind of each class met so far; weak, so that a class which the program drops is freed."""


def _kind(cls: type) -> _Kind:
    rule = None if issubclass(cls, Enum) else scalar_rule(cls)
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
                # A subclass can break its own iteration, but not that of the list or tuple it inherits from.
                return list(base.__iter__(value))
        raise


def _numbers(value: Any, inside: set[int]) -> JsonObject:
    if id(value) in inside or len(inside) >= MAX_DEPTH:
        return {}
    found: JsonObject = {}
    try:
        pairs = fields_of(value) or []
    except Exception:  # a mapping of the user's that cannot be read has no numbers for us
        return found
    for key, item in pairs:
        try:
            number = _number(item)
            if number is None and issubclass(type(item), Mapping):
                number = _numbers(item, inside | {id(value)}) or None
        except Exception:  # a value that raises when it is read is no number
            number = None
        if number is not None:
            found[free_name(key_text(to_jsonable(key)), type(key).__name__, found)] = number
    return found


def _number(item: Any) -> Json:
    cls = type(item)
    if cls is float:
        return float_to_jsonable(item)
    if not (issubclass(cls, (int, float, str)) or (_kinds.get(cls) or _kind(cls)).opener is _Conversion.from_array):
        return None
    number = to_jsonable(item, max_array=1)
    while isinstance(number, list) and len(number) == 1:
        number = number[0]
    is_number = isinstance(number, (int, float)) or (isinstance(number, str) and number in NON_FINITE)
    return number if is_number else None
