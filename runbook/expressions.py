"""Expressions over the fields of experiments: `config.learning_rate < 1e-4 and metrics.test_f1 > 0.8`.

Nothing in them is evaluated by Python: a text becomes a tree, and the tree a chain of functions that compare.

    any         all ("or" all)*
    all         not ("and" not)*
    not         "not"* comparison
    comparison  operand (("<" | "<=" | ">" | ">=" | "==" | "=" | "!=") operand)*
              | operand ["not"] "in" operand          a member of a list, a part of a text, a key of a mapping
              | operand ["not"] "contains" operand    the same, the other way round
              | operand ("~" | "!~") text             a shell pattern, which is case-sensitive
              | operand "is" ["not"] ("null" | "nan")
    operand     number | text | "true" | "false" | "null" | "nan" | "inf" | list | field | "(" any ")"

What is compared decides by type, and never raises: numbers with numbers, texts with texts, times with ISO 8601 texts;
different types are not equal and in no order. A comparison with a field that an experiment does not have is false, `!=`
and `not in` included, but for `== null` and `is null`. A field alone holds when it is neither missing, null, false, 0
nor empty. NaN compares as IEEE 754 says.
"""

from __future__ import annotations

import fnmatch
import math
import operator
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from runbook import errors, fields
from runbook.fields import MISSING, Entry, FieldPath
from runbook.tokens import Token, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DEPTH: Final = 50
"""How deep parentheses and lists may nest."""


@attrs.frozen
class Value:
    """A number, text, constant or list that stands in the expression."""

    value: object


@attrs.frozen
class Field:
    """A field, to be taken out of each entry."""

    field: FieldPath


@attrs.frozen
class Comparison:
    """Two operands and the name of what is between them."""

    name: str
    left: Operand
    right: Operand


@attrs.frozen
class Not:
    """The opposite."""

    node: Node


@attrs.frozen
class Several:
    """All of them, or any of them."""

    is_all: bool
    nodes: tuple[Node, ...]


Operand: TypeAlias = Value | Field
Node: TypeAlias = "Value | Field | Comparison | Not | Several"
Predicate: TypeAlias = Callable[[Entry], bool]


@attrs.frozen
class Expression:
    """An expression that has been read.

    Args:
        text: how it was written.
        root: what it says.
        fields: the fields in it, in their order.
    """

    text: str
    root: Node
    fields: tuple[FieldPath, ...]

    def predicate(self, entries: Sequence[Entry], now: datetime) -> Predicate:
        """A function that tells whether it holds for an entry.

        Args:
            entries: all the entries; see `fields.getter`.
            now: the moment of the question.

        Raises:
            QueryError: if it names a field that no entry has.
        """
        getters = {field: fields.getter(field, entries, (self.text, "where"), now) for field in self.fields}
        return _test(self.root, getters)


def parse(text: str) -> Expression:
    """Read an expression.

    Raises:
        QueryError: with the column and what to write instead.

    Example:
        >>> parse("config.lr < 1e-4 and 'best' in tags").fields[0].path
        ('config', 'lr')
    """
    parser = _Parser(text)
    return Expression(text, parser.whole(), tuple(parser.fields))


_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CHAINED: Final = frozenset({*_ORDER, "==", "=", "!="})


class _Parser:
    """One way through the words of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text, "where")
        self._at = 0
        self._depth = 0
        self.fields: dict[FieldPath, None] = {}

    def whole(self) -> Node:
        if self._token.kind == "end":
            raise self._error("there is nothing in it; leave it out to have all experiments")
        node = self._any()
        if self._token.kind == "end":
            return node
        if self._token.value in (")", "]"):
            raise self._error(f"nothing was opened that {self._token.text!r} could close; take it away")
        raise self._error("expected 'and', 'or' or the end; put a text with spaces in quotes")

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _take(self, kind: str, *values: object) -> Token | None:
        token = self._token
        if token.kind != kind or (values and token.value not in values):
            return None
        self._at += 1
        return token

    def _any(self) -> Node:
        nodes = [self._all()]
        while self._take("keyword", "or"):
            nodes.append(self._all())
        return nodes[0] if len(nodes) == 1 else Several(is_all=False, nodes=tuple(nodes))

    def _all(self) -> Node:
        nodes = [self._not()]
        while self._take("keyword", "and"):
            nodes.append(self._not())
        return nodes[0] if len(nodes) == 1 else Several(is_all=True, nodes=tuple(nodes))

    def _not(self) -> Node:
        is_negated = False
        while self._take("keyword", "not"):
            is_negated = not is_negated
        node = self._comparison()
        return Not(node) if is_negated else node

    def _comparison(self) -> Node:
        start = self._token
        left = self._operand("a field or a value")
        between = self._token
        negation = self._take("keyword", "not")
        if word := self._take("keyword", "in", "contains"):
            right = self._operand(f"a value after {word.text!r}", is_value=True)
            pair = (right, left) if word.value == "in" else (left, right)
            return self._compared("not contains" if negation else "contains", *pair, between)
        if negation:
            raise self._error("expected 'in' or 'contains' after 'not'")
        if self._take("keyword", "is"):
            name = "is not" if self._take("keyword", "not") else "is"
            if self._token.kind == "constant" and (self._token.value is None or _is_nan(self._token.value)):
                return self._compared(name, left, self._operand("a value"), between)
            raise self._error("expected null or nan after 'is'; for anything else write '=='")
        if pattern := self._take("operator", "~", "!~"):
            return self._matched(pattern, left)
        if self._token.kind == "operator" and self._token.value in _CHAINED:
            return self._chain(left)
        if isinstance(left, Value) and not isinstance(left.value, bool):
            raise self._error("this value alone says nothing; compare it with a field", start.column)
        return left

    def _chain(self, left: Node) -> Node:
        links = []
        while sign := self._take("operator", *_CHAINED):
            right = self._operand(f"a value after {sign.text!r}", is_value=True)
            links.append(self._compared("==" if sign.value == "=" else str(sign.value), left, right, sign))
            left = right
        return links[0] if len(links) == 1 else Several(is_all=True, nodes=tuple(links))

    def _matched(self, sign: Token, left: Node) -> Node:
        pattern = self._take("text")
        if pattern is None:
            raise self._error(f"expected a shell pattern in quotes after {sign.text!r}, such as 'base*'")
        return self._compared(str(sign.value), left, Value(pattern.value), sign)

    def _compared(self, name: str, left: Node, right: Node, sign: Token) -> Comparison:
        if not isinstance(left, (Value, Field)) or not isinstance(right, (Value, Field)):
            problem = "what is in parentheses is true or false already; write 'and' or 'or' here"
            raise self._error(problem, sign.column)
        if name in _CHAINED or name.endswith("contains"):
            left, right = self._with_times(left, right, sign), self._with_times(right, left, sign)
        return Comparison(name, left, right)

    def _with_times(self, operand: Operand, other: Operand, sign: Token) -> Operand:
        """A text that is compared with a time, as a time."""
        is_time = isinstance(other, Field) and other.field.own in fields.TIMES
        if not is_time or not isinstance(operand, Value):
            return operand
        values = operand.value if isinstance(operand.value, list) else [operand.value]
        times = []
        for value in values:
            time = fields.moment(value)
            if time is None and value is not None:
                problem = f"{value!r} is no ISO 8601 date or time; write for example '2024-12-16T14:30'"
                raise self._error(problem, sign.column)
            times.append(time)
        return Value(times if isinstance(operand.value, list) else times[0])

    def _operand(self, expected: str, *, is_value: bool = False) -> Node:
        token = self._token
        if token.kind in ("number", "text", "constant"):
            self._at += 1
            return Value(token.value)
        if token.kind == "field":
            self._at += 1
            field = FieldPath(token.value, token.text, token.column, is_value)  # type: ignore[arg-type]
            self.fields[field] = None
            return Field(field)
        if self._take("operator", "("):
            return self._nested(token, self._any, ")")
        if self._take("operator", "["):
            return self._nested(token, self._list, "]")
        found = "the end" if token.kind == "end" else repr(token.text)
        raise self._error(f"expected {expected}, not {found}")

    def _nested(self, opening: Token, inner: Callable[[], Node], closing: str) -> Node:
        if self._depth == MAX_DEPTH:
            problem = f"more than {MAX_DEPTH} levels of parentheses or brackets; ask in several steps"
            raise self._error(problem, opening.column)
        self._depth += 1
        node = inner()
        self._depth -= 1
        if self._take("operator", closing) is None:
            problem = f"expected {closing!r} for the {opening.text!r} at column {opening.column}"
            raise self._error(f"{problem}; put a text with spaces in quotes")
        return node

    def _list(self) -> Node:
        items: list[object] = []
        while self._token.value != "]" or self._token.kind != "operator":
            start = self._token
            item = self._operand("a value or ']'")
            if not isinstance(item, Value):
                raise self._error("a list holds values; put a text in quotes", start.column)
            items.append(item.value)
            if not self._take("operator", ","):
                break
        return Value(items)

    def _error(self, problem: str, column: int | None = None) -> errors.QueryError:
        return errors.QueryError(self._text, self._token.column if column is None else column, problem)


_Getters: TypeAlias = Mapping[FieldPath, fields.Getter]


def _test(node: Node, getters: _Getters) -> Predicate:
    """The tree as one function; it is as deep as the parentheses were."""
    if isinstance(node, Several):
        tests = [_test(inner, getters) for inner in node.nodes]
        if node.is_all:
            return lambda entry: all(test(entry) for test in tests)
        return lambda entry: any(test(entry) for test in tests)
    if isinstance(node, Not):
        test = _test(node.node, getters)
        return lambda entry: not test(entry)
    if isinstance(node, Comparison):
        return _comparing(node, getters)
    get = _getter(node, getters)
    return lambda entry: _holds(get(entry))


def _comparing(node: Comparison, getters: _Getters) -> Predicate:
    left, right = _getter(node.left, getters), _getter(node.right, getters)
    name = node.name
    if name in _ORDER:
        order = _ORDER[name]
        return lambda entry: _in_order(order, left(entry), right(entry))
    if name in ("~", "!~"):
        assert isinstance(node.right, Value)
        fits = re.compile(fnmatch.translate(str(node.right.value))).match
        wanted = name == "~"
        return lambda entry: _matches(fits, left(entry), wanted=wanted)
    compare = _COMPARISONS[name]
    return lambda entry: compare(left(entry), right(entry))


def _getter(operand: Operand, getters: _Getters) -> fields.Getter:
    if isinstance(operand, Field):
        return getters[operand.field]
    value = operand.value
    return lambda _: value


def _holds(value: object) -> bool:
    return value is not MISSING and bool(value)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _in_order(order: Callable[[Any, Any], bool], left: object, right: object) -> bool:
    for kind in (str, datetime):
        if isinstance(left, kind):
            return isinstance(right, kind) and order(left, right)
    return _is_number(left) and _is_number(right) and order(left, right)


def _equal(left: object, right: object) -> bool:
    if left is MISSING or right is MISSING:
        return left is None or right is None
    # A stack of our own: what a JSON reader just managed to read may be too deep for recursion in Python.
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


def _unequal(left: object, right: object) -> bool:
    return left is not MISSING and right is not MISSING and not _equal(left, right)


def _contains(holder: object, item: object) -> bool:
    if isinstance(holder, list):
        return any(_equal(item, member) for member in holder)
    if isinstance(holder, (str, Mapping)):
        return isinstance(item, str) and item in holder
    return False


def _lacks(holder: object, item: object) -> bool:
    return holder is not MISSING and item is not MISSING and not _contains(holder, item)


def _is(value: object, constant: object) -> bool:
    return (value is None or value is MISSING) if constant is None else _is_nan(value)


def _is_not(value: object, constant: object) -> bool:
    return (value is not None if constant is None else not _is_nan(value)) and value is not MISSING


def _matches(fits: Callable[[str], object], value: object, *, wanted: bool) -> bool:
    if value is MISSING:
        return False
    texts = value if isinstance(value, list) else [value]
    return any(isinstance(text, str) and fits(text) is not None for text in texts) is wanted


_COMPARISONS: Final[dict[str, Callable[[object, object], bool]]] = {
    "==": _equal,
    "!=": _unequal,
    "contains": _contains,
    "not contains": _lacks,
    "is": _is,
    "is not": _is_not,
}
