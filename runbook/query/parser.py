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

A field is `status`, `name`, `id`, `tags`, `started`, `duration` or another one in `fields.OWN`; or what `config.` and
`metrics.` lead to, by names with dots between them. A name may hold what the names of metrics hold (`val/loss`,
`f1@10`, `top-5`); one with other characters stands in quotes after its dot: `config."my key"`. After a dot no word has
a meaning of its own: `config.and` is a key. `config.` and `metrics.` can be left out where only one of them has the
name. Texts stand in quotes of either kind, with a backslash before a quote or a backslash in them.

The types decide what is compared, and nothing raises: numbers with numbers, texts with texts, the time of a start or
an end with an ISO 8601 text (local where it has no offset), the duration with seconds or a text such as "2h".
Different types are not equal and in no order; true is not 1. A comparison with a field that an experiment does not
have is false, `!=` and `not in` included, but for `== null` and `is null`; `not config.x == 1` has those without it as
well. A field alone holds when it is neither missing, null, false, 0 nor empty. NaN compares as IEEE 754 says, so that
nothing equals it: `metrics.loss is nan` finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from runbook import errors
from runbook.query import fields, operators
from runbook.query.fields import FieldPath, Getter, Lookup
from runbook.query.lexer import Token, tokens
from runbook.record import registry_entry
from runbook.record.status import Status

if TYPE_CHECKING:
    from datetime import datetime

    from runbook.typing import Entry

MAX_DEPTH: Final = 50
"""How deep parentheses and lists may nest."""


class Value(NamedTuple):
    """A number, text, constant or list that stands in the expression."""

    value: object
    column: int = 0


class Field(NamedTuple):
    """A field, to be taken out of each entry."""

    field: FieldPath


class Comparison(NamedTuple):
    """Two operands and the name of what is between them."""

    name: str
    left: Operand
    right: Operand


class Not(NamedTuple):
    """The opposite."""

    node: Node


class Several(NamedTuple):
    """All of them, or any of them."""

    is_all: bool
    nodes: tuple[Node, ...]


Operand: TypeAlias = Value | Field
Node: TypeAlias = "Value | Field | Comparison | Not | Several"
Predicate: TypeAlias = "Callable[[Entry], bool]"


class Expression(NamedTuple):
    """An expression that has been read.

    Args:
        text: how it was written.
        root: what it says.
        fields: the fields in it, in their order.
    """

    text: str
    root: Node
    fields: tuple[FieldPath, ...]

    def lookups(self, now: datetime) -> dict[FieldPath, Lookup]:
        """Its fields, to be taken out of entries.

        Args:
            now: the moment of the question.
        """
        return {field: Lookup(field, now, (self.text, "where")) for field in self.fields}

    def predicate(self, getters: Mapping[FieldPath, Getter]) -> Predicate:
        """A function that tells whether it holds for an entry.

        Args:
            getters: what takes each of its fields out of an entry.
        """
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


def parse_field(text: str, what: str, example: str, *, start: int = 0) -> FieldPath:
    """Read the name of one field.

    Args:
        text: the name, as in an expression.
        what: what it is asked for, such as `sort`, for the message.
        example: what could have been written, for the message.
        start: the column in the text at which it begins.

    Raises:
        QueryError: if it is none.

    Example:
        >>> parse_field("metrics.val/loss", "sort", "config.lr").path
        ('metrics', 'val/loss')
    """
    first, *more = tokens(text, what, start)
    if first.kind != "field" or more[0].kind != "end":
        column = more[0].column if first.kind == "field" else first.column
        raise errors.QueryError(text, column, f"expected one field, such as {example}", what)
    return FieldPath(cast("tuple[str, ...]", first.value), first.text, first.column)


_CHAINED: Final = frozenset({*operators.ORDER, "==", "=", "!="})


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
        if self._token.kind == "operator" and self._token.value in (")", "]"):
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
            if self._token.kind == "constant" and (self._token.value is None or operators.is_nan(self._token.value)):
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
        return self._compared(str(sign.value), left, Value(pattern.value, pattern.column), sign)

    def _compared(self, name: str, left: Node, right: Node, sign: Token) -> Comparison:
        if not isinstance(left, (Value, Field)) or not isinstance(right, (Value, Field)):
            problem = "what is in parentheses is true or false already; write 'and' or 'or' here"
            raise self._error(problem, sign.column)
        if name in _CHAINED:
            left, right = self._fitting(left, right), self._fitting(right, left)
        elif isinstance(left, Value) and isinstance(left.value, list):
            left = self._fitting(left, right)
        elif not name.startswith("is") and isinstance(left, Field) and left.field.own in fields.MEASURED:
            problem = f"{left.field.text} is a time, not a text; compare it with < or >, as in started >= '2024-12-16'"
            raise self._error(problem, sign.column)
        return Comparison(name, left, right)

    def _fitting(self, operand: Operand, other: Operand) -> Operand:
        """A value as what the field that it is compared with holds: a text as a time, or as one of the statuses."""
        if not isinstance(operand, Value) or not isinstance(other, Field):
            return operand
        convert = _CONVERSIONS.get(other.field.own or "")
        if convert is None:
            return operand
        try:
            if isinstance(operand.value, list):
                return Value([convert(item) for item in operand.value], operand.column)
            return Value(convert(operand.value), operand.column)
        except ValueError as error:
            raise self._error(str(error), operand.column) from None

    def _operand(self, expected: str, *, is_value: bool = False) -> Node:
        token = self._token
        if token.kind in ("number", "text", "constant"):
            self._at += 1
            return Value(token.value, token.column)
        if token.kind == "field":
            self._at += 1
            field = FieldPath(cast("tuple[str, ...]", token.value), token.text, token.column, is_value)
            self.fields[field] = None
            return Field(field)
        if self._take("operator", "("):
            return self._nested(token, self._any, ")")
        if self._take("operator", "["):
            return self._nested(token, self._list, "]")
        found = "the end" if token.kind == "end" else repr(token.text)
        raise self._error(f"expected {expected}, not {found}; write a field, a number or a text in quotes")

    def _nested(self, opening: Token, inner: Callable[[], Node], closing: str) -> Node:
        if self._depth == MAX_DEPTH:
            problem = f"more than {MAX_DEPTH} levels of parentheses or brackets; ask in several steps"
            raise self._error(problem, opening.column)
        self._depth += 1
        node = inner()
        self._depth -= 1
        if self._take("operator", closing) is None:
            problem = f"expected {closing!r} for the {opening.text!r} at column {opening.column + 1}"
            raise self._error(f"{problem}; put a text with spaces in quotes")
        return node

    def _list(self) -> Node:
        column = self._tokens[self._at - 1].column
        items: list[object] = []
        while self._token.value != "]" or self._token.kind != "operator":
            start = self._token
            item = self._operand("a value or ']'")
            if not isinstance(item, Value):
                raise self._error("a list holds values; put a text in quotes", start.column)
            items.append(item.value)
            if not self._take("operator", ","):
                break
        return Value(items, column)

    def _error(self, problem: str, column: int | None = None) -> errors.QueryError:
        return errors.QueryError(self._text, self._token.column if column is None else column, problem)


def _time(value: object) -> object:
    time = registry_entry.parse_moment(value)
    if time is None and value is not None:
        raise ValueError(f"{value!r} is no ISO 8601 date or time; write one such as '2024-12-16T14:30'")
    return time


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    length = fields.length(value)
    if length is None:
        raise ValueError(f"{value!r} is no length of time; write seconds, or a text such as '90m' or '2h'")
    return length.total_seconds()


def _status(value: object) -> object:
    if value is not None and value not in list(Status):
        raise ValueError(f"{value!r} is no status; write one of: {', '.join(Status)}")
    return value


_CONVERSIONS: Final[dict[str, Callable[[object], object]]] = {
    "timestamp": _time,
    "completed_at": _time,
    "duration": _seconds,
    "status": _status,
}
"""What a value that is compared with one of an entry's own fields has to be."""

_Getters: TypeAlias = Mapping[FieldPath, Getter]


def _test(node: Node, getters: _Getters) -> Predicate:
    """The tree as one function; it is as deep as the parentheses were."""
    if isinstance(node, Several):
        return _several([_test(inner, getters) for inner in node.nodes], is_all=node.is_all)
    if isinstance(node, Not):
        test = _test(node.node, getters)
        return lambda entry: not test(entry)
    if isinstance(node, Comparison):
        return _comparing(node, getters)
    get = _getter(node, getters)
    return lambda entry: operators.holds(get(entry))


def _several(tests: list[Predicate], *, is_all: bool) -> Predicate:
    def predicate(entry: Entry) -> bool:
        # `all` and `any` over a generator take twice the time, and there may be a hundred thousand entries.
        for test in tests:
            if test(entry) is not is_all:
                return not is_all
        return is_all

    return predicate


def _comparing(node: Comparison, getters: _Getters) -> Predicate:
    left = _getter(node.left, getters)
    if isinstance(node.right, Value) and node.name in ("~", "!~"):
        compare = operators.matching(str(node.right.value), is_wanted=node.name == "~")
    else:
        compare = operators.COMPARISONS[node.name]
    if isinstance(node.right, Value):
        value = node.right.value
        return lambda entry: compare(left(entry), value)
    right = _getter(node.right, getters)
    return lambda entry: compare(left(entry), right(entry))


def _getter(operand: Operand, getters: _Getters) -> Getter:
    if isinstance(operand, Field):
        return getters[operand.field]
    value = operand.value
    return lambda _: value
