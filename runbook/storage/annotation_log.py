"""What is said of an experiment from outside, while it runs or afterwards: lines of `logs/annotations.jsonl`.

The record has one writer, the experiment itself, and so these are not in it: anybody may append a line, such as
`{"time": "2026-01-31T12:00:00.000000+00:00", "by": "ada@gpu-3", "note": "the loss explodes"}`, or one with a "tag" or
an "untag". Nothing that writes a record reads them; whoever shows an experiment shows both together.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Final

import attrs

from runbook import errors
from runbook.messages import warn_once
from runbook.record.model import join_notes
from runbook.serialize import json_text
from runbook.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbook.record.layout import ExperimentLayout
    from runbook.record.model import ExperimentRecord
    from runbook.typing import JsonObject

_TRIES: Final = 3


def with_annotations(record: ExperimentRecord, layout: ExperimentLayout) -> ExperimentRecord:
    """The record as it is to be shown: with what is said from outside, which has the last word. Never to be written.

    Args:
        record: what the experiment says of itself.
        layout: its folder.

    Raises:
        OSError: if what is said from outside cannot be read.
    """
    notes, tags = apply(said(layout), record.notes, record.tags)
    return record if (notes, tags) == (record.notes, record.tags) else attrs.evolve(record, notes=notes, tags=tags)


def apply(lines: Iterable[JsonObject], notes: str | None, tags: Iterable[str]) -> tuple[str | None, tuple[str, ...]]:
    """Notes and tags with what some lines say of them."""
    kept = dict.fromkeys(tags)
    for line in lines:
        note, tag, untag = (value if isinstance(value := line.get(key), str) else None for key in _KEYS)
        notes = join_notes(notes, note)
        if tag is not None:
            kept[tag] = None
        if untag is not None:
            kept.pop(untag, None)
    return notes, tuple(kept)


_KEYS: Final = ("note", "tag", "untag")


def said(layout: ExperimentLayout) -> list[JsonObject]:
    """What is said of an experiment from outside, oldest first.

    By its time and not by its place in the file, so that two base directories that were merged either way agree.

    Raises:
        OSError: if it cannot be read.
    """
    found = []
    for raw in _whole_lines(layout):
        try:
            found.append(json_text.decode_object(raw, layout.annotations))
        except errors.DamagedFileError:
            # What a process or a machine that died in the middle left, and the next one has closed.
            warn_once(f"annotations {layout.root}", f"{layout.annotations} has a line that cannot be understood")
    return sorted(found, key=lambda line: str(line.get("time")))


def warn_unreadable(layout: ExperimentLayout, error: OSError) -> None:
    """Say once that what is said of an experiment from outside cannot be read."""
    warn_once(f"annotations {layout.root}", f"the notes and tags from outside cannot be read ({error})")


def _whole_lines(layout: ExperimentLayout) -> dict[bytes, None]:
    """Its lines, each once, without a torn last one: two merges at a time may take over the same one."""
    try:
        raw = layout.annotations.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return dict.fromkeys(line for line in raw.split(b"\n")[:-1] if line.strip(b"\0"))


def append(layout: ExperimentLayout, lines: Iterable[JsonObject]) -> None:
    """Say something of an experiment; it is on disk when this returns.

    Raises:
        FileNotFoundError: if the folder of the experiment is gone.
        OSError: if it cannot be written.
    """
    _append(layout, [json_text.encode(line, indent=None).rstrip(b"\n") for line in lines])


def merge(source: ExperimentLayout, target: ExperimentLayout) -> bool:
    """Say of an experiment what is said of another copy of it.

    Returns:
        Whether that was anything new.

    Raises:
        OSError: if it cannot be read or written.
    """
    known = _whole_lines(target)
    missing = [line for line in _whole_lines(source) if line not in known]
    if missing:
        _append(target, missing)
    return bool(missing)


def _append(layout: ExperimentLayout, lines: list[bytes]) -> None:
    problem = OSError(errno.EIO, "what was appended is not there", str(layout.annotations))
    for _ in range(_TRIES):
        _append_once(layout, lines)
        # Read again: the folder may have moved into the trash in between, or another process, on a disk that was full,
        # may have written into the midst of a line.
        try:
            if _whole_lines(layout).keys() >= set(lines):
                return
        except OSError as error:
            # A line that comes again counts once.
            problem = error
    raise problem


def _append_once(layout: ExperimentLayout, lines: list[bytes]) -> None:
    # Not with its parents: the folder of an experiment that is gone must not come back empty.
    if not layout.logs.is_dir():
        with contextlib.suppress(FileExistsError):
            files.make_directory(layout.logs)
    is_new = not layout.annotations.exists()
    log = files.LineLog(layout.annotations)
    try:
        # A line that was cut off gets an end, so that this one is not glued to it.
        end = b"\n" if _is_torn(layout) else b""
        log.append(end + b"".join(line + b"\n" for line in lines))
        log.sync()
    finally:
        log.close()
    if is_new:
        files.fsync_directory(layout.logs)


def _is_torn(layout: ExperimentLayout) -> bool:
    with contextlib.suppress(FileNotFoundError), layout.annotations.open("rb") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    return False
