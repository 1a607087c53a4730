"""The lines of the registry as experiments, of which only what is asked for is decoded.

A question about a hundred thousand experiments looks at two or three fields of each, and shows a few of them. To decode
all of it takes a second and four times the memory of the file. So a line of ours stays text: one regular expression
tells where its fields are, and `Line` decodes the ones that somebody wants. Whatever is not certain to have our form is
decoded at once, by itself or with the whole file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from runbook import codec, collecting, errors, index
from runbook.statuses import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from runbook.typing import Json, JsonObject, StrPath

Entry: TypeAlias = Mapping[str, Any]
"""A line of the registry: a plain dict, or a `Line`."""

_BLOCK: Final = 1000
"""How many lines are decoded at once: enough to be quick, and few enough for their copies to cost no memory."""


# Without backslashes in texts, and braces in metrics, each field is certain to end where the next one begins.
_TEXT: Final = rb'[^"\\\x00-\x1f]*'
_GIVEN: Final = rb'"(' + _TEXT + rb')"'
_OPTIONAL: Final = rb'(?:null|"' + _TEXT + rb'")'
_GRAMMAR: Final = {
    "experiment_id": _GIVEN,
    "timestamp": _GIVEN,
    "status": _GIVEN,
    "custom_name": _OPTIONAL,
    "description": _OPTIONAL,
    "directory": _OPTIONAL,
    "completed_at": _OPTIONAL,
    "notes": _OPTIONAL,
    "metrics": rb"\{[^{}\\\x00-\x1f]*\}",
    "tags": rb"\[[^]\\\x00-\x1f]*\]",
    "end_reason": _OPTIONAL,
    "parent": _OPTIONAL,
    "host": _OPTIONAL,
    "config": rb"(?=\{)",
}
_match: Final = re.compile(
    rb"\{" + b", ".join(b'"%s": %s' % (key.encode(), text) for key, text in _GRAMMAR.items())
).match
_READY: Final = frozenset({"experiment_id", "timestamp", "status"})
_STATUSES: Final = {status.value.encode(): status.value for status in Status}
_CONFIG: Final = b', "config": '
_METRICS: Final = b', "metrics": '
_END: Final = b",\n"
# Single bytes are compared as numbers, because this is done for each of a hundred thousand lines.
_COLON, _BACKSLASH = b":\\"


class Line(Mapping[str, Any]):
    """One experiment as its line has it, but for its folder, which is where it is now.

    Args:
        head: what `_match` found at the beginning of the line.
        root: what comes before an id in the path of a folder.
    """

    __slots__ = ("_root", "config_at", "experiment_id", "status", "text", "timestamp")

    def __init__(self, head: re.Match[bytes], root: str) -> None:
        experiment_id, timestamp, status = head.group(1, 2, 3)
        self.text: bytes = head.string
        self.config_at = head.end()
        self.experiment_id = experiment_id.decode()
        self.timestamp = timestamp.decode()
        # There are few different ones, and a hundred thousand lines.
        self.status = _STATUSES.get(status) or status.decode()
        self._root = root

    def __getitem__(self, key: str) -> Any:
        """The value of a field.

        Raises:
            KeyError: if there is no such field.
            DamagedFileError: if it cannot be read.
        """
        if key in _READY:
            return getattr(self, key)
        if key == "directory":
            return self.directory
        if key == "config":
            # The brace that closes the line goes, and what separates it from the next one.
            return codec.decode(self.text[self.config_at :].rstrip(_END)[:-1], self._name)
        return codec.decode_object(self.text[: self.config_at - len(_CONFIG)] + b"}", self._name)[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a field, or something else where there is no such field."""
        return self[key] if key in _GRAMMAR else default

    def __contains__(self, key: object) -> bool:
        return key in _GRAMMAR

    def __iter__(self) -> Iterator[str]:
        return iter(_GRAMMAR)

    def __len__(self) -> int:
        return len(_GRAMMAR)

    @property
    def directory(self) -> str:
        """Its folder, where it is now."""
        return self._root + self.experiment_id

    @property
    def _name(self) -> str:
        return f"the line of {self.experiment_id}"

    def stored(self) -> JsonObject:
        """Everything as it stands in the line.

        Raises:
            DamagedFileError: if it cannot be read.
        """
        return codec.decode_object(self.text.rstrip(_END), self._name)

    def value(self, section: str, key: bytes) -> tuple[Json, ...] | None:
        """What the config or the metrics have under a key, as far as that can be told without decoding all of them.

        Args:
            section: `config` or `metrics`.
            key: as it stands in JSON, with its quotes.

        Returns:
            The value, by itself in a tuple, or nothing in it if there is none; None where that cannot be told.
        """
        text, start, end = self.text, self.config_at, -1
        if section == "metrics":
            start = text.index(_METRICS) + len(_METRICS)
            end = text.index(b"}", start) + 1
        at = text.find(key, start, end)
        if at < 0:
            # With a backslash in it, a key may be written in another way.
            return () if text.find(b"\\", start, end) < 0 else None
        value = at + len(key)
        # Not within an inner object, nor behind the whole, of which the braces would be seen; not within a text, where
        # backslashes stand before quotes; and not a second time.
        is_plain = (
            text[value] == _COLON
            and text[at - 1] != _BACKSLASH
            and text.find(b"{", start + 1, at) < 0
            and text.find(b"}", start, at) < 0
            and text.find(key, value, end) < 0
        )
        if not is_plain:
            return None
        try:
            rest = text[value + 1 : end].decode()
            decoded, after = _decode_first(rest, rest[0] == " ")
        except (ValueError, IndexError, RecursionError):
            return None
        # Of a damaged number, the part before the damage would pass for one.
        return (decoded,) if rest[after : after + 1] in {",", "}"} else None


_decode_first: Final = json.JSONDecoder().raw_decode


def getter(section: str, name: str, missing: object) -> Callable[[Entry], object]:
    """A function that takes one value out of the config or the metrics of an entry.

    A filter looks at one setting of each of a hundred thousand experiments, and then shows a few of them.

    Args:
        section: `config` or `metrics`.
        name: the key.
        missing: what it gives where there is no such key.

    Returns:
        The function; it raises DamagedFileError for what cannot be read.
    """
    key = index.encoded(name)

    def get(entry: Entry) -> object:
        found = entry.value(section, key) if type(entry) is Line else None
        if found is not None:
            return found[0] if found else missing
        holder = entry.get(section)
        return holder.get(name, missing) if isinstance(holder, Mapping) else missing

    return get


def finder(section: str, names: Iterable[str]) -> Callable[[Entry], object]:
    """A function that gives the config or the metrics of an entry, of which only some keys need be there.

    Args:
        section: `config` or `metrics`.
        names: the keys.

    Returns:
        The function; it raises DamagedFileError for what cannot be read.
    """
    keys = [(name, index.encoded(name)) for name in names]

    def find(entry: Entry) -> object:
        found: JsonObject = {}
        for name, key in keys:
            value = entry.value(section, key) if type(entry) is Line else None
            if value is None:
                return entry.get(section)
            if value:
                found[name] = value[0]
        return found

    return find


def read(raw_lines: Sequence[bytes], path: StrPath, root: str) -> Mapping[str, Entry]:
    """The entries of a registry by their ids, whoever wrote it.

    Of two lines of one id the last counts.

    Args:
        raw_lines: the lines of the file, each with its end.
        path: where it came from, for the message.
        root: what comes before an id in the path of a folder.

    Raises:
        DamagedFileError: if it is not a registry, as far as it was decoded.
    """
    by_id = _by_id(raw_lines, root) if index.is_framed(raw_lines) else None
    return index.by_id(index.decode(b"".join(raw_lines), path)) if by_id is None else by_id


def _by_id(raw_lines: Sequence[bytes], root: str) -> dict[str, Entry] | None:
    """The entries; None if a line is none by itself, and all have to be decoded together.

    A line that closes the list early is such a one.
    """
    match = _match
    by_id: dict[str, Entry] = {}
    last = len(raw_lines) - 2
    for number in range(1, len(raw_lines) - 1):
        text = raw_lines[number]
        if not text.endswith(b"},\n" if number < last else b"}\n"):
            return None
        head = match(text)
        if head is not None and text.isascii():
            line = Line(head, root)
            by_id[line.experiment_id] = line
            continue
        try:
            text.decode()
            entry = Line(head, root) if head is not None else codec.decode_object(text.rstrip(_END), "a line")
        except (UnicodeDecodeError, errors.DamagedFileError):
            return None
        experiment_id = entry.get("experiment_id")
        if not isinstance(experiment_id, str):
            return None
        by_id[experiment_id] = entry
    return by_id


def stored(entry: Entry) -> JsonObject:
    """Everything of an entry as it stands in the registry.

    Raises:
        DamagedFileError: if it cannot be read, naming it.
    """
    return entry.stored() if isinstance(entry, Line) else dict(entry)


def whole(entries: Iterable[Entry]) -> list[JsonObject]:
    """Entries with every field decoded.

    Raises:
        DamagedFileError: if one cannot be read, naming it.
    """
    found: list[Any] = list(entries)
    with collecting.paused():
        for at in range(0, len(found), _BLOCK):
            block = found[at : at + _BLOCK]
            decoded = iter(_decoded([entry for entry in block if type(entry) is Line]))
            found[at : at + _BLOCK] = [next(decoded) if type(entry) is Line else entry for entry in block]
    return found


def _decoded(lines: Sequence[Line]) -> list[JsonObject]:
    decoded: list[JsonObject]
    try:
        decoded = json.loads(b"[" + b",".join([line.text.rstrip(_END) for line in lines]) + b"]")
    except (ValueError, RecursionError):
        decoded = []
    if len(decoded) != len(lines):
        # The one that is to blame says so.
        decoded = [line.stored() for line in lines]
    for line, entry in zip(lines, decoded, strict=True):
        entry["directory"] = line.directory
    return decoded
