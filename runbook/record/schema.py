"""Records as plain data and back.

They are written by attrs and read by cattrs, which checks what it reads, and which a training that only writes does
not load: it takes a sixth of the first experiment of a process.
"""

from __future__ import annotations

import functools
from datetime import datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, get_args, get_origin

import attrs

from runbook import errors
from runbook.record.model import FORMAT_VERSION, Attempt, ExperimentRecord
from runbook.record.status import Status
from runbook.serialize.timestamps import format_time, parse_time

if TYPE_CHECKING:
    from cattrs import Converter

    from runbook.typing import JsonObject, StrPath

R = TypeVar("R")

_KINDS: Final = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    datetime: "a date and time",
    dict: "an object",
    tuple: "a list",
    NoneType: "null",
}
"""What each type of a field is called in JSON."""

_RECORD_FIELDS: Final = frozenset(field.name for field in attrs.fields(ExperimentRecord))


@functools.cache
def _converter() -> Converter:
    import cattrs
    from cattrs.gen import make_dict_structure_fn, override

    converter = cattrs.Converter()
    converter.register_structure_hook(datetime, lambda value, _: parse_time(value))
    # cattrs would turn the number 3 into the string "3"; in a file of ours that is damage, not data.
    converter.register_structure_hook(str, _expect)
    converter.register_structure_hook(int, _expect)
    # Enums are strings, too, and need a word of their own after the one for strings.
    converter.register_structure_hook(StrEnum, lambda value, kind: kind(value))
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _strings)
    as_it_is = override(struct_hook=lambda value, _: _expect(value, dict))
    converter.register_structure_hook(Attempt, make_dict_structure_fn(Attempt, converter, config_changes=as_it_is))
    converter.register_structure_hook(
        ExperimentRecord,
        make_dict_structure_fn(ExperimentRecord, converter, config=as_it_is, metrics=as_it_is),
    )
    return converter


def _expect(value: object, kind: type[R]) -> R:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def _strings(value: object, _: object) -> tuple[str, ...]:
    # A string is a sequence of strings, and would come out as its letters.
    return tuple(_expect(item, str) for item in _expect(value, list))


def to_json(record: attrs.AttrsInstance) -> JsonObject:
    """A record as plain data, its format version first."""
    data = _plain(record)
    return {"format_version": data.pop("format_version", FORMAT_VERSION), **data}


def _plain(record: attrs.AttrsInstance) -> JsonObject:
    # Without recurse=True, which goes into configs and metrics, too: they are plain already, and may be large.
    return attrs.asdict(record, recurse=False, value_serializer=lambda _record, _field, value: _value(value))


def _value(value: object) -> object:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    return _plain(cast("attrs.AttrsInstance", value)) if attrs.has(type(value)) else value


def from_json(data: JsonObject, kind: type[R], path: StrPath) -> R:
    """A record from plain data.

    Fields that this version does not know are passed over; see `FORMAT_VERSION` for who may write them back.

    Args:
        data: what the file holds.
        kind: the class of the record.
        path: where it came from, for the message.

    Raises:
        DamagedFileError: naming every field that is missing or wrong.
    """
    import cattrs

    try:
        return _converter().structure(data, kind)
    except cattrs.BaseValidationError as error:
        raise errors.DamagedFileError(
            path, "; ".join(cattrs.transform_error(error, format_exception=_describe))
        ) from error


def _describe(error: BaseException, kind: object) -> str:
    """What is wrong with one field, in the words of JSON: a reader of the file does not know our classes."""
    if isinstance(error, KeyError):
        return "required field missing"
    if kind is None:
        return "expected an object" if isinstance(error, AttributeError) else "invalid value"
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    return f"expected {' or '.join(map(_name_kind, kinds))}"


def _name_kind(kind: Any) -> str:
    plain = get_origin(kind) or kind
    if isinstance(plain, type) and issubclass(plain, StrEnum):
        return f"one of {', '.join(plain)}"
    return "an object" if attrs.has(plain) else _KINDS.get(plain, "another value")


def record_of_entry(entry: JsonObject, path: StrPath) -> ExperimentRecord:
    """The record of an experiment that the legacy tool made: all that is known is its line in the registry.

    Args:
        entry: the line; it may lack any field but the id.
        path: the registry, for the message.

    Raises:
        DamagedFileError: naming every field that is wrong.
    """
    known: JsonObject = {key: value for key, value in entry.items() if key in _RECORD_FIELDS and value is not None}
    if str(known.get("status")) not in {status.value for status in Status}:
        known["status"] = Status.UNKNOWN.value
    known.setdefault("config", {})
    known.setdefault("config_hash", str(entry["experiment_id"])[-8:])
    known.setdefault("timestamp", "1970-01-01T00:00:00+00:00")
    return from_json(known, ExperimentRecord, path)
