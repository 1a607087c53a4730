"""Records as JSON-compatible data, and checked records from such data.

cattrs reads the records and checks them. It does not write them, so that a training does not import it: the import
would take a sixth of the time of the first experiment of a process.
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
"""The name that messages use for each type of a field, in the words of JSON."""


@functools.cache
def _make_converter() -> Converter:
    import cattrs
    from cattrs.gen import make_dict_structure_fn, override

    converter = cattrs.Converter()
    converter.register_structure_hook(datetime, lambda value, _: parse_time(value))
    # cattrs would turn the number 3 into the string "3"; in our files a number in its place is damage.
    converter.register_structure_hook(str, _expect)
    converter.register_structure_hook(int, _expect)
    # Enums are strings, too, so their hook must come after the one for strings.
    converter.register_structure_hook(StrEnum, lambda value, kind: kind(value))
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _expect_strings)
    unchanged = override(struct_hook=lambda value, _: _expect(value, dict))

    def hook_of(kind: type[E], *objects: str) -> Callable[[JsonObject, object], E]:
        overrides: Any = {"unknown": override(omit=True), **dict.fromkeys(objects, unchanged)}
        own = make_dict_structure_fn(kind, converter, **overrides)
        known = frozenset(_known_fields(cast("type[attrs.AttrsInstance]", kind)))

        def structure(data: JsonObject, _: object) -> E:
            found = own(data, kind)
            unknown = {key: value for key, value in data.items() if key not in known}
            return attrs.evolve(found, unknown=unknown) if unknown else found

        return structure

    # A class looks up the hooks of its parts when it gets its own, so the parts come first.
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


def _expect_strings(value: object, _: object) -> tuple[str, ...]:
    # A string is a sequence of strings, so cattrs would make a tuple of its letters.
    return tuple(_expect(item, str) for item in _expect(value, list))


def to_json(record: attrs.AttrsInstance) -> JsonObject:
    """A record as JSON-compatible data: its format version first, fields that this version does not know last."""
    data = _record_to_jsonable(record)
    return {"format_version": data.pop("format_version"), **data}


def _record_to_jsonable(record: attrs.AttrsInstance) -> JsonObject:
    # Not attrs.asdict: it takes longer, and walks through configs and metrics, which are JSON-compatible already.
    data: JsonObject = {name: _value_to_jsonable(getattr(record, name)) for name in _known_fields(type(record))}
    return {**data, **record.unknown} if isinstance(record, Extensible) and record.unknown else data


def _value_to_jsonable(value: object) -> Json:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_value_to_jsonable(item) for item in value]
    return _record_to_jsonable(cast("attrs.AttrsInstance", value)) if attrs.has(type(value)) else cast("Json", value)


def from_json(data: JsonObject, kind: type[R], path: StrPath) -> R:
    """A checked record from JSON-compatible data.

    Data in an older version is upgraded. Fields that this version does not know are kept in `unknown`.

    Args:
        data: the content of the file.
        kind: the class of the record.
        path: the path of the file, for the message.

    Raises:
        DamagedFileError: if fields are missing or wrong; the message names each of them.
        NewerFormatError: if a newer runbook wrote it and this one cannot read it.
    """
    import cattrs

    try:
        return _make_converter().structure(data, kind)
    except cattrs.BaseValidationError as error:
        check_version(data, kind, path)
        raise errors.DamagedFileError(
            path, "; ".join(cattrs.transform_error(error, format_exception=_describe))
        ) from error


def _describe(error: BaseException, kind: object) -> str:
    """What is wrong with one field, in the words of JSON, because a reader of the file does not know our classes."""
    if isinstance(error, KeyError):
        return "required field missing"
    if kind is None:
        return "expected an object" if isinstance(error, AttributeError) else "invalid value"
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    return f"expected {' or '.join(map(_name_kind, kinds))}"


def _name_kind(kind: Any) -> str:
    origin = get_origin(kind) or kind
    if isinstance(origin, type) and issubclass(origin, StrEnum):
        return f"one of {', '.join(origin)}"
    return "an object" if attrs.has(origin) else _KINDS.get(origin, "another value")


def check_version(data: JsonObject, kind: type, path: StrPath) -> None:
    """Refuse data whose format version is newer than this runbook supports.

    Args:
        data: the content of the file.
        kind: the class of the record.
        path: the path of the file, for the message.

    Raises:
        NewerFormatError: if the version is newer.
    """
    found, supported = data.get("format_version"), cast("int", attrs.fields_dict(kind)["format_version"].default)
    if isinstance(found, int) and found > supported:
        raise errors.NewerFormatError(path, found, supported)


def record_of_entry(entry: JsonObject, path: StrPath) -> ExperimentRecord:
    """A record of an experiment that has no record file, from its entry in the registry.

    The legacy tool wrote no record files.

    Args:
        entry: the entry; it may lack every field except the id.
        path: the path of the registry, for the message.

    Raises:
        DamagedFileError: if fields are wrong; the message names each of them.
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
