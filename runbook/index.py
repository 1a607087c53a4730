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
_NONE: Final = b'"experiments": []}\n'
_OPEN: Final = b'"experiments": [\n'
_CLOSE: Final = b"\n]}\n"
_ENTRY_START: Final = re.compile(r'\{(\s*)"experiment_id"\s*:')
_SPACE: Final = 200
_OUR_ENTRY_START: Final = re.compile(r'(?<=\n)\{"experiment_id":')


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
        return head.encode(errors=codec.HALF) + _NONE
    return head.encode(errors=codec.HALF) + _OPEN + b",\n".join(lines) + _CLOSE


def others_of(raw: bytes, path: StrPath) -> JsonObject:
    """What a registry holds beside its experiments: nothing of ours, but not ours to lose."""
    document = codec.decode_object(raw, path)
    return {key: value for key, value in document.items() if key != "experiments"}


def line_of(entry: JsonObject) -> bytes:
    """The line of one experiment, its id first, without the newline."""
    return _bytes({"experiment_id": entry["experiment_id"], **entry})


def _text(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        # The seed's tool wrote NaN as it is, which is no JSON.
        return json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False)


def _bytes(value: object) -> bytes:
    return _text(value).encode(errors=codec.HALF)


def is_spliceable(raw: bytes) -> bool:
    """Whether the registry has our form, so that one line can be replaced."""
    first = raw[: raw.find(b"\n") + 1]
    # A list that is closed before the end is followed by another one, in which a new line would be lost.
    return _is_empty(raw) or (
        raw.endswith(_CLOSE) and first.endswith(_OPEN) and raw.find(b"\n]") == len(raw) - len(_CLOSE)
    )


def _is_empty(raw: bytes) -> bool:
    return raw.endswith(_NONE) and raw.count(b"\n") == 1


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
    if _is_empty(raw):
        return raw.removesuffix(_NONE) + _OPEN + line_of(entry) + _CLOSE
    found = _find_line(raw, str(entry["experiment_id"]))
    if found is None:
        return raw[: -len(_CLOSE)] + b",\n" + line_of(entry) + _CLOSE
    start, end = found
    return raw[:start] + line_of(entry) + raw[end:]


def remove(raw: bytes, experiment_id: str) -> bytes:
    """The registry without an experiment.

    Args:
        raw: a registry for which `is_spliceable` holds.
        experiment_id: which; it need not be there.
    """
    while (found := _find_line(raw, experiment_id)) is not None:
        start, end = found
        if raw[end : end + 1] == b",":
            raw = raw[:start] + raw[end + len(b",\n") :]
        elif raw[:start].endswith(b",\n"):
            raw = raw[: start - len(b",\n")] + raw[end:]
        else:
            raw = raw[: start - len(_OPEN)] + _NONE
    return raw


def _find_line(raw: bytes, experiment_id: str) -> tuple[int, int] | None:
    # A newline inside a JSON string is always escaped, so this can only be the beginning of a line. Of two lines of
    # one id the last counts, as it does for `decode`.
    beginning = b'\n{"experiment_id": ' + _bytes(experiment_id)
    start = max(raw.rfind(beginning + end) for end in (b",", b"}"))
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
    for start in _entry_starts(text):
        # Inside of an entry that has been read already is only its config.
        if start < at:
            continue
        try:
            entry, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry["experiment_id"], str) and "status" in entry and "timestamp" in entry:
            by_id.setdefault(entry["experiment_id"], entry)
    return list(by_id.values())


def _entry_starts(text: str) -> list[int]:
    """Where entries may begin.

    A config may hold an object that begins like one. Ours have lines of their own; elsewhere an entry stands in a
    list and not behind a key, and where lines are indented, no entry stands deeper than another.
    """
    ours = [match.start() for match in _OUR_ENTRY_START.finditer(text)]
    if ours:
        return ours
    found = [
        match
        for match in _ENTRY_START.finditer(text)
        if not text[max(0, match.start() - _SPACE) : match.start()].rstrip().endswith(":")
    ]
    # The depth of the first field: what stands before the brace may be lost.
    least = min((len(match[1]) for match in found), default=0)
    return [match.start() for match in found if len(match[1]) == least]
