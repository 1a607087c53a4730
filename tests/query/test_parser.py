"""Expressions over the fields of experiments: their meaning, and the messages for invalid ones."""

from __future__ import annotations

import math
import operator
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runbook import QueryError
from runbook.query import parser
from runbook.query.parser import parse

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ENTRY = {
    "experiment_id": "20260101_000000_base_a1b2c3d4",
    "custom_name": "baseline-7",
    "status": "completed",
    "end_reason": "returned",
    "timestamp": "2026-01-01T00:00:00+00:00",
    "completed_at": "2026-01-01T01:00:00+00:00",
    "notes": None,
    "tags": ["paper", "sweep-3"],
    "host": "gpu-3",
    "config": {
        "learning_rate": 5e-5,
        "optim": {"name": "adam", "lr": 0.1, "betas": [0.9, 0.99]},
        "seed": 2**60 + 1,
        "use_amp": True,
        "dropout": 0,
        "clip": None,
        "and": 1,
        "not": {"in": 2},
        "my key": 3,
        "a.b": {"c": 4},
        'quo"te': 5,
        "path": "C:\\data",
        "empty": {},
        "bound": "Infinity",
        "bounds": [0, "-Infinity"],
        "größe": 6,
        "nan": 7,
        "true": 8,
    },
    "metrics": {
        "test_f1": 0.85,
        "val/loss": 0.3,
        "f1@10": 0.5,
        "top-5": 0.9,
        "rouge:l": 0.4,
        "per_class.hate.f1": 0.7,
        "bad": "NaN",
        "0": 1,
    },
}
OTHER = {"experiment_id": "x", "status": "failed", "config": {"only_here": 1, "deep": {"only": [1]}}, "metrics": {}}


def holds(text, entry=ENTRY):
    return predicate(parse(text), entry, OTHER)(entry)


def predicate(expression, *entries):
    """The predicate of an expression, with getters that have learned from these entries."""
    lookups = expression.lookups(NOW)
    for lookup in lookups.values():
        for entry in entries:
            lookup.learn(entry)
        lookup.check()
    return expression.predicate({field: lookup.get for field, lookup in lookups.items()})


@pytest.mark.parametrize(
    "text",
    [
        "config.learning_rate < 1e-4 and metrics.test_f1 > 0.8",
        "config.learning_rate<1e-4 and metrics.test_f1>.8",
        "1e-4 > config.learning_rate",
        "0.8 < metrics.test_f1 <= 0.85",
        "config.seed == 1152921504606846977",
        "not config.seed == 1152921504606846976",
        "config.optim.lr = 0.1",
        "config.optim.name != 'sgd'",
        "config.optim.betas == [0.9, 0.99]",
        "config.optim.betas contains 0.9",
        "config.optim contains 'lr'",
        "config.optim.name in ['adam', 'adamw',]",
        "config.optim.name not in ['sgd']",
        "config.clip == null and config.clip is null and config.clip == None",
        "config.clip != 1.0",
        "config.use_amp and not config.dropout and not config.empty",
        "config.use_amp == true and config.use_amp == True",
        "not config.use_amp == 1 and config.use_amp != 1",
        "config.and == 1 and config.not.in == 2",
        "config.nan == 7 and config.true == 8",
        "config.'my key' == 3 and config.\"my key\" == 3",
        "config.a.b.c == 4 and config.'a.b'.c == 4",
        'config.\'quo"te\' == 5 and config."quo\\"te" == 5',
        r"config.path == 'C:\\data' and config.path == 'C:\u005cdata' and config.path == 'C:\x5cdata'",
        "config.bound == inf and config.bound > 1e300 and -inf < config.bound",
        "config.bounds contains -inf and config.bounds == [0, -inf] and 0 in config.bounds",
        "config.größe == 6",
        "metrics.val/loss < 0.5 and metrics.f1@10 == 0.5 and metrics.top-5 == 0.9 and metrics.rouge:l == 0.4",
        "metrics.per_class.hate.f1 == 0.7 and metrics.'per_class.hate.f1' == 0.7",
        "metrics.0 == 1",
        "metrics.bad is nan and metrics.bad != metrics.bad and not metrics.bad == nan",
        "metrics.test_f1 is not nan and metrics.test_f1 is not null",
        "learning_rate < 1 and val/loss < 1 and optim.lr == 0.1 and per_class.hate.f1 > 0",
        "status == 'completed' and end_reason == 'returned' and host ~ 'gpu-*'",
        "status in ['completed', 'failed']",
        "'paper' in tags and tags contains 'paper' and 'nope' not in tags and tags not contains 'nope'",
        "tags ~ 'sweep-*' and tags !~ 'x*'",
        "name ~ 'base*' and name !~ 'BASE*' and name contains 'line' and 'line' in name",
        "id ~ '2026*' and experiment_id contains 'base'",
        "started >= '2026-01-01T00:00:00Z' and ended < '2026-01-01T02:00:00+00:00' and started < ended",
        "timestamp == '2026-01-01T01:00:00+01:00'",
        "started in ['2026-01-01T00:00:00Z']",
        "duration == 3600 and duration > '59m' and duration_s <= '1h' and duration < '1h30m'",
        "notes == null and not notes",
        "false or true",
        "NOT false AND (true OR false)",
        "not not true",
        "(config.seed) > 1",
        "((config.seed > 1))",
        "config.seed>-1 and config.seed > +1 and config.seed > 1_000",
        "\tstatus\n==\r'completed' ",
        "metrics.test_f1 > metrics.val/loss",
        "only_here is null and config.only_here == null",
    ],
)
def test_what_holds(text):
    """Each of these is true of the entry above."""
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "config.learning_rate < 1e-4 and metrics.test_f1 > 0.9",
        "config.learning_rate > 1e-4 and metrics.test_f1 > 0.8",
        "1e-4 < config.learning_rate",
        # Of a chain each part counts: the first, the one in the middle, the last.
        "0.86 < metrics.test_f1 <= 0.9",
        "0.8 < metrics.test_f1 < 0.85",
        "0.8 < metrics.test_f1 < 0.5 < 0.6",
        "0 < 1 < metrics.test_f1",
        "config.seed == 1152921504606846976",
        "not config.seed == 1152921504606846977",
        "config.optim.lr = 0.2",
        "config.optim.name != 'adam'",
        "config.optim.betas == [0.99, 0.9]",
        "config.optim.betas == [0.9]",
        "config.optim.betas contains 0.5",
        "config.optim contains 'adam'",
        "config.optim.name in ['adamw', 'sgd']",
        "config.optim.name in []",
        "config.optim.name not in ['sgd', 'adam']",
        "config.clip != null",
        "config.clip is not null",
        "config.learning_rate is null",
        "config.use_amp and config.dropout",
        "not config.use_amp",
        "config.clip or config.dropout or config.empty",
        "config.use_amp == false",
        "config.use_amp == 1",
        "config.dropout == false",
        "config.bound == -inf",
        "config.bounds contains inf",
        "1 in config.bounds",
        "metrics.bad == metrics.bad",
        "metrics.bad < inf or metrics.bad > 0",
        "metrics.bad is not nan",
        "metrics.test_f1 is nan",
        "metrics.val/loss > 0.5",
        "learning_rate > 1 or val/loss > 1",
        "status == 'failed'",
        "status in ['failed', 'interrupted']",
        "status not in ['completed']",
        "host ~ 'cpu-*'",
        "'nope' in tags",
        "'pape' in tags",
        "'paper' not in tags",
        "tags not contains 'sweep-3'",
        "tags ~ 'swee'",
        "tags !~ 'sweep-*'",
        "name ~ 'line'",
        "name ~ 'BASE*'",
        "name !~ 'base*'",
        "name contains 'Line'",
        "started > '2026-01-01T00:00:00Z'",
        "started > ended",
        "ended <= '2026-01-01T00:59:59Z'",
        "timestamp != '2026-01-01T01:00:00+01:00'",
        "started in ['2026-01-02T00:00:00Z']",
        "duration > '1h'",
        "duration < 3600",
        "duration == '59m'",
        "notes != null",
        "notes",
        "false",
        "false or false",
        "true and false",
        "false and true",
        # `and` binds closer than `or`, and `not` closer than both.
        "(true or true) and false",
        "false and false or false",
        "not true or false",
        "not (true or false)",
        "not not false",
        "(config.seed) < 1",
        "metrics.test_f1 < metrics.val/loss",
    ],
)
def test_what_does_not_hold(text):
    """Each of these is false of the entry above: a list of true ones alone would not notice what is left out."""
    assert not holds(text)


def test_parentheses_beside_each_other_do_not_add_up():
    """Only those inside of each other count against the limit."""
    assert holds(" and ".join(["(config.seed > 1)"] * (3 * parser.MAX_DEPTH)))
    assert holds(" and ".join(["config.optim.lr in [0.1]"] * (3 * parser.MAX_DEPTH)))
    assert holds("(" * parser.MAX_DEPTH + "true" + ")" * parser.MAX_DEPTH)


@pytest.mark.parametrize(
    "text",
    [
        *(f"config.only_here {sign} 1" for sign in ("<", "<=", ">", ">=", "==", "!=")),
        "config.only_here in [1]",
        "config.only_here not in [1]",
        "config.only_here ~ '*'",
        "config.only_here !~ '*'",
        "config.deep.only contains 1",
        "config.deep.only not contains 2",
        "config.only_here is nan",
        "config.only_here is not nan",
        "config.only_here is not null",
        "config.only_here",
        "config.only_here == config.only_here",
    ],
)
def test_a_comparison_with_what_is_missing_is_false(text):
    """Every comparison is, its opposite included."""
    assert not holds(text)


@pytest.mark.parametrize("left", ["config.use_amp", "name", "tags", "config.optim", "notes", "started", "metrics.bad"])
@pytest.mark.parametrize("sign", ["<", "<=", ">", ">="])
def test_different_types_are_in_no_order(left, sign):
    """Nor are values of a type without an order, and nothing raises."""
    assert not holds(f"{left} {sign} config.seed")
    assert not holds(f"config.seed {sign} {left}")
    assert not holds(f"{left} == config.seed")


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 0, "leave it out"),
        ("  ", 2, "leave it out"),
        ("config.lr <", 11, "expected a value after '<', not the end"),
        ("config.lr < and x", 12, "expected a value after '<', not 'and'"),
        ("config.lr 3", 10, "expected 'and', 'or' or the end"),
        ("name == big model", 12, "put a text with spaces in quotes"),
        ("config.lr < 3)", 13, "take it away"),
        ("(config.lr < 3", 14, "expected ')' for the '(' at column 1"),
        ("config.lr in [1, 2", 18, "expected ']' for the '[' at column 14"),
        ("config.lr in [1, x]", 17, "put a text in quotes"),
        ("config.lr in [1 2]", 16, "expected ']'"),
        ("status == 'x", 10, "close it with '"),
        ("a == '\\d'", 6, "write \\\\ for a backslash"),
        ("a == '\\", 6, "write \\\\ for a backslash"),
        ("a == '\\u12'", 6, "write \\\\ for a backslash"),
        ("config.", 7, "expected a name after the dot"),
        ("config..lr", 7, "expected a name after the dot"),
        ("config.lr < 1.2.3", 12, "is no number; write a text in quotes"),
        ("config.lr < 2d", 12, "is no number"),
        ("config.lr < 1\u0663", 12, "is no number"),
        ("config.lr < 1e999", 12, "write inf"),
        (f"config.lr < 1{'0' * 5000}", 12, "is no number"),
        ("config.lr < 1 && x", 14, "write 'and'"),
        ("config.lr < 1 || x", 14, "write 'or'"),
        ("!config.lr", 0, "write 'not'"),
        ("config.lr <> 1", 10, "write '!='"),
        ("config.lr === 1", 10, "write '=='"),
        ("config.lr =~ 'x'", 10, "write '~'"),
        ("config.lr < 2 * 3", 14, "compute the number first"),
        ("config.lr + 1 < 3", 10, "compute the number first"),
        ("config.lr in {1}", 13, "square brackets"),
        ("3", 0, "compare it with a field"),
        ("config.lr and 'x'", 14, "compare it with a field"),
        ("(a < 1) < 2", 8, "write 'and' or 'or' here"),
        ("a not b", 6, "expected 'in' or 'contains'"),
        ("a is 3", 5, "write '=='"),
        ("a ~ b", 4, "such as 'base*'"),
        ("status == 'complete'", 10, "completed, failed"),
        ("status in ['x']", 10, "completed, failed"),
        ("started > 'yesterday'", 10, "ISO 8601"),
        ("started > 3", 10, "ISO 8601"),
        ("started ~ '2026*'", 8, "compare it with < or >"),
        ("'2026' in started", 7, "compare it with < or >"),
        ("duration > 'long'", 11, "'90m' or '2h'"),
        ("duration > '999999999999w'", 11, "'90m' or '2h'"),
        ("[config.lr]", 1, "put a text in quotes"),
        ("a" + ".a" * 60, 99, "more than 50 names"),
        ("not " * 60 + "(" * 60, 290, "ask in several steps"),
        ("a == " + "[" * 10_000, 10_000, "ask in several steps"),
        ("(" * 10_000, 50, "more than 50 levels"),
        ("(" * 10_001, 10_000, "at most 10000"),
        ("config.lr < 1; import os", 13, "unexpected ';'"),
        ("config.lr < \x00", 12, r"unexpected '\x00'"),
        ("\ud800", 0, r"unexpected '\ud800'"),
        ("config.lr < 1 \U0001f600", 14, "unexpected"),
        (3, 0, "this is a int"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text, column, words):
    """The error has the column of the mistake, and its message says what to write there."""
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert (caught.value.column, caught.value.what) == (column, "where")
    assert words in str(caught.value)


def test_the_caret_stands_under_its_place():
    """Also where characters are escaped, wide or of no width, and where the text is long."""
    for before in ("config.lr < ", "name == 'é\u0301' and ", "name == '\x1b[2J' and ", "name == '\n' and "):
        with pytest.raises(QueryError) as caught:
            parse(f"{before}; rest")
        _, shown, caret, _ = str(caught.value).split("\n")
        base = shown.replace("\u0301", "")
        assert base[caret.index("^")] == ";"
        assert "\x1b" not in str(caught.value)
    with pytest.raises(QueryError) as caught:
        parse("name == '模型' and ;")
    _, shown, caret, _ = str(caught.value).split("\n")
    assert caret.index("^") == shown.index(";") + 2
    with pytest.raises(QueryError) as caught:
        parse(f"{'a' * 500} ; {'b' * 500}")
    _, shown, caret, _ = str(caught.value).split("\n")
    assert len(shown) < 200
    assert shown[caret.index("^")] == ";"


# A thing of Python's own is a name of nothing here.
@pytest.mark.parametrize(
    "text",
    [
        "__class__",
        "config.__class__.__mro__ == 1",
        "().__class__",
        "__import__('os')",
        "metrics.keys == 1",
        "a()",
        "f'x'",
    ],
)
def test_nothing_of_python_can_be_reached(text):
    """A name is looked up in the entry only."""
    with pytest.raises(QueryError):
        holds(text)


# --- printed and read again ------------------------------------------------------------------------------------------

KEYS = ["lr", "a b", "val/loss", "x.y", "and", 'q"u', "0", "é", "back\\slash", "nul\x00", "\ud800"]
NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=5),
    st.sampled_from(["adam", "sgd", *NON_FINITE]),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3))
ABSENT = object()
ENTRIES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6).map(lambda config: {"config": config})
OPERANDS = st.one_of(
    st.sampled_from(KEYS).map(lambda key: ("field", key)),
    VALUES.map(lambda value: ("value", value)),
)
LEAVES = st.one_of(
    st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!=", "in", "not in", "contains"]), OPERANDS, OPERANDS),
    st.sampled_from(KEYS).map(lambda key: ("field", key)),
    st.booleans().map(lambda value: ("value", value)),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    ),
    max_leaves=12,
)
ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def quote(text):
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
    return '"' + "".join(escapes.get(char, char) for char in text) + '"'


def print_tree(tree):
    match tree:
        case ("field", key):
            return f"config.{quote(key)}"
        case ("value", str() as text):
            return quote(text)
        case ("value", list() as items):
            return f"[{', '.join(print_tree(('value', item)) for item in items)}]"
        case ("value", value):
            return repr(value)
        case ("not", inner):
            return f"not ({print_tree(inner)})"
        case (name, left, right) if name in ("and", "or"):
            return f"({print_tree(left)}) {name} ({print_tree(right)})"
        case (name, left, right):
            return f"{print_tree(left)} {name} {print_tree(right)}"


def is_number(value):
    return type(value) in (int, float)


def are_same(left, right):
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(are_same, left, right))
    if is_number(left) and is_number(right):
        return left == right
    return type(left) is type(right) and left == right


def restore(value):
    if isinstance(value, list):
        return [restore(item) for item in value]
    return NON_FINITE.get(value, value) if isinstance(value, str) else value


def compute(tree, config):
    """The value of a tree, computed by a second and simpler implementation."""
    match tree:
        case ("field", key):
            return restore(config.get(key, ABSENT))
        case ("value", value):
            return value
        case ("not", inner):
            return not compute_truth(inner, config)
        case ("and", left, right):
            return compute_truth(left, config) and compute_truth(right, config)
        case ("or", left, right):
            return compute_truth(left, config) or compute_truth(right, config)
    name, left, right = tree[0], compute(tree[1], config), compute(tree[2], config)
    if name in ("in", "not in"):
        left, right = right, left
    if ABSENT in (left, right) and not (name == "==" and None in (left, right)):
        return name in ("in", "contains") and isinstance(left, list) and right is ABSENT and None in left
    if name in ORDER:
        comparable = (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str))
        return comparable and ORDER[name](left, right)
    if name in ("==", "!="):
        return (ABSENT in (left, right) or are_same(left, right)) is (name == "==")
    if isinstance(left, list):
        found = any(are_same(right, item) for item in left)
    else:
        found = isinstance(left, str) and isinstance(right, str) and right in left
    return found is (name != "not in")


def compute_truth(tree, config):
    value = compute(tree, config)
    return value is not ABSENT and bool(value)


@given(TREES, ENTRIES)
def test_a_tree_that_was_printed_and_read_says_the_same(tree, entry):
    """The parser and the comparisons agree with a second, simpler implementation."""
    everything = {"config": dict.fromkeys(KEYS, 0)}
    assert predicate(parse(print_tree(tree)), entry, everything)(entry) == compute_truth(tree, entry["config"])


WORDS = [
    "config",
    "lr",
    ".",
    "<",
    "==",
    "=",
    "and",
    "or",
    "not",
    "in",
    "is",
    "nan",
    "(",
    ")",
    "[",
    "]",
    ",",
    "'",
    '"',
    "\\",
]
WORDS += [
    "1e",
    "-",
    "0x",
    "~",
    "!",
    "null",
    "contains",
    "status",
    "started",
    "duration",
    "'2h'",
    "metrics.f1 > 1",
    "\x00",
]


@given(
    st.one_of(st.text(), st.lists(st.sampled_from(WORDS)).map(" ".join), st.lists(st.sampled_from(WORDS)).map("".join))
)
@example("_" * 10_000)
@example("'" + "\\" * 9_999)
@example("-" * 10_000)
@example("not " * 2_500)
@example("a < " * 2_500 + "a")
@example("a or " * 2_000 + "a")
@example("1" * 10_000)
def test_any_text_is_an_expression_or_an_error_that_points_into_it(text):
    """No other error is raised for any text; and every parsed expression can be applied."""
    try:
        expression = parser.parse(text)
    except QueryError as error:
        assert 0 <= error.column <= len(text)
        assert error.text == text
        assert all(line.isprintable() for line in str(error).split("\n"))
    else:
        assert predicate(expression)(ENTRY) in (True, False)
