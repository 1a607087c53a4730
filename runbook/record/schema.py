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
from runbook.record import upgrades
from runbook.record.model import Attempt, ExperimentRecord, Extensible, Failure, Job, Owner
from runbook.record.status import Status
from runbook.serialize.timestamps import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from cattrs import Converter

    from runbook.typing import Json, JsonObject, StrPath

R = TypeVar("R")
E = TypeVar("E", bound=Extensible)

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

    def hook_of(kind: type[E], *objects: str) -> Callable[[JsonObject, object], E]:
        overrides: Any = {"unknown": override(omit=True), **dict.fromkeys(objects, as_it_is)}
        own = make_dict_structure_fn(kind, converter, **overrides)
        known = frozenset(_known_fields(cast("type[attrs.AttrsInstance]", kind)))

        def structure(data: JsonObject, _: object) -> E:
            found = own(data, kind)
            unknown = {key: value for key, value in data.items() if key not in known}
            return attrs.evolve(found, unknown=unknown) if unknown else found

        return structure

    # The parts before the wholes, which look their hooks up when they get their own.
    for part in (Failure, Owner, Job):
        converter.register_structure_hook(part, hook_of(part))
    converter.register_structure_hook(Attempt, hook_of(Attempt, "config_changes"))
    present = hook_of(ExperimentRecord, "config", "metrics")
    converter.register_structure_hook(
        ExperimentRecord,
        lambda data, kind: present(upgrades.upgrade(_expect(data, dict), upgrades.RECORD_STEPS), kind),
    )
    return converter


@functools.cache
def _known_fields(kind: type[attrs.AttrsInstance]) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(kind) if field.name != "unknown")


def _expect(value: object, kind: type[R]) -> R:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def _strings(value: object, _: object) -> tuple[str, ...]:
    # A string is a sequence of strings, and would come out as its letters.
    return tuple(_expect(item, str) for item in _expect(value, list))


def to_json(record: attrs.AttrsInstance) -> JsonObject:
    """A record as plain data, its format version first, and the fields that this version does not know last."""
    data = _plain(record)
    return {"format_version": data.pop("format_version"), **data}


def _plain(record: attrs.AttrsInstance) -> JsonObject:
    # Not attrs.asdict, which takes longer, or goes into configs and metrics: they are plain already, and may be large.
    data: JsonObject = {name: _value(getattr(record, name)) for name in _known_fields(type(record))}
    return {**data, **record.unknown} if isinstance(record, Extensible) and record.unknown else data


def _value(value: object) -> Json:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    return _plain(cast("attrs.AttrsInstance", value)) if attrs.has(type(value)) else cast("Json", value)


def from_json(data: JsonObject, kind: type[R], path: StrPath) -> R:
    """A record from plain data.

    Data in an older version is brought to this one. Fields that this version does not know are kept in `unknown`.

    Args:
        data: what the file holds.
        kind: the class of the record.
        path: where it came from, for the message.

    Raises:
        DamagedFileError: naming every field that is missing or wrong.
        NewerFormatError: if a newer runbook wrote it in a way that this one cannot read.
    """
    import cattrs

    try:
        return _converter().structure(data, kind)
    except cattrs.BaseValidationError as error:
        check_version(data, kind, path)
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


def check_version(data: JsonObject, kind: type, path: StrPath) -> None:
    """Refuse what a newer runbook wrote, by what it says of its version.

    Raises:
        NewerFormatError: if it is newer than this one can read.
    """
    found, supported = data.get("format_version"), cast("int", attrs.fields_dict(kind)["format_version"].default)
    if isinstance(found, int) and found > supported:
        raise errors.NewerFormatError(path, found, supported)


def record_of_entry(entry: JsonObject, path: StrPath) -> ExperimentRecord:
    """The record of an experiment that the legacy tool made: all that is known is its line in the registry.

    Args:
        entry: the line; it may lack any field but the id.
        path: the registry, for the message.

    Raises:
        DamagedFileError: naming every field that is wrong.
    """
    # An entry has no version.
    known_fields = {*_known_fields(ExperimentRecord)} - {"format_version"}
    known: JsonObject = {key: value for key, value in entry.items() if key in known_fields and value is not None}
    if str(known.get("status")) not in {status.value for status in Status}:
        known["status"] = Status.UNKNOWN.value
    known.setdefault("config", {})
    known.setdefault("config_hash", str(entry["experiment_id"])[-8:])
    known.setdefault("timestamp", "1970-01-01T00:00:00+00:00")
    return from_json(known, ExperimentRecord, path)
