"""The format of the registry: one JSON document with one entry a line.

Everything here is a function of bytes; `runbook.index.registry` locks and writes. Because each entry has a line of
its own, an update replaces the bytes of a few lines and never decodes the others:

    {"experiments": [
    {"experiment_id": "20241216_143052_baseline_a1b2c3d4", "timestamp": …, "config": {…}},
    {"experiment_id": "20241216_153045_multilayer_e5f6a7b8", "timestamp": …, "config": {…}}
    ]}

For the same reason a reader can decode one block of lines after the other, and keep the entries that it looks for.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import TYPE_CHECKING, Final, cast

from runbook import errors
from runbook.serialize import json_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from typing import BinaryIO

    from runbook.typing import Json, JsonObject, StrPath

EMPTY: Final = b'{"experiments": []}\n'
_NONE: Final = b'"experiments": []}\n'
_OPEN: Final = b'"experiments": [\n'
_CLOSE: Final = b"\n]}\n"
_BETWEEN: Final = b",\n"
_START: Final = b'{"experiment_id": '
_FEW: Final = 2
"""Up to how many lines are searched for one by one; for more, one pass over all lines takes less time."""
_ID: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
_ENTRY_START: Final = re.compile(r'\{(\s*)"experiment_id"\s*:')
_SPACE: Final = 200
_STRINGS: Final = frozenset({str})
_BLOCK: Final = 2**17
"""In bytes: with all that is made of them, they stay in the processor's own cache until they are passed over or kept;
eight times as much takes up to a quarter longer."""
_OUR_ENTRY_START: Final = re.compile(r'(?<=\n)\{"experiment_id":')


def decode(raw: bytes, path: StrPath) -> dict[str, JsonObject]:
    """The entries of a registry by their ids, whoever wrote it; of two with one id the last counts.

    Raises:
        DamagedFileError: if it is not a registry.
    """
    document = json_text.decode_object(raw, path)
    entries = document.get("experiments")
    if not isinstance(entries, list):
        raise errors.DamagedFileError(path, 'it has no list under "experiments"')
    return _by_id(entries, 0, path)


def blocks(file: BinaryIO, path: StrPath) -> Iterator[dict[str, JsonObject]]:
    """The entries of a registry with one entry a line by their ids, some at a time.

    Args:
        file: the registry, which can be sought in.
        path: where it is, for the message.

    Raises:
        DamagedFileError: if it has another form, has an id twice or cannot be read; what came before is no answer then.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - len(_CLOSE)))
    tail = file.read()
    file.seek(0)
    head = file.readline()
    is_empty = len(head) == size and _is_empty(head)
    if not is_empty and (not head.endswith(_OPEN) or tail != _CLOSE):
        raise errors.DamagedFileError(path, "it does not have one experiment a line")
    json_text.decode_object(head if is_empty else head + _CLOSE, path)
    if is_empty:
        return
    # The newline that ends the last line belongs to what closes the list.
    left = size - len(head) - len(_CLOSE) + 1
    ids: set[str] = set()
    while left > 0:
        block = file.read(min(left, _BLOCK))
        if len(block) < left:
            block += file.readline()
        left -= len(block)
        text = block.removesuffix(_BETWEEN if left else b"\n")
        entries = cast("list[Json]", json_text.decode_part(b"[" + text + b"]", path, size))
        # A list that is closed early, and one line with two experiments, are JSON, too, and mean something else.
        if len(text) == len(block) or len(entries) != block.count(b"\n"):
            raise errors.DamagedFileError(path, "it does not have one experiment a line")
        found = _by_id(entries, len(ids), path)
        if len(found) != len(entries) or not ids.isdisjoint(found):
            raise errors.DamagedFileError(path, "an experiment_id stands in it twice")
        ids.update(found)
        yield found


def _by_id(entries: list[Json], number: int, path: StrPath) -> dict[str, JsonObject]:
    """The same by their ids.

    Args:
        entries: whatever stands in the list.
        number: how many came before these.
        path: where they are from, for the message.

    Raises:
        DamagedFileError: if one is no object with an id.
    """
    with contextlib.suppress(TypeError, KeyError):
        by_id = {entry["experiment_id"]: entry for entry in cast("list[JsonObject]", entries)}
        if _STRINGS.issuperset(map(type, by_id)):
            return cast("dict[str, JsonObject]", by_id)
    has_one = [isinstance(entry, dict) and isinstance(entry.get("experiment_id"), str) for entry in entries]
    place = number + has_one.index(False)
    raise errors.DamagedFileError(path, f"experiments[{place}] is not an object with an experiment_id")


def encode(entries: Iterable[JsonObject], others: Mapping[str, object] | None = None) -> bytes:
    """A registry with these entries.

    Args:
        entries: the experiments, oldest first.
        others: what else the document held beside its experiments.
    """
    lines = [encode_entry(entry) for entry in entries]
    head = "{" + "".join(f"{_text(key)}: {_text(value)}, " for key, value in (others or {}).items())
    if not lines:
        return head.encode(errors=json_text.HALF) + _NONE
    return head.encode(errors=json_text.HALF) + _OPEN + b",\n".join(lines) + _CLOSE


def read_other_fields(raw: bytes, path: StrPath) -> JsonObject:
    """The fields that a registry has beside its entries: other programs wrote them, and they are kept."""
    document = json_text.decode_object(raw, path)
    return {key: value for key, value in document.items() if key != "experiments"}


def encode_entry(entry: JsonObject) -> bytes:
    """The line of one entry, its id first, without the newline."""
    return _text({"experiment_id": entry["experiment_id"], **entry}).encode(errors=json_text.HALF)


def _text(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        # The legacy tool wrote NaN as it is, which is no JSON.
        from runbook.serialize.jsonable import to_jsonable

        return json.dumps(to_jsonable(value), ensure_ascii=False, allow_nan=False)


def has_entry_lines(raw: bytes) -> bool:
    """Whether the registry has one entry a line, so that an entry can be replaced by itself."""
    # A list that is closed before the end is followed by another one, in which a new line would be lost.
    if _is_empty(raw):
        return True
    is_framed = raw.endswith(_CLOSE) and raw.endswith(_OPEN, 0, raw.find(b"\n") + 1)
    return is_framed and raw.find(b"\n]") == len(raw) - len(_CLOSE)


def _is_empty(raw: bytes) -> bool:
    return raw.endswith(_NONE) and raw.count(b"\n") == 1


class EntryEditor:
    """Edits the entries of some experiments without decoding the others.

    Args:
        raw: a registry for which `has_entry_lines` holds.
        ids: which experiments; they need not be there.
    """

    def __init__(self, raw: bytes, ids: Collection[str]) -> None:
        self._raw = raw.removesuffix(_NONE) + _OPEN + _CLOSE if _is_empty(raw) else raw
        self._spans = _spans(raw, ids)

    def entries(self) -> dict[str, JsonObject]:
        """The present entries, decoded.

        Raises:
            DamagedFileError: if one of them cannot be read.
        """
        return {
            experiment_id: json_text.decode_object(self._raw[slice(*spans[-1])], f"the line of {experiment_id}")
            for experiment_id, spans in self._spans.items()
        }

    def replaced(self, entries: Mapping[str, JsonObject | None]) -> bytes:
        """The registry with some entries replaced, added at the end, or taken out.

        Args:
            entries: the new entries by their ids; None takes one out.
        """
        raw, spans = self._raw, self._spans
        lines = {
            experiment_id: None if entry is None else encode_entry(entry) for experiment_id, entry in entries.items()
        }
        # Of two lines with one id the last counts, as for `decode`; an entry that goes loses all of its lines.
        edits = sorted(
            (start, end, experiment_id)
            for experiment_id in lines.keys() & spans.keys()
            for start, end in (spans[experiment_id] if lines[experiment_id] is None else spans[experiment_id][-1:])
        )
        view = memoryview(raw)
        at, last = raw.find(b"\n") + 1, len(raw) - len(_CLOSE)
        first = at
        blocks: list[bytes | memoryview | None] = []
        for start, end, experiment_id in edits:
            if start > at:
                blocks.append(view[at : start - len(_BETWEEN)])
            blocks.append(lines[experiment_id])
            at = end + len(_BETWEEN)
        if at < last:
            blocks.append(view[at:last])
        blocks += [line for experiment_id, line in lines.items() if experiment_id not in spans]
        kept = [block for block in blocks if block is not None]
        if not kept:
            return raw[: first - len(_OPEN)] + _NONE
        return b"".join([view[:first], _BETWEEN.join(kept), _CLOSE])


def _spans(raw: bytes, ids: Collection[str]) -> dict[str, list[tuple[int, int]]]:
    """Where the lines of some entries begin and end, without the comma."""
    wanted = {_text(experiment_id).encode(errors=json_text.HALF): experiment_id for experiment_id in ids}
    found: dict[str, list[tuple[int, int]]] = {}
    if len(wanted) <= _FEW:
        # A search for the whole beginning of a line is many times as fast as a look at each line.
        for text, experiment_id in wanted.items():
            start = raw.find(b"\n" + _START + text)
            while start >= 0:
                end = raw.find(b"\n", start + 1)
                is_last = end == len(raw) - len(_CLOSE)
                found.setdefault(experiment_id, []).append((start + 1, end if is_last else end - 1))
                start = raw.find(b"\n" + _START + text, end)
        return found
    # Up to the next quote there is the whole id, or one with a quote in it, which is none without a backslash.
    is_plain = not any(b"\\" in text for text in wanted)
    at = len(_START)
    for start, end in _lines(raw):
        if is_plain:
            text = raw[start + at : raw.find(b'"', start + at + 1) + 1]
        else:
            match = _ID.match(raw, start + at)
            text = b"" if match is None else match[0]
        if text in wanted and raw.startswith(_START, start):
            found.setdefault(wanted[text], []).append((start, end))
    return found


def _lines(raw: bytes) -> Iterator[tuple[int, int]]:
    """Where the lines of the entries begin and end, without the comma.

    A newline inside a JSON string is always escaped, so each one ends a line.
    """
    if _is_empty(raw):
        return
    start = raw.find(b"\n") + 1
    last = len(raw) - len(_CLOSE)
    while start < last:
        end = raw.find(b"\n", start)
        yield start, end - 1 if end < last else end
        start = end + 1


def recover(raw: bytes) -> dict[str, JsonObject]:
    """The entries that can still be read from a damaged registry, ours or the legacy tool's, by their ids."""
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
    return by_id


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
