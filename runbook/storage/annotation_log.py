"""Annotations: the notes and tags that others add to an experiment, as lines of `logs/annotations.jsonl`.

Only the experiment itself writes its record, so the annotations are not in it. Any process may append a line, such as
`{"time": "2026-01-31T12:00:00.000000+00:00", "by": "ada@gpu-3", "note": "the loss explodes"}`, or one with a "tag" or
an "untag", while the experiment runs or afterwards. Code that writes a record never reads them; code that shows an
experiment shows both together.
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
    """The record with the annotations applied, as readers show it; it must never be written to the disk.

    Args:
        record: the record on disk.
        layout: the experiment's folder.

    Raises:
        OSError: if the annotations cannot be read.
    """
    notes, tags = apply(read(layout), record.notes, record.tags)
    return record if (notes, tags) == (record.notes, record.tags) else attrs.evolve(record, notes=notes, tags=tags)


def apply(
    annotations: Iterable[JsonObject], notes: str | None, tags: Iterable[str]
) -> tuple[str | None, tuple[str, ...]]:
    """The notes and tags after some annotations, oldest first, are applied to them."""
    kept = dict.fromkeys(tags)
    for annotation in annotations:
        note, tag, untag = (value if isinstance(value := annotation.get(key), str) else None for key in _KEYS)
        notes = join_notes(notes, note)
        if tag is not None:
            kept[tag] = None
        if untag is not None:
            kept.pop(untag, None)
    return notes, tuple(kept)


_KEYS: Final = ("note", "tag", "untag")


def read(layout: ExperimentLayout) -> list[JsonObject]:
    """The annotations of an experiment, oldest first.

    They are sorted by their time and not by their order in the file, so that two base directories show the same after
    a merge in either direction.

    Raises:
        OSError: if they cannot be read.
    """
    found = []
    for raw in _whole_lines(layout):
        try:
            found.append(json_text.decode_object(raw, layout.annotations))
        except errors.DamagedFileError:
            # A process or a machine died while it wrote this line, and the next writer ended the line.
            warn_once(f"annotations {layout.root}", f"{layout.annotations} has a line that cannot be understood")
    return sorted(found, key=lambda annotation: str(annotation.get("time")))


def warn_unreadable(layout: ExperimentLayout, error: OSError) -> None:
    """Warn once that the annotations of an experiment cannot be read."""
    warn_once(f"annotations {layout.root}", f"the notes and tags from outside cannot be read ({error})")


def _whole_lines(layout: ExperimentLayout) -> dict[bytes, None]:
    """The whole lines of the file, each once: two merges at the same time may append the same line.

    A torn last line is left out.
    """
    try:
        raw = layout.annotations.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return dict.fromkeys(line for line in raw.split(b"\n")[:-1] if line.strip(b"\0"))


def append(layout: ExperimentLayout, annotations: Iterable[JsonObject]) -> None:
    """Add annotations to an experiment; they are on disk when this returns.

    Raises:
        FileNotFoundError: if the folder of the experiment is gone.
        OSError: if they cannot be written.
    """
    _append(layout, [json_text.encode(annotation, indent=None).rstrip(b"\n") for annotation in annotations])


def merge(source: ExperimentLayout, target: ExperimentLayout) -> bool:
    """Append the annotations of one copy of an experiment that another copy does not have yet.

    Args:
        source: the copy that they are read from.
        target: the copy that they are appended to.

    Returns:
        Whether there were any.

    Raises:
        OSError: if they cannot be read or written.
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
        # A write without an error is not enough: the folder may have moved into the trash in between, or, on a full
        # disk, another process may have written into the middle of a line.
        try:
            if _whole_lines(layout).keys() >= set(lines):
                return
        except OSError as error:
            # Appending again does no harm: readers count equal lines once.
            problem = error
    raise problem


def _append_once(layout: ExperimentLayout, lines: list[bytes]) -> None:
    # Not with its parents: that would bring back, empty, the folder of an experiment that is gone.
    if not layout.logs.is_dir():
        with contextlib.suppress(FileExistsError):
            files.make_directory(layout.logs)
    is_new = not layout.annotations.exists()
    log = files.LineLog(layout.annotations)
    try:
        # End a line that was cut off, or this one would become part of it.
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
