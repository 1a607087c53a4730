"""The comparisons of an expression as functions of two values; none of them raises, whatever the values are."""

from __future__ import annotations

import fnmatch
import math
import operator
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeAlias

from runbook.query.fields import MISSING

Compare: TypeAlias = Callable[[object, object], bool]

ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def is_true(value: object) -> bool:
    """Whether a field that stands alone counts as true: it is not missing, null, false, 0 or empty."""
    return value is not MISSING and bool(value)


def is_nan(value: object) -> bool:
    """Whether a value is the float NaN."""
    return isinstance(value, float) and math.isnan(value)


def make_pattern_test(pattern: str, *, is_wanted: bool) -> Compare:
    """A function that checks whether a text, or any text of a list, matches a shell pattern.

    Args:
        pattern: as for `fnmatch.fnmatchcase`.
        is_wanted: False for the opposite; a missing value makes both false.
    """
    fits = re.compile(fnmatch.translate(pattern)).match

    def compare(value: object, _: object) -> bool:
        if value is MISSING:
            return False
        texts = value if isinstance(value, list) else [value]
        return any(isinstance(text, str) and fits(text) is not None for text in texts) is is_wanted

    return compare


_NUMBERS: Final = frozenset({int, float})


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_in_order(order: Callable[[Any, Any], bool], left: object, right: object) -> bool:
    # Most values are numbers; this check takes half the time of the others.
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return order(left, right)
    if _is_number(left):
        return _is_number(right) and order(left, right)
    for kind in (str, datetime):
        if isinstance(left, kind):
            return isinstance(right, kind) and order(left, right)
    return False


def _are_equal(left: object, right: object) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    if left is MISSING or right is MISSING:
        return left is None or right is None
    # A list instead of recursion: data that the JSON reader accepts may be too deep for Python's stack.
    unfinished = [(left, right)]
    while unfinished:
        one, other = unfinished.pop()
        if isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            unfinished.extend(zip(one, other, strict=True))
        elif isinstance(one, Mapping) and isinstance(other, Mapping):
            if one.keys() != other.keys():
                return False
            unfinished.extend((one[key], other[key]) for key in one)
        # True and 1 are equal in Python, and are different settings.
        elif isinstance(one, bool) is not isinstance(other, bool) or one != other:
            return False
    return True


def _are_unequal(left: object, right: object) -> bool:
    return left is not MISSING and right is not MISSING and not _are_equal(left, right)


def _contains(holder: object, item: object) -> bool:
    if isinstance(holder, list):
        return any(_are_equal(item, member) for member in holder)
    if isinstance(holder, (str, Mapping)):
        return isinstance(item, str) and item in holder
    return False


def _lacks(holder: object, item: object) -> bool:
    return holder is not MISSING and item is not MISSING and not _contains(holder, item)


def _is(value: object, constant: object) -> bool:
    return (value is None or value is MISSING) if constant is None else is_nan(value)


def _is_not(value: object, constant: object) -> bool:
    return (value is not None if constant is None else not is_nan(value)) and value is not MISSING


COMPARISONS: Final[dict[str, Compare]] = {
    **{name: partial(_is_in_order, order) for name, order in ORDER.items()},
    "==": _are_equal,
    "!=": _are_unequal,
    "contains": _contains,
    "not contains": _lacks,
    "is": _is,
    "is not": _is_not,
}
"""The comparisons by their names, except those with patterns."""
