"""Expressions over the fields of experiments: `config.learning_rate < 1e-4 and metrics.test_f1 > 0.8`.

Python evaluates nothing in them: the parser turns a text into a tree, and the tree into functions that compare.

    any         all ("or" all)*
    all         not ("and" not)*
    not         "not"* comparison
    comparison  operand (("<" | "<=" | ">" | ">=" | "==" | "=" | "!=") operand)*
              | operand ["not"] "in" operand          a member of a list, a part of a text, a key of a mapping
              | operand ["not"] "contains" operand    the same, the other way round
              | operand ("~" | "!~") text             a shell pattern, which is case-sensitive
              | operand "is" ["not"] ("null" | "nan")
    operand     number | text | "true" | "false" | "null" | "nan" | "inf" | list | field | "(" any ")"

A field is `status`, `name`, `id`, `tags`, `started`, `duration` or another one in `fields.OWN`; or a path that begins
with `config.` or `metrics.`, with dots between its names. A name may hold the characters that names of metrics have
(`val/loss`, `f1@10`, `top-5`); a name with other characters stands in quotes after its dot: `config."my key"`. After a
dot every word is a name: `config.and` is a key. `config.` and `metrics.` can be left out where only one of them has the
name. Texts stand in quotes of either kind, with a backslash before a quote or a backslash in them.

Only values of one type are compared: numbers with numbers, texts with texts, the time of a start or an end with an ISO
8601 text (local where it has no offset), the duration with seconds or a text such as "2h". Values of different types
are not equal and have no order; true is not 1. A comparison with a field that an experiment does not have is false,
also `!=` and `not in`, except `== null` and `is null`; `not config.x == 1` also finds the experiments without the
field. A field alone is true when it is not missing, null, false, 0 or empty. NaN compares as IEEE 754 requires, so that
nothing equals it: `metrics.loss is nan` finds it. No comparison raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from runbook import errors
from runbook.query import fields, operators
from runbook.query.fields import FieldPath, Getter, Lookup
from runbook.query.lexer import Token, read_tokens
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
    """A field whose value is read from each entry."""

    field: FieldPath


class Comparison(NamedTuple):
    """Two operands and the name of the comparison between them."""

    name: str
    left: Operand
    right: Operand


class Not(NamedTuple):
    """The opposite of a node."""

    node: Node


class Several(NamedTuple):
    """Several nodes, of which all have to be true, or any."""

    is_all: bool
    nodes: tuple[Node, ...]


Operand: TypeAlias = Value | Field
Node: TypeAlias = "Value | Field | Comparison | Not | Several"
Predicate: TypeAlias = "Callable[[Entry], bool]"


class Expression(NamedTuple):
    """A parsed expression.

    Args:
        text: how it was written.
        root: the root of its tree.
        fields: the fields in it, in their order.
    """

    text: str
    root: Node
    fields: tuple[FieldPath, ...]

    def lookups(self, now: datetime) -> dict[FieldPath, Lookup]:
        """A lookup for each of its fields.

        Args:
            now: the present, aware.
        """
        return {field: Lookup(field, now, (self.text, "where")) for field in self.fields}

    def predicate(self, getters: Mapping[FieldPath, Getter]) -> Predicate:
        """A function that checks whether the expression is true for an entry.

        Args:
            getters: for each of its fields the function that returns its value in an entry.
        """
        return _make_test(self.root, getters)


def parse(text: str) -> Expression:
    """Read an expression.

    Raises:
        QueryError: with the column and what to write instead.

    Example:
        >>> parse("config.lr < 1e-4 and 'best' in tags").fields[0].path
        ('config', 'lr')
    """
    parser = _Parser(text)
    return Expression(text, parser.parse_whole(), tuple(parser.fields))


def parse_field(text: str, argument: str, example: str, *, start: int = 0) -> FieldPath:
    """Read the name of one field.

    Args:
        text: the name, as in an expression.
        argument: the argument that it was given for, such as `sort`, for the message.
        example: a field that would be right, for the message.
        start: the column in the text at which it begins.

    Raises:
        QueryError: if the text is not one field.

    Example:
        >>> parse_field("metrics.val/loss", "sort", "config.lr").path
        ('metrics', 'val/loss')
    """
    first, *more = read_tokens(text, argument, start)
    if first.kind != "field" or more[0].kind != "end":
        column = more[0].column if first.kind == "field" else first.column
        raise errors.QueryError(text, column, f"expected one field, such as {example}", argument)
    return FieldPath(cast("tuple[str, ...]", first.value), first.text, first.column)


_CHAINED: Final = frozenset({*operators.ORDER, "==", "=", "!="})


class _Parser:
    """The words of a text, and the position of the next one to read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = read_tokens(text, "where")
        self._at = 0
        self._depth = 0
        self.fields: dict[FieldPath, None] = {}

    def parse_whole(self) -> Node:
        if self._token.kind == "end":
            raise self._build_error("there is nothing in it; leave it out to have all experiments")
        node = self._parse_any()
        if self._token.kind == "end":
            return node
        if self._token.kind == "operator" and self._token.value in (")", "]"):
            raise self._build_error(f"nothing was opened that {self._token.text!r} could close; take it away")
        raise self._build_error("expected 'and', 'or' or the end; put a text with spaces in quotes")

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _take(self, kind: str, *values: object) -> Token | None:
        token = self._token
        if token.kind != kind or (values and token.value not in values):
            return None
        self._at += 1
        return token

    def _parse_any(self) -> Node:
        nodes = [self._parse_all()]
        while self._take("keyword", "or"):
            nodes.append(self._parse_all())
        return nodes[0] if len(nodes) == 1 else Several(is_all=False, nodes=tuple(nodes))

    def _parse_all(self) -> Node:
        nodes = [self._parse_not()]
        while self._take("keyword", "and"):
            nodes.append(self._parse_not())
        return nodes[0] if len(nodes) == 1 else Several(is_all=True, nodes=tuple(nodes))

    def _parse_not(self) -> Node:
        is_negated = False
        while self._take("keyword", "not"):
            is_negated = not is_negated
        node = self._parse_comparison()
        return Not(node) if is_negated else node

    def _parse_comparison(self) -> Node:
        start = self._token
        left = self._parse_operand("a field or a value")
        between = self._token
        negation = self._take("keyword", "not")
        if word := self._take("keyword", "in", "contains"):
            right = self._parse_operand(f"a value after {word.text!r}", is_value=True)
            pair = (right, left) if word.value == "in" else (left, right)
            return self._build_comparison("not contains" if negation else "contains", *pair, between)
        if negation:
            raise self._build_error("expected 'in' or 'contains' after 'not'")
        if self._take("keyword", "is"):
            name = "is not" if self._take("keyword", "not") else "is"
            if self._token.kind == "constant" and (self._token.value is None or operators.is_nan(self._token.value)):
                return self._build_comparison(name, left, self._parse_operand("a value"), between)
            raise self._build_error("expected null or nan after 'is'; for anything else write '=='")
        if pattern := self._take("operator", "~", "!~"):
            return self._parse_pattern(pattern, left)
        if self._token.kind == "operator" and self._token.value in _CHAINED:
            return self._parse_chain(left)
        if isinstance(left, Value) and not isinstance(left.value, bool):
            raise self._build_error("this value alone says nothing; compare it with a field", start.column)
        return left

    def _parse_chain(self, left: Node) -> Node:
        links = []
        while sign := self._take("operator", *_CHAINED):
            right = self._parse_operand(f"a value after {sign.text!r}", is_value=True)
            links.append(self._build_comparison("==" if sign.value == "=" else str(sign.value), left, right, sign))
            left = right
        return links[0] if len(links) == 1 else Several(is_all=True, nodes=tuple(links))

    def _parse_pattern(self, sign: Token, left: Node) -> Node:
        pattern = self._take("text")
        if pattern is None:
            raise self._build_error(f"expected a shell pattern in quotes after {sign.text!r}, such as 'base*'")
        return self._build_comparison(str(sign.value), left, Value(pattern.value, pattern.column), sign)

    def _build_comparison(self, name: str, left: Node, right: Node, sign: Token) -> Comparison:
        if not isinstance(left, (Value, Field)) or not isinstance(right, (Value, Field)):
            problem = "what is in parentheses is true or false already; write 'and' or 'or' here"
            raise self._build_error(problem, sign.column)
        if name in _CHAINED:
            left, right = self._convert(left, right), self._convert(right, left)
        elif isinstance(left, Value) and isinstance(left.value, list):
            left = self._convert(left, right)
        elif not name.startswith("is") and isinstance(left, Field) and left.field.own in fields.MEASURED:
            problem = f"{left.field.text} is a time, not a text; compare it with < or >, as in started >= '2024-12-16'"
            raise self._build_error(problem, sign.column)
        return Comparison(name, left, right)

    def _convert(self, operand: Operand, other: Operand) -> Operand:
        """A value in the type of the field that it is compared with: a text becomes a time, seconds or a status."""
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
            raise self._build_error(str(error), operand.column) from None

    def _parse_operand(self, expected: str, *, is_value: bool = False) -> Node:
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
            return self._parse_nested(token, self._parse_any, ")")
        if self._take("operator", "["):
            return self._parse_nested(token, self._parse_list, "]")
        found = "the end" if token.kind == "end" else repr(token.text)
        raise self._build_error(f"expected {expected}, not {found}; write a field, a number or a text in quotes")

    def _parse_nested(self, opening: Token, inner: Callable[[], Node], closing: str) -> Node:
        if self._depth == MAX_DEPTH:
            problem = f"more than {MAX_DEPTH} levels of parentheses or brackets; ask in several steps"
            raise self._build_error(problem, opening.column)
        self._depth += 1
        node = inner()
        self._depth -= 1
        if self._take("operator", closing) is None:
            problem = f"expected {closing!r} for the {opening.text!r} at column {opening.column + 1}"
            raise self._build_error(f"{problem}; put a text with spaces in quotes")
        return node

    def _parse_list(self) -> Node:
        column = self._tokens[self._at - 1].column
        items: list[object] = []
        while self._token.value != "]" or self._token.kind != "operator":
            start = self._token
            item = self._parse_operand("a value or ']'")
            if not isinstance(item, Value):
                raise self._build_error("a list holds values; put a text in quotes", start.column)
            items.append(item.value)
            if not self._take("operator", ","):
                break
        return Value(items, column)

    def _build_error(self, problem: str, column: int | None = None) -> errors.QueryError:
        return errors.QueryError(self._text, self._token.column if column is None else column, problem)


def _to_time(value: object) -> object:
    time = registry_entry.parse_moment(value)
    if time is None and value is not None:
        raise ValueError(f"{value!r} is no ISO 8601 date or time; write one such as '2024-12-16T14:30'")
    return time


def _to_seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    length = fields.parse_length(value)
    if length is None:
        raise ValueError(f"{value!r} is no length of time; write seconds, or a text such as '90m' or '2h'")
    return length.total_seconds()


def _to_status(value: object) -> object:
    if value is not None and value not in list(Status):
        raise ValueError(f"{value!r} is no status; write one of: {', '.join(Status)}")
    return value


_CONVERSIONS: Final[dict[str, Callable[[object], object]]] = {
    "timestamp": _to_time,
    "completed_at": _to_time,
    "duration": _to_seconds,
    "status": _to_status,
}
"""The conversion of a value that is compared with one of an entry's own fields."""

_Getters: TypeAlias = Mapping[FieldPath, Getter]


def _make_test(node: Node, getters: _Getters) -> Predicate:
    """The tree as one function; its calls nest as deep as the parentheses."""
    if isinstance(node, Several):
        return _combine_tests([_make_test(inner, getters) for inner in node.nodes], is_all=node.is_all)
    if isinstance(node, Not):
        test = _make_test(node.node, getters)
        return lambda entry: not test(entry)
    if isinstance(node, Comparison):
        return _make_comparison(node, getters)
    get = _make_operand_getter(node, getters)
    return lambda entry: operators.is_true(get(entry))


def _combine_tests(tests: list[Predicate], *, is_all: bool) -> Predicate:
    def predicate(entry: Entry) -> bool:
        # `all` and `any` over a generator take twice the time, and there may be a hundred thousand entries.
        for test in tests:
            if test(entry) is not is_all:
                return not is_all
        return is_all

    return predicate


def _make_comparison(node: Comparison, getters: _Getters) -> Predicate:
    left = _make_operand_getter(node.left, getters)
    if isinstance(node.right, Value) and node.name in ("~", "!~"):
        compare = operators.make_pattern_test(str(node.right.value), is_wanted=node.name == "~")
    else:
        compare = operators.COMPARISONS[node.name]
    if isinstance(node.right, Value):
        value = node.right.value
        return lambda entry: compare(left(entry), value)
    right = _make_operand_getter(node.right, getters)
    return lambda entry: compare(left(entry), right(entry))


def _make_operand_getter(operand: Operand, getters: _Getters) -> Getter:
    if isinstance(operand, Field):
        return getters[operand.field]
    value = operand.value
    return lambda _: value
