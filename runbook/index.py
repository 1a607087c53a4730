"""What the registry file means: one JSON document with one experiment a line.

Everything here is a function of bytes; `runbook.registry` does the locking and the writing. Because each experiment
has a line of its own, an update replaces the bytes of one line and never decodes the others:

    {"experiments": [
    {"experiment_id": "20241216_143052_baseline_a1b2c3d4", "timestamp": …},
    {"experiment_id": "20241216_153045_multilayer_e5f6a7b8", "timestamp": …}
    ]}
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from runbook import codec, errors
from runbook.plain import to_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runbook.typing import JsonObject, StrPath

EMPTY: Final = b'{"experiments": []}\n'
_OPEN: Final = b'"experiments": [\n'
_CLOSE: Final = b"\n]}\n"
_ENTRY_START: Final = re.compile(r'\{\s*"experiment_id"\s*:')


def decode(raw: bytes, path: StrPath) -> list[JsonObject]:
    """The entries of a registry, whoever wrote it, each id once.

    Raises:
        DamagedFileError: if it is not a registry.
    """
    document = codec.decode_object(raw, path)
    entries = document.get("experiments")
    if not isinstance(entries, list):
        raise errors.DamagedFileError(path, 'it has no list under "experiments"')
    by_id: dict[str, JsonObject] = {}
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("experiment_id"), str):
            raise errors.DamagedFileError(path, f"experiments[{number}] is not an object with an experiment_id")
        by_id[str(entry["experiment_id"])] = entry
    return list(by_id.values())


def encode(entries: Iterable[JsonObject], others: Mapping[str, object] | None = None) -> bytes:
    """A registry with these entries.

    Args:
        entries: the experiments, oldest first.
        others: what else the document held beside its experiments.
    """
    lines = [line_of(entry) for entry in entries]
    head = "{" + "".join(f"{_text(key)}: {_text(value)}, " for key, value in (others or {}).items())
    if not lines:
        return head.encode() + EMPTY.removeprefix(b"{")
    return head.encode() + _OPEN + b",\n".join(lines) + _CLOSE


def others_of(raw: bytes, path: StrPath) -> JsonObject:
    """What a registry holds beside its experiments: nothing of ours, but not ours to lose."""
    document = codec.decode_object(raw, path)
    return {key: value for key, value in document.items() if key != "experiments"}


def line_of(entry: JsonObject) -> bytes:
    """The line of one experiment, its id first, without the newline."""
    return _text({"experiment_id": entry["experiment_id"], **entry}).encode()


def _text(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        # The seed's tool wrote NaN as it is, which is no JSON.
        return json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False)


def is_spliceable(raw: bytes) -> bool:
    """Whether the registry has our form, so that one line can be replaced."""
    return raw == EMPTY or (raw.endswith(_CLOSE) and raw[: raw.find(b"\n") + 1].endswith(_OPEN))


def find(raw: bytes, experiment_id: str) -> JsonObject | None:
    """The entry of one experiment, without decoding the others.

    Args:
        raw: a registry for which `is_spliceable` holds.
        experiment_id: which.

    Raises:
        DamagedFileError: if its line cannot be read.
    """
    found = _find_line(raw, experiment_id)
    return None if found is None else codec.decode_object(raw[slice(*found)], f"the line of {experiment_id}")


def splice(raw: bytes, entry: JsonObject) -> bytes:
    """The registry with one entry put in its place, or added at the end.

    Args:
        raw: a registry for which `is_spliceable` holds.
        entry: the experiment as it is now.
    """
    if raw == EMPTY:
        return encode([entry])
    found = _find_line(raw, str(entry["experiment_id"]))
    if found is None:
        return raw[: -len(_CLOSE)] + b",\n" + line_of(entry) + _CLOSE
    start, end = found
    return raw[:start] + line_of(entry) + raw[end:]


def _find_line(raw: bytes, experiment_id: str) -> tuple[int, int] | None:
    # A newline inside a JSON string is always escaped, so this can only be the beginning of a line.
    start = raw.find(b'\n{"experiment_id": ' + _text(experiment_id).encode() + b",")
    if start < 0:
        return None
    end = raw.index(b"\n", start + 1)
    return start + 1, end - 1 if raw[end - 1 : end] == b"," else end


def salvage(raw: bytes) -> list[JsonObject]:
    """The entries that can still be read from a damaged registry, ours or the seed's."""
    text = raw.decode(errors="replace")
    decoder = json.JSONDecoder()
    by_id: dict[str, JsonObject] = {}
    at = 0
    while match := _ENTRY_START.search(text, at):
        try:
            entry, at = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            at = match.end()
            continue
        # A config may hold an object that begins like an entry.
        if isinstance(entry["experiment_id"], str) and "status" in entry and "timestamp" in entry:
            by_id[entry["experiment_id"]] = entry
    return list(by_id.values())
