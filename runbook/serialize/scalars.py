"""Scalars as JSON-compatible data: numbers, texts, dates, names; and the repr of values without a JSON form.

Types are recognised by the names in their `__mro__` and never by `isinstance`: `isinstance` asks the
object for its `__class__`, where a mock returns another class and a broken object raises. With names there
is also no need to import `decimal`, `uuid` or a framework only to recognise its values.
"""

from __future__ import annotations

import math
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from runbook.messages import warn_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.typing import Json, JsonObject

REPR_LIMIT: Final = 500
"""At most so many characters of an object's repr are kept."""

_INT_DIGITS: Final = 4300
"""Readers of JSON written in Python refuse longer integers, and so does `json.dumps`."""

_ADDRESS: Final = re.compile(r"\s(?:at 0x[0-9a-fA-F]+|id='\d+')")
_BARE_ADDRESS: Final = re.compile(r"\b0x[0-9a-fA-F]{8,}")


def package_name(cls: type) -> str:
    """The top-level package and the name of a class: `numpy.ndarray`, `pandas.DataFrame`.

    Libraries move classes between their submodules from one release to the next; this name stays.
    """
    return f"{str(cls.__module__).partition('.')[0]}.{cls.__qualname__}"


def type_name(cls: type) -> str:
    """The qualified name of a class, without `builtins`."""
    try:
        module, name = str(cls.__module__), str(cls.__qualname__)
    except Exception:  # a metaclass may define both as it likes
        return "object"
    return clean_text(name if module == "builtins" else f"{module}.{name}")


def qualified_name(value: Any) -> str:
    """`module.qualname` of a function, a method or a class."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None) or value.__name__
    return clean_text(f"{module}.{name}" if isinstance(module, str) else str(name))


def clean_text(text: str) -> str:
    """The same text as an exact `str` that UTF-8 can encode: lone surrogates become visible escapes."""
    exact = str.__str__(text)
    if exact.isascii():
        return exact
    return exact.encode("utf-8", "backslashreplace").decode("utf-8")


def stable_repr(value: object) -> str:
    """The repr of any object, without memory addresses, so that it is the same in another process.

    Never raises: an object whose repr does is named by its type. At most `REPR_LIMIT` characters.
    """
    try:
        text = clean_text(repr(value))
    except Exception:  # raised by the user's object; only its type is left
        text = f"<{type_name(type(value))} object>"
    text = _BARE_ADDRESS.sub("0x…", _ADDRESS.sub("", text))
    from runbook.display import cut  # few values need it

    return cut(text, REPR_LIMIT)


def describe_by_repr(value: object) -> JsonObject:
    """A value without a JSON form as `{"__repr__": …}`, with one warning for its type in this process."""
    name = type_name(type(value))
    # A handler that the user put on our logger may raise; a value without a JSON form must not.
    with suppress(Exception):
        warn_once(
            f"jsonable:{name}",
            f"a value of type {name} has no JSON form and was recorded by its repr; "
            "to have its settings recorded, pass them as a dict",
        )
    return {"__repr__": stable_repr(value)}


def float_to_jsonable(value: float) -> float | str:
    """The float itself, or the string for one that JSON cannot hold: "NaN", "Infinity", "-Infinity"."""
    number = float.__float__(value)
    if math.isfinite(number):
        return number
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"  # noqa: PLR0124


def int_to_jsonable(value: int) -> Json:
    """The int itself, or its first hexadecimal digits where it has more digits than readers accept."""
    number = int.__index__(value)
    digits = min(_INT_DIGITS, sys.get_int_max_str_digits() or _INT_DIGITS)
    if number.bit_length() * math.log10(2) + 1 <= digits:
        return number
    return {"__repr__": f"{hex(number)[: REPR_LIMIT - 40]}… ({number.bit_length()} bits)"}


def _bytes_to_jsonable(value: Any) -> JsonObject:
    size = value.nbytes if isinstance(value, memoryview) else len(value)
    text = repr(bytes(value[: REPR_LIMIT // 5]))
    return {"__repr__": text if size <= REPR_LIMIT // 5 else f"{text}… ({size} bytes)"}


def _complex_to_jsonable(value: complex) -> str:
    return str(complex.__complex__(value)).strip("()")


def _pattern_to_jsonable(value: re.Pattern[Any]) -> str:
    text = value.pattern if isinstance(value.pattern, str) else repr(value.pattern)
    flags = re.RegexFlag(value.flags) & ~re.RegexFlag.UNICODE
    return clean_text(f"{text} ({flags!r})" if flags else text)


def _text(value: object) -> str:
    return clean_text(str(value))


def _iso(value: Any) -> str:
    return clean_text(value.isoformat())


def _none(_: object) -> None:
    return None


_RULES: Final[dict[str, Callable[[Any], Json]]] = {
    "builtins.NoneType": _none,
    "builtins.bool": bool,
    "builtins.int": int_to_jsonable,
    "builtins.float": float_to_jsonable,
    "builtins.str": clean_text,
    "builtins.complex": _complex_to_jsonable,
    "builtins.bytes": _bytes_to_jsonable,
    "builtins.bytearray": _bytes_to_jsonable,
    "builtins.memoryview": _bytes_to_jsonable,
    "re.Pattern": _pattern_to_jsonable,
    "datetime.datetime": _iso,
    "datetime.date": _iso,
    "datetime.time": _iso,
    "pandas.NAType": _none,
}

_TEXTS: Final = frozenset(
    {
        "builtins.range",
        "builtins.slice",
        "collections.UserString",
        "datetime.timedelta",
        "datetime.timezone",
        "decimal.Decimal",
        "fractions.Fraction",
        "ipaddress._BaseAddress",
        "numpy.dtype",
        "pandas.ExtensionDtype",
        "pathlib.PurePath",
        "polars.DataType",
        "pydantic._BaseUrl",
        "tensorflow.DType",
        "torch.device",
        "torch.dtype",
        "torch.layout",
        "torch.memory_format",
        "types.GenericAlias",
        "types.UnionType",
        "typing._GenericAlias",
        "uuid.UUID",
        "zoneinfo.ZoneInfo",
        "pydantic.Secret",
        "pydantic.SecretBytes",
        "pydantic.SecretStr",
    }
)
"""Types whose `str` is the whole value; the last three mask their secret in it."""


def scalar_rule(cls: type) -> Callable[[Any], Json] | None:
    """The function that converts the scalars of a class; None for a class whose values are no scalars."""
    for base in cls.__mro__:
        name = package_name(base)
        if name in _RULES:
            return _RULES[name]
        if name in _TEXTS:
            return _text
    return None


def is_named(value: object) -> bool:
    """Whether a value is recorded by its qualified name: a class, a function, a method."""
    if isinstance(value, type):
        return True
    if not callable(value):
        return False
    # An instance does not inherit `__qualname__` from its class: only functions and the like have one.
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    return isinstance(name, str) and bool(name)
