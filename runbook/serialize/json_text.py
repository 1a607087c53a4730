"""JSON data as bytes and back: the rules that all our JSON files follow.

Files hold strict JSON (RFC 8259). Non-finite floats are the strings "NaN", "Infinity" and "-Infinity", as in the
JSON mapping of protocol buffers (https://protobuf.dev/programming-guides/json/); `runbook.serialize.jsonable` makes
them.
"""

from __future__ import annotations

import contextlib
import functools
import json
from typing import TYPE_CHECKING, Final

from runbook import errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runbook.typing import Json, JsonObject, StrPath

HALF: Final = "backslashreplace"
"""How half a surrogate pair, which UTF-8 cannot hold, is encoded: as an escape, which JSON reads back."""

_INDENT: Final = 2
_WORTH_AN_IMPORT: Final = 4_000_000
"""The bytes of a file from which on msgspec saves more time than its import takes."""


def encode(data: Json, *, indent: int | None = _INDENT) -> bytes:
    """The bytes of a JSON file, ending in a newline.

    Args:
        data: JSON-compatible data, as `runbook.serialize.jsonable.to_jsonable` returns it.
        indent: spaces a level; None puts everything on one line.
    """
    if (
        indent == _INDENT
        and type(data) is dict
        and data
        and not any(type(value) in {dict, list} for value in data.values())
    ):
        # Most configs have one level, and this writes the same bytes in a fifth of the time.
        return encode_fields(data)
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=indent).encode(errors=HALF) + b"\n"


def encode_fields(data: JsonObject) -> bytes:
    """The bytes of a JSON file with one field a line, ending in a newline.

    A field is written on one line by the C encoder, which is many times as fast as the one that indents.
    """
    write = _compact().encode
    fields = ",\n".join(f"  {write(key)}: {write(value)}" for key, value in data.items())
    return f"{{\n{fields}\n}}\n".encode(errors=HALF)


@functools.cache
def _compact() -> json.JSONEncoder:
    return json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def decode(raw: bytes, path: StrPath) -> Json:
    """The data in a JSON file.

    NaN and Infinity without quotes are accepted, because other programs write them.

    Args:
        raw: the content of the file.
        path: where it came from, for the message.

    Raises:
        DamagedFileError: if it is not JSON.
    """
    try:
        data: Json = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise errors.DamagedFileError(path, f"it is not JSON ({error})") from error
    return data


def decode_part(raw: bytes, path: StrPath, whole: int) -> Json:
    """The data in a part of a large JSON file, in half the time.

    The data is the same as that of `decode`, which reads the part again if msgspec refuses it.

    Args:
        raw: the part, which is JSON by itself.
        path: where it came from, for the message.
        whole: the size of the file in bytes.

    Raises:
        DamagedFileError: if it is not JSON.
    """
    read = _quick_reader() if whole > _WORTH_AN_IMPORT else None
    if read is not None:
        with contextlib.suppress(ValueError, RecursionError):
            data: Json = read(raw)
            return data
    return decode(raw, path)


@functools.cache
def _quick_reader() -> Callable[[bytes], Json] | None:
    try:
        import msgspec
    except ImportError:
        # A new Python may have no msgspec yet; `decode` reads the same.
        return None
    return msgspec.json.decode


def decode_object(raw: bytes, path: StrPath) -> JsonObject:
    """The mapping in a JSON file.

    Raises:
        DamagedFileError: if it is not JSON, or JSON but no object.
    """
    data = decode(raw, path)
    if not isinstance(data, dict):
        raise errors.DamagedFileError(path, f"it holds a {type(data).__name__} where an object was expected")
    return data


def read_object(path: Path) -> JsonObject:
    """The mapping in a JSON file.

    Raises:
        FileNotFoundError: if there is no such file.
        DamagedFileError: if it is not a JSON object.
    """
    return decode_object(path.read_bytes(), path)
