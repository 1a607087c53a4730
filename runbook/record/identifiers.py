"""The grammar of experiment ids: `YYYYMMDD_HHMMSS[_name]_hash8`.

The time is in UTC, so that ids sort by age across machines and when daylight saving begins or ends.
The name in an id is a slug; the user's exact name is kept in the record.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import unicodedata
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from runbook import errors
from runbook.hints import find_nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from runbook.typing import StrPath

SLUG_BYTES: Final = 64
LATEST: Final = "latest"
_ID: Final = re.compile(r"[0-9]{8}_[0-9]{6}(?:_[A-Za-z0-9._-]+)?_[0-9a-f]{8}")
_LEGACY_ID: Final = re.compile(r"[0-9]{8}_[0-9]{6}_.*[0-9a-f]{8}", re.DOTALL)
_NOT_IN_A_SLUG: Final = re.compile(r"[^A-Za-z0-9._-]+")
_WINDOWS_DEVICE: Final = re.compile(
    r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *(?:\..*)?", re.IGNORECASE | re.DOTALL
)
_POSITION: Final = re.compile(r"@([0-9]{1,9})")
_MOST_COMPARED: Final = 1000
_NOT_IN_A_FOLDER_NAME: Final = "/\\\0\n" + (":" if sys.platform == "win32" else "")


def slug(text: str) -> str:
    """`text` reduced to what is safe in a file name on every system, at most 64 bytes; it may be empty.

    Example:
        >>> slug("../évil name")
        'evil-name'
    """
    decomposed = unicodedata.normalize("NFKD", text)
    without_accents = "".join(char for char in decomposed if not unicodedata.combining(char))
    dashed = _NOT_IN_A_SLUG.sub("-", without_accents)
    return dashed.lstrip(".-")[:SLUG_BYTES].rstrip(".-")


def make_id(moment: datetime, name: str | None, config_hash: str, nth: int = 1) -> str:
    """The id of an experiment.

    Args:
        moment: when it starts, in UTC.
        name: the user's name for it.
        config_hash: eight hex digits.
        nth: 2 or more if the ids before it are taken; it becomes part of the name.
    """
    words = [slug(name)] if name and slug(name) else []
    if nth > 1:
        words.append(str(nth))
    return "_".join([f"{moment:%Y%m%d_%H%M%S}", *(["-".join(words)] if words else []), config_hash])


def is_id(text: str) -> bool:
    """Whether `text` is an id that this module could have made."""
    return _ID.fullmatch(text) is not None


def is_legacy_id(text: str) -> bool:
    """Whether the legacy tool may have made `text`: it put names into ids as they were."""
    return _LEGACY_ID.fullmatch(text) is not None and is_folder_name(text)


def time_of(experiment_id: str) -> datetime | None:
    """The time in an id; None if the id has none."""
    from datetime import UTC, datetime

    try:
        return datetime.strptime(experiment_id[:15], "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def is_folder_name(text: str) -> bool:
    """Whether `text` can be the name of a folder directly inside a base directory.

    Wider than `is_id`: the legacy tool put names into ids as they were.
    """
    if not text or text in {".", ".."} or any(char in text for char in _NOT_IN_A_FOLDER_NAME):
        return False
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def is_windows_device(name: str) -> bool:
    """Whether Windows takes a file name as the name of a device: `nul`, and `nul.txt` as well."""
    return _WINDOWS_DEVICE.fullmatch(name) is not None


def check_file_name(what: str, name: str) -> str:
    """The same name, if it is a valid file name on every system.

    Args:
        what: what the name is for, for the message.
        name: as the user gave it.

    Raises:
        InvalidNameError: if it is not; the message suggests another name.
        TypeError: if it is no string.
    """
    problem = None
    if not isinstance(name, str):
        raise TypeError(f"a {what} is a string, not {name!r}")
    if is_windows_device(name):
        problem = "is the name of a device on Windows"
    elif not name or slug(name) != name:
        problem = (
            f"has something other than letters, digits, dots, dashes and underscores, starts or ends with a dot "
            f"or a dash, or is longer than {SLUG_BYTES} bytes"
        )
    if problem is None:
        return name
    safe = slug(name)
    if not safe or is_windows_device(safe):
        safe = f"my_{safe or what.replace(' ', '_')}"[:SLUG_BYTES].rstrip(".-")
    raise errors.InvalidNameError(what, name, problem, safe)


def resolve_id(wanted: StrPath, entries: Sequence[Mapping[str, Any]], base_dir: StrPath) -> str:
    """The id of the experiment that `wanted` means; for arguments and errors see `Resolver.id_of`."""
    return Resolver(entries, base_dir).id_of(wanted)


class Resolver:
    """Looks up the ids of several experiments in the same entries.

    Args:
        entries: entries of the registry, oldest first.
        base_dir: the base directory that they are from.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]], base_dir: StrPath) -> None:
        self._entries = entries
        self._base_dir = base_dir

    def id_of(self, wanted: StrPath) -> str:
        """The id of the experiment that `wanted` means.

        Args:
            wanted: an id; `latest`, or `@1`, for the newest experiment, `@2` for the one before it, and so on; a name,
                which means the latest experiment of that name; the beginning of exactly one id; the path of an
                experiment's folder. They are tried in this order, so that no name can change what `latest` means.

        Raises:
            ExperimentNotFoundError: if there is none; the message names the nearest ids and names.
            AmbiguousExperimentError: if it is the beginning of several ids.
            TypeError: if it is neither a string nor a path.
        """
        if isinstance(wanted, os.PathLike):
            wanted = PurePath(os.fspath(wanted)).name
        if not isinstance(wanted, str):
            raise TypeError(f"an experiment goes by its id or name, a string, not by {wanted!r}")
        ids = self._ids
        if wanted in ids:
            return wanted
        position = _parse_position(wanted)
        if position is not None and 1 <= position <= len(ids):
            return list(ids)[-position]
        if wanted and wanted in self._latest:
            return self._latest[wanted]
        begun = [experiment_id for experiment_id in ids if wanted and experiment_id.startswith(wanted)]
        if len(begun) == 1:
            return begun[0]
        if begun:
            raise errors.AmbiguousExperimentError(wanted, begun)
        name = _parse_folder(wanted, self._base_dir)
        if name in ids:
            return name
        raise errors.ExperimentNotFoundError(wanted, self._base_dir, _find_nearest(wanted, [*ids, *self._latest]))

    @functools.cached_property
    def _ids(self) -> dict[str, None]:
        return dict.fromkeys(str(entry["experiment_id"]) for entry in self._entries)

    @functools.cached_property
    def _latest(self) -> dict[str, str]:
        """The id of the latest experiment of each name."""
        found: dict[str, tuple[str, str]] = {}
        for entry in self._entries:
            name, started = entry.get("custom_name"), str(entry.get("timestamp"))
            if isinstance(name, str) and (name not in found or started > found[name][0]):
                found[name] = started, str(entry["experiment_id"])
        return {name: experiment_id for name, (_, experiment_id) in found.items()}


def _parse_position(wanted: str) -> int | None:
    """The position that `wanted` means, counted from 1 for the newest; None if it means none."""
    if wanted == LATEST:
        return 1
    found = _POSITION.fullmatch(wanted)
    return None if found is None else int(found[1])


def _parse_folder(wanted: str, base_dir: StrPath) -> str:
    """The name of the folder whose path `wanted` is; empty if it is no folder in the base directory."""
    if not any(separator in wanted for separator in (os.sep, os.altsep) if separator):
        return ""
    try:
        path = Path(wanted).expanduser()
        is_here = path.is_dir() and path.absolute().parent.samefile(Path(base_dir).expanduser())
    except (OSError, RuntimeError, ValueError):
        # Not a path that can be read: too long, forbidden, or with a NUL in it.
        return ""
    return path.absolute().name if is_here else ""


def _find_nearest(wanted: str, candidates: Iterable[str]) -> list[str]:
    # Only the latest of many thousands, because comparing with all of them would take seconds.
    unique = list(dict.fromkeys(reversed(list(candidates))))[:_MOST_COMPARED]
    return find_nearest(wanted, unique)
