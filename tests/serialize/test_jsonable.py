"""Any Python value becomes JSON-compatible data."""

from __future__ import annotations

import array
import asyncio
import collections
import ctypes
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import json
import logging
import math
import operator
import pathlib
import re
import threading
import time
import types
import typing
import uuid
import weakref
from unittest.mock import MagicMock, Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook import messages
from runbook.serialize.flatten import flatten, restore_floats
from runbook.serialize.jsonable import MAX_DEPTH, numbers_of, to_jsonable


class Colour(enum.Enum):
    RED = "red"
    DEEP = (1, 2)


class Level(enum.IntEnum):
    HIGH = 3


class Point(typing.NamedTuple):
    x: int
    y: float


class Plain:
    """An object that carries what it is given as attributes."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


@pytest.fixture(autouse=True)
def _no_warnings_yet(monkeypatch):
    monkeypatch.setattr(messages, "_logged", set())


def strict(value, **options):
    """The value as JSON-compatible data, after a proof that strict JSON holds it unchanged."""
    converted = to_jsonable(value, **options)
    text = json.dumps(converted, allow_nan=False)
    text.encode("utf-8")
    assert json.loads(text) == converted
    assert to_jsonable(converted) == converted
    return converted


# Scalars and texts


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (0.5, 0.5),
        ("text", "text"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (Level.HIGH, 3),
        (Colour.RED, "red"),
        (Colour.DEEP, [1, 2]),
        (pathlib.PurePosixPath("/data/x"), "/data/x"),
        (dt.datetime(2024, 12, 16, 14, 30, tzinfo=dt.UTC), "2024-12-16T14:30:00+00:00"),
        (dt.date(2024, 12, 16), "2024-12-16"),
        (dt.time(14, 30), "14:30:00"),
        (dt.timedelta(hours=1), "1:00:00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.10"), "1.10"),
        (fractions.Fraction(1, 3), "1/3"),
        (range(2, 10, 2), "range(2, 10, 2)"),
        (1 + 2j, "1+2j"),
        (re.compile(r"^\d+"), r"^\d+"),
        (re.compile("a", re.IGNORECASE), "a (re.IGNORECASE)"),
        (b"ab", {"__repr__": "b'ab'"}),
        (list[int], "list[int]"),
        (int | None, "int | None"),
    ],
)
def test_single_values_have_a_readable_form(value, expected):
    """Each common scalar of the language has one JSON form."""
    converted = strict(value)
    assert converted == expected
    assert type(converted) is type(expected)


def test_subclasses_of_scalars_become_the_exact_base_type():
    """A subclass of a scalar is written as the scalar that it inherits from."""

    class Loud(str):
        __slots__ = ()

        def __str__(self):
            return "LOUD"

    class Odd(int):
        def __index__(self):
            return 99

    class Real(float):
        def __float__(self):
            return 99.0

    converted = strict([Loud("a"), Odd(1), Real(0.5)])
    assert converted == ["a", 1, 0.5]
    assert [type(item) for item in converted] == [str, int, float]


def test_lone_surrogates_become_visible_escapes():
    """Text that UTF-8 cannot encode, such as an undecodable file name, stays readable."""
    assert strict({"\udc80": "a\ud800", "é": "ü"}) == {"\\udc80": "a\\ud800", "é": "ü"}


def test_integers_that_no_reader_accepts_are_written_as_hexadecimal():
    """Python refuses to read integers of more than 4300 digits."""
    assert strict(10**4200) == 10**4200
    text = strict(10**5000)["__repr__"]
    assert text.startswith("0x")
    assert "16610 bits" in text


def test_bytes_are_capped():
    """Only the beginning of long bytes is recorded."""
    text = strict(bytes(10_000))["__repr__"]
    assert len(text) < 500
    assert "(10000 bytes)" in text
    assert strict(bytearray(b"x")) == {"__repr__": "b'x'"}
    assert strict(memoryview(b"x")) == {"__repr__": "b'x'"}


def test_code_is_recorded_by_its_qualified_name():
    """Functions, methods, classes and modules are recorded by name."""

    def local():
        return None

    assert strict(json.dumps) == "json.dumps"
    assert strict(len) == "builtins.len"
    assert strict(json.JSONEncoder.encode) == "json.encoder.JSONEncoder.encode"
    assert strict(Plain) == f"{__name__}.Plain"
    assert strict(Plain(a=1).__init__) == f"{__name__}.Plain.__init__"
    assert strict(local).endswith("local")
    assert strict(functools.lru_cache(local)).endswith("local")
    assert strict(json) == "json"
    assert strict(int) == "builtins.int"


def test_a_partial_shows_what_it_calls():
    """A `functools.partial` keeps its function and its arguments."""
    assert strict(functools.partial(json.dumps, 1, indent=2)) == {
        "partial": "json.dumps",
        "args": [1],
        "keywords": {"indent": 2},
    }


# Containers


def test_sequences_become_lists():
    """Whatever holds its elements in order becomes a list."""
    data = {"a": 1}
    assert strict([(1, 2), collections.deque([3]), array.array("i", [4]), collections.UserList([5])]) == [
        [1, 2],
        [3],
        [4],
        [5],
    ]
    assert strict([data.keys(), data.values(), data.items()]) == [["a"], [1], [["a", 1]]]


def test_mappings_become_dicts():
    """Every mapping of the standard library becomes a dict, in its own order."""
    mappings = [
        collections.OrderedDict(b=1, a=2),
        collections.defaultdict(int, x=1),
        collections.Counter("aab"),
        types.MappingProxyType({"p": 1}),
        collections.UserDict(u=1),
    ]
    assert strict(mappings) == [{"b": 1, "a": 2}, {"x": 1}, {"a": 2, "b": 1}, {"p": 1}, {"u": 1}]
    assert strict(collections.ChainMap({"a": 1}, {"a": 2, "b": 3})) == {"a": 1, "b": 3}


def test_reading_a_defaultdict_adds_nothing_to_it():
    """The user's object is read, never changed."""
    data = collections.defaultdict(list, a=[1])
    strict(data)
    assert dict(data) == {"a": [1]}


def test_keys_become_text():
    """Keys that are no strings become strings."""
    data = {
        1: "int",
        None: "none",
        0.5: "float",
        math.nan: "nan",
        Colour.RED: "enum",
        (1, "a"): "tuple",
        pathlib.PurePosixPath("x"): "path",
        frozenset([2, 1]): "set",
        int: "class",
        b"b": "bytes",
    }
    assert list(strict(data)) == [
        "1",
        "None",
        "0.5",
        "NaN",
        "red",
        "(1, a)",
        "x",
        "(1, 2)",
        "builtins.int",
        "b'b'",
    ]


def test_keys_that_collide_all_stay():
    """The later of two keys with the same text has its type added."""
    assert strict({"1": "a", 1: "b"}) == {"1": "a", "1 (int)": "b"}
    assert strict({1: "a", "1": "b"}) == {"1": "a", "1 (str)": "b"}
    assert strict({"1": 0, "1 (int)": 1, 1: 2}) == {"1": 0, "1 (int)": 1, "1 (int 2)": 2}
    assert len(strict({"\ud800": 1, "\\ud800": 2})) == 2


def test_named_tuples_keep_their_field_names():
    """A named tuple is a record, not a list."""
    assert strict(Point(1, 0.5)) == {"x": 1, "y": 0.5}


def test_sets_are_sorted_the_same_way_everywhere():
    """The order of a set depends on the process; that of the list made of it does not."""
    assert strict({10, 9, 2.5}) == [2.5, 9, 10]
    assert strict({"b", "a", None, 3}) == [3, "a", "b", None]
    assert strict(frozenset({(1, 2), (0, 5)})) == [[0, 5], [1, 2]]


def test_shared_references_appear_in_full():
    """Only a cycle is cut; a value that is used twice is written twice."""
    shared = {"a": [1]}
    assert strict([shared, shared]) == [{"a": [1]}, {"a": [1]}]


def test_cycles_are_cut():
    """A value inside itself is cut at the cycle."""
    items: list = [1]
    items.append({"back": items})
    own = Plain(lr=1)
    own.me = own
    assert strict(items) == [1, {"back": {"__repr__": "<cycle>"}}]
    assert strict(own) == {"lr": 1, "me": {"__repr__": "<cycle>"}}


def test_depth_is_limited():
    """Nesting that a JSON reader cannot read is cut at a fixed level."""
    nested: list = []
    for _ in range(5000):
        nested = [nested]
    converted, depth = strict(nested), 0
    while isinstance(converted, list):
        converted, depth = converted[0], depth + 1
    assert depth == MAX_DEPTH
    assert "levels deep" in converted["__repr__"]


def test_a_full_stack_is_survived():
    """Near the recursion limit of the host the value is recorded as far as it goes."""

    def deep(level):
        return deep(level - 1) if level else to_jsonable({"a": [[[[[[[[1]]]]]]]]})

    results = []
    for level in range(800, 1000):
        try:
            results.append(deep(level))
        except RecursionError:
            # No frame was left to enter `to_jsonable` itself; one level before, it had a few.
            break
    assert results
    assert all(isinstance(result, dict) for result in results)


def test_references_without_end_are_cut_short():
    """Objects that all refer to each other have more paths than memory; they are cut short."""
    layers: list = []
    for _ in range(60):
        layers = [layers, layers]
    nodes = [Plain() for _ in range(30)]
    for node in nodes:
        node.__dict__.update({f"to_{index}": other for index, other in enumerate(nodes)})
    began = time.monotonic()
    assert "appear too often" in json.dumps(to_jsonable(layers))
    assert "appear too often" in json.dumps(to_jsonable(nodes[0]))
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_rows_that_share_an_object_all_stay():
    """Objects that rows of data share near the top are written in full."""
    shared, model = {"a": 1}, Plain(name="bert")
    assert to_jsonable([shared] * 60_000) == [{"a": 1}] * 60_000
    assert to_jsonable([{"model": model}] * 60_000)[-1] == {"model": {"name": "bert"}}


# Objects that have no JSON form, and hostile ones


@pytest.mark.parametrize(
    "value",
    [
        object(),
        threading.Lock(),
        logging.getLogger("x"),
        (item for item in ()),
        MagicMock(),
        MagicMock(spec=dict),
        Mock(),
        weakref.ref(Plain),
        ctypes.c_int(1),
        ValueError("x"),
        iter([]),
        operator.itemgetter(1),
        Ellipsis,
        asyncio.Queue,
        threading.local(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_without_a_rule_are_recorded_without_addresses(value):
    """The text is the same in another process, so that a hash over it is too."""
    converted = strict(value)
    text = converted["__repr__"] if isinstance(converted, dict) else converted
    assert text
    assert not re.search(r"0x[0-9a-f]{6}|id='", text)


def test_a_weak_proxy_and_a_structure_are_survived():
    """Proxies and C structures, which report another type, are converted without an error."""

    class Pair(ctypes.Structure):
        _fields_ = [("a", ctypes.c_int)]

    owner = Plain(a=1)
    assert strict(weakref.proxy(owner))
    assert strict(Pair(1))
    assert strict(weakref.WeakValueDictionary({"a": owner})) == {"a": {"a": 1}}


def test_the_repr_is_capped():
    """A model of a thousand layers does not fill the config."""

    class Long:
        __slots__ = ()

        def __repr__(self):
            return "x" * 100_000

    assert len(strict(Long())["__repr__"]) == 500


def test_one_warning_for_a_type(caplog):
    """The user hears once per type that a value was recorded by its repr."""
    strict([threading.Lock(), threading.Lock(), object(), object()])
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "_thread.lock" in messages[0]
    assert "recorded by its repr" in messages[0]
    assert "pass them as a dict" in messages[0]


def test_a_handler_that_raises_stops_nothing(monkeypatch):
    """An object without a JSON form is recorded even if the user's log handler raises."""

    class Broken(logging.Handler):
        def emit(self, record):
            raise RuntimeError

    handler = Broken()
    logger = logging.getLogger("runbook")
    logger.addHandler(handler)
    try:
        assert strict(object()) == {"__repr__": "<object object>"}
    finally:
        logger.removeHandler(handler)


def _broken(*_):
    raise ValueError("no")


MAGIC = ("__repr__", "__iter__", "__len__", "__getitem__", "keys", "items", "__hash__", "__eq__", "__getattr__")

# Makers and not the objects: pytest would look into those itself, and stumble.
HOSTILE = {
    "everything raises": lambda: type("E", (), dict.fromkeys(MAGIC, _broken) | {"__dict__": property(_broken)})(),
    "repr gives no text": lambda: type("R", (), {"__repr__": lambda _: 7, "__slots__": ()})(),
    "repr without end": lambda: type("R", (), {"__repr__": lambda self: repr(self), "__slots__": ()})(),
    "class raises": lambda: type("C", (), {"__class__": property(_broken)})(),
    "class lies": lambda: type("C", (), {"__class__": property(lambda _: dict)})(),
    "module is no text": lambda: type("M", (), {"__module__": 3})(),
    "metaclass raises": lambda: type("Meta", (type,), {"__getattribute__": _broken})("M", (), {})(),
    "class without hash": lambda: type("Meta", (type,), {"__eq__": _broken})("M", (), {"a": 1})(),
    "class without reference": lambda: type("Meta", (type,), {"__hash__": _broken})("M", (), {"a": 1})(),
    "array": lambda: type("A", (), {"shape": property(_broken), "dtype": 1, "tolist": _broken})(),
    "dataclass": lambda: type("D", (), {"__dataclass_fields__": {"a": 1}})(),
    "attrs": lambda: type("A", (), {"__attrs_attrs__": (1, 2)})(),
    "struct": lambda: type("S", (), {"__struct_fields__": (1, None)})(),
    "pydantic": lambda: type("P", (), {"__pydantic_validator__": 1})(),
    "named tuple": lambda: type("N", (tuple,), {"_fields": (1, 2)})((1, 2)),
    "mapping-like": lambda: type("K", (), {"keys": lambda _: ["a"], "__getitem__": _broken})(),
    "unset slots": lambda: type("S", (), {"__slots__": ("a", "b")})(),
    "property raises": lambda: dataclasses.make_dataclass("D", ["a"], namespace={"__getattribute__": _broken})(1),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_objects_cannot_raise(what):
    """Whatever an object's methods do, the training goes on."""
    value = HOSTILE[what]()
    assert strict(value) is not None
    assert strict([value, {"a": value}])
    assert isinstance(numbers_of({"loss": 0.5, "bad": value}), dict)


def test_interrupts_pass_through():
    """Ctrl-C inside a user's repr is still Ctrl-C."""

    class Interrupted:
        __slots__ = ()

        def __repr__(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to_jsonable([Interrupted()])


def test_containers_with_spoiled_methods_are_read_from_below():
    """The items of a dict, list or tuple are read even if its subclass breaks iteration."""

    def broken(*_):
        raise RuntimeError

    spoiled_dict = type("SpoiledDict", (dict,), {"items": broken, "__iter__": broken})(a=1)
    spoiled_list = type("SpoiledList", (list,), {"__iter__": broken})([1, 2])
    spoiled_tuple = type("SpoiledTuple", (tuple,), {"__iter__": broken})((1, 2))
    assert strict([spoiled_dict, spoiled_list, spoiled_tuple]) == [{"a": 1}, [1, 2], [1, 2]]


def test_generators_are_not_used_up():
    """Converting an iterator takes nothing from it."""
    items = iter([1, 2, 3])
    strict({"data": items})
    assert list(items) == [1, 2, 3]


def test_classes_that_were_dropped_are_not_kept_alive():
    """The cache of kinds does not keep a class in memory."""
    import gc

    class Short:
        lr = 1

    gone = weakref.ref(Short)
    strict(Short())
    del Short
    gc.collect()
    assert gone() is None


# Arrays and tables


def test_numpy_scalars_become_python_scalars():
    """A NumPy scalar is a number, a text or a time like any other."""
    np = pytest.importorskip("numpy")
    values = [
        np.float32(0.5),
        np.float64("nan"),
        np.int64(3),
        np.bool_(True),
        np.longdouble(1.5),
        np.complex64(1j),
        np.str_("x"),
        np.datetime64("2020-01-01", "ns"),
        np.datetime64("NaT", "s"),
        np.timedelta64(5, "s"),
        np.array(7),
        np.ma.masked,
    ]
    assert strict(values) == [
        0.5,
        "NaN",
        3,
        True,
        1.5,
        "1j",
        "x",
        "2020-01-01T00:00:00.000000000",
        "NaT",
        "5 seconds",
        7,
        None,
    ]
    assert [type(item) for item in to_jsonable(values[:4])] == [float, str, int, bool]


def test_numpy_arrays_become_nested_lists():
    """Arrays of any dtype are written out when there is no limit."""
    np = pytest.importorskip("numpy")
    assert strict(np.ones((2, 2), "f4")) == [[1.0, 1.0], [1.0, 1.0]]
    assert strict(np.array([1, np.inf])) == [1.0, "Infinity"]
    assert strict(np.zeros((0, 3))) == []
    assert strict(np.ma.array([1, 2], mask=[False, True])) == [1, None]
    assert strict(np.array([1, {"a": Colour.RED}, [2]], dtype=object)) == [1, {"a": "red"}, [2]]
    assert strict(np.array([(1, "x")], dtype=[("a", int), ("b", "U1")])) == {"a": [1], "b": ["x"]}
    assert strict(np.array(["2020-01-01"], "M8[D]")) == ["2020-01-01"]
    assert strict(np.longdouble([1, 2])) == [1.0, 2.0]
    assert strict([np.float32, np.dtype("float32")]) == ["numpy.float32", "float32"]


def test_an_array_that_holds_itself_ends():
    """Object arrays may hold anything, themselves and endless lists included."""
    np = pytest.importorskip("numpy")
    own = np.empty(1, dtype=object)
    own[0] = own
    endless: list = []
    endless.append(endless)
    other = np.empty(1, dtype=object)
    other[0] = endless
    assert strict(own) == [{"__repr__": "<cycle>"}]
    assert "<cycle>" in json.dumps(strict(other))


def test_many_small_arrays_all_stay():
    """Lists made on the way from an array to JSON never count as repeats."""
    np = pytest.importorskip("numpy")
    nested = [[[[[[[[[[np.ones((2, 2)) for _ in range(40_000)]]]]]]]]]]
    assert "too often" not in json.dumps(to_jsonable(nested))


def test_large_arrays_are_described():
    """Above the limit an array is described by type, shape and dtype."""
    np = pytest.importorskip("numpy")
    described = {"__array__": "numpy.ndarray", "shape": [101], "dtype": "float32"}
    assert strict(np.zeros(101, "f4"), max_array=100) == described
    assert strict({"a": [np.zeros(101, "f4")]}, max_array=100) == {"a": [described]}
    assert strict(np.zeros(100, "f4"), max_array=100) == [0.0] * 100
    assert strict(np.float32(1), max_array=0) == 1.0


def test_pandas_values_and_series():
    """Missing values stay visible, and labels are kept unless they only count the rows."""
    pd = pytest.importorskip("pandas")
    assert strict([pd.NA, pd.NaT, pd.Timestamp("2020-01-01")]) == [None, "NaT", "2020-01-01T00:00:00"]
    assert strict(pd.Series([1, 2])) == [1, 2]
    assert strict(pd.Series([0.5, 1.0, 2.0])[lambda s: s > 0.5]) == [1.0, 2.0]
    assert strict(pd.Series([1, None], dtype="Int64")) == [1, None]
    assert strict(pd.Series([0.5, 0.9], index=["f1", "acc"])) == {"f1": 0.5, "acc": 0.9}
    assert strict(pd.Categorical(["a", "b"])) == ["a", "b"]


def test_pandas_tables_become_rows():
    """A data frame is a list of rows, with nothing lost to equal names."""
    pd = pytest.importorskip("pandas")
    assert strict(pd.DataFrame({"a": [1, 2], "b": [0.5, math.nan]})) == [{"a": 1, "b": 0.5}, {"a": 2, "b": "NaN"}]
    assert strict(pd.DataFrame([[1, 2]], columns=["a", "a"])) == [{"a": 1, "a (str)": 2}]
    assert strict(pd.DataFrame({"f1": [0.5]}, index=["women"])) == [{"index": "women", "f1": 0.5}]
    assert strict(pd.DataFrame({1: [2]})) == [{"1": 2}]
    assert strict(pd.DataFrame({"index": [1]}, index=["x"])) == [{"level_0": "x", "index": 1}]


def test_large_tables_are_described():
    """Above the limit a table is described by type, shape and columns."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": range(60), "b": range(60)})
    expected = {"__array__": "pandas.DataFrame", "shape": [60, 2], "columns": ["a", "b"]}
    assert strict(frame, max_array=100) == expected
    assert strict(frame["a"], max_array=10)["shape"] == [60]


def test_polars_tables_and_series():
    """Polars is read like pandas."""
    pl = pytest.importorskip("polars")
    assert strict(pl.DataFrame({"a": [1, None], "b": ["x", "y"]})) == [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]
    assert strict(pl.Series([1.5, None])) == [1.5, None]
    described = strict(pl.DataFrame({"a": range(200)}), max_array=100)
    assert described == {"__array__": "polars.DataFrame", "shape": [200, 1], "columns": ["a"]}


def test_torch_tensors():
    """Tensors are read wherever they live and whatever records their gradients."""
    torch = pytest.importorskip("torch")
    assert strict(torch.tensor(0.5, requires_grad=True)) == 0.5
    assert strict(torch.nn.Parameter(torch.ones(2))) == [1.0, 1.0]
    assert strict(torch.tensor([1.5], dtype=torch.bfloat16)) == [1.5]
    assert strict(torch.zeros(2, device="meta")) == {"__array__": "torch.Tensor", "shape": [2], "dtype": "float32"}
    assert strict([torch.float16, torch.device("cuda:0"), torch.Size([1, 2])]) == ["torch.float16", "cuda:0", [1, 2]]
    assert strict(torch.zeros(11, 11), max_array=100)["shape"] == [11, 11]
    assert strict(torch.nn.Linear(2, 2)) == {"__repr__": "Linear(in_features=2, out_features=2, bias=True)"}
    assert strict(torch.optim.Adam) == "torch.optim.adam.Adam"


def test_jax_arrays():
    """JAX arrays are read, traced ones are described."""
    jnp = pytest.importorskip("jax.numpy")
    import jax

    seen = []
    jax.jit(lambda x: seen.append(strict(x)) or x)(jnp.ones(2))
    assert strict(jnp.ones(2)) == [1.0, 1.0]
    assert seen
    assert "1.0" not in json.dumps(seen)


def test_array_like_objects_of_other_libraries():
    """Arrays are recognised by the attributes of their class, not by its library."""

    class Lazy:
        shape = (2,)
        dtype = "int8"

        def __array__(self):
            raise OSError("the file is gone")

    class Eager(Lazy):
        def numpy(self):
            return [1, 2]

    assert strict(Eager()) == [1, 2]
    assert strict(Lazy())["dtype"] == "int8"


# Flat names and numbers


def test_flatten_joins_names_and_keeps_lists_and_empty_mappings():
    """Nested mappings become dotted names."""
    assert flatten({"a": {"b": {"c": 1}, "d": [{"e": 2}]}, "f": {}}) == {"a.b.c": 1, "a.d": [{"e": 2}], "f": {}}
    assert flatten({"a": {"b": 1}}, separator="/") == {"a/b": 1}
    assert flatten({}) == {}


def test_flatten_keeps_both_of_two_equal_names():
    """A key that holds the separator is quoted where it would hide another, and only there."""
    assert flatten({"a.b": 1, "a": {"b": 2}}) == {'"a.b"': 1, "a.b": 2}
    assert flatten({"a": {"b": 2}, "a.b": 1}) == {"a.b": 2, '"a.b"': 1}
    assert flatten({"a.b": 1}) == {"a.b": 1}
    assert flatten({"a.b": {"c": 1}, "a": {"b.c": 2}}) == {'"a.b".c': 1, 'a."b.c"': 2}
    assert len(flatten({'"a.b"': 0, "a.b": 1, "a": {"b": 2}})) == 3


keys = st.text(alphabet='ab."', max_size=4)
nested_dicts = st.recursive(st.integers(), lambda inner: st.dictionaries(keys, inner, max_size=4), max_leaves=20)


def _leaves(data):
    for value in data.values():
        if isinstance(value, dict) and value:
            yield from _leaves(value)
        else:
            yield json.dumps(value)


@given(st.dictionaries(keys, nested_dicts, max_size=4))
def test_flatten_loses_nothing(data):
    """There are as many keys as there were scalars, with the same values."""
    assert sorted(json.dumps(value) for value in flatten(data).values()) == sorted(_leaves(data))


def test_flatten_and_restore_go_deeper_than_recursion():
    """Data as deep as a JSON reader can read is flattened and restored."""
    data: dict = {"a": "NaN"}
    for _ in range(5000):
        data = {"a": data}
    ((name, value),) = flatten(data).items()
    assert name.count("a") == 5001
    assert value == "NaN"
    restored = restore_floats(data)
    while isinstance(restored, dict):
        restored = restored["a"]
    assert math.isnan(restored)


def test_numbers_of_keeps_numbers_only():
    """Values that are no numbers are left out, at any depth."""
    metrics = {
        "loss": 0.5,
        "nan": math.nan,
        "steps": 10,
        "best": True,
        "model": "bert",
        "none": None,
        "huge": 10**5000,
        "val": {"f1": 0.9, "curve": [0.1, 0.2], "single": [0.1], "deep": {"x": 1}, "name": "x"},
        "restored": "-Infinity",
        1: 2,
    }
    assert numbers_of(metrics) == {
        "loss": 0.5,
        "nan": "NaN",
        "steps": 10,
        "best": True,
        "val.f1": 0.9,
        "val.deep.x": 1,
        "restored": "-Infinity",
        "1": 2,
    }


def test_numbers_of_reads_scalars_of_libraries():
    """NumPy scalars and arrays of one element are numbers; larger arrays are none."""
    np = pytest.importorskip("numpy")
    metrics = {
        "a": np.float32(0.5),
        "b": np.array(1),
        "c": np.array([[2.0]]),
        "d": np.ones(2),
        "e": np.float64("inf"),
        "f": np.datetime64("2020-01-01"),
        "g": np.array(["x"]),
        "h": np.array([]),
    }
    assert numbers_of(metrics) == {"a": 0.5, "b": 1, "c": 2.0, "e": "Infinity"}


def test_numbers_of_survives_cycles():
    """A mapping inside itself is left out."""
    data: dict = {"a": 1}
    data["x"] = data["y"] = data
    assert numbers_of(data) == {"a": 1}


def test_restore_floats_is_the_way_back():
    """The three strings become floats again and nothing else changes; the data itself is left alone."""
    data = {"a": ["NaN", "Infinity", {"b": "-Infinity"}], "c": "nan", "d": 1}
    restored = restore_floats(data)
    assert math.isnan(restored["a"][0])
    assert restored["a"][1:] == [math.inf, {"b": -math.inf}]
    assert (restored["c"], restored["d"]) == ("nan", 1)
    assert data["a"][0] == "NaN"
    assert restore_floats("Infinity") == math.inf
    assert restore_floats(None) is None


# Properties

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(alphabet=st.characters()),
    st.binary(max_size=20),
    st.complex_numbers(),
    # A signalling NaN cannot be hashed, and hypothesis draws these into sets.
    st.decimals(allow_nan=False),
    st.fractions(),
    st.dates(),
    st.times(),
    st.datetimes(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([*Colour, Level.HIGH, len, int, json, object(), Point(1, 2), range(3), Ellipsis]),
)
hashables = st.one_of(scalars, st.tuples(scalars, scalars), st.frozensets(scalars, max_size=3))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.tuples(inner, inner),
        st.dictionaries(hashables, inner, max_size=5),
        st.sets(hashables, max_size=5),
        inner.map(lambda item: Plain(attribute=item)),
        inner.map(lambda item: types.SimpleNamespace(field=item)),
        inner.map(lambda item: collections.deque([item])),
    ),
    max_leaves=25,
)


@settings(deadline=None)
@given(values)
def test_any_value_survives_strict_json(value):
    """Writing never fails, and reading back gives the same data."""
    assert strict(value) == to_jsonable(value)


names = st.text(alphabet=st.characters(codec="utf-8"), max_size=3)


@given(st.recursive(st.floats(), lambda inner: st.lists(inner) | st.dictionaries(names, inner)))
def test_floats_come_back(value):
    """Data that is written, read and restored holds the same floats."""
    restored = restore_floats(json.loads(json.dumps(to_jsonable(value), allow_nan=False)))
    assert repr(restored) == repr(value)


@dataclasses.dataclass
class Row:
    """Used by the example below."""

    score: float
    label: str | None = None


def test_lists_of_records_become_lists_of_dicts():
    """Predictions are often lists of small records."""
    assert strict([Row(0.5), Row(math.nan, "x")]) == [
        {"score": 0.5, "label": None},
        {"score": "NaN", "label": "x"},
    ]
