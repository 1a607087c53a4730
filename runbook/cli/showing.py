"""`show`: one experiment on one screen."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from runbook import errors
from runbook.cli.context import Context, command, experiment_argument
from runbook.plain import to_plain
from runbook.records import Status

if TYPE_CHECKING:
    from pathlib import Path

    from runbook.typing import JsonObject
    from runbook.view import ExperimentView

_FILES_SHOWN: Final = 20
_KIB: Final = 1024


@command(
    "show",
    json="an object with the fields of the registry (experiment_id, timestamp, status, custom_name, description, "
    "config, directory, completed_at, notes, metrics, tags, end_reason, parent, host) and duration_s, function, failure "
    "(type, message, traceback; or null), attempts, environment (or null), files (each with path and bytes).",
    example="runbook show latest\nrunbook show baseline --json",
)
@experiment_argument(default="latest")
def show(context: Context, experiment: str) -> None:
    """Show all that is known about an experiment."""
    view = context.experiment(experiment)
    described = describe(context, view)
    if context.as_json:
        context.print_json(described)
        return
    for line in _lines(view, described, context.width):
        context.print(line)


def describe(context: Context, view: ExperimentView) -> JsonObject:
    """All that is known about an experiment, as plain data."""
    from runbook import codec

    entry = next(entry for entry in context.entries if entry["experiment_id"] == view.id)
    record = codec.to_json(view.record)
    plain = to_plain(
        {
            **entry,
            "duration_s": duration_s(view),
            "function": record["function"],
            "failure": record["failure"],
            "attempts": record["attempts"],
            "environment": environment_of(view),
            "files": [{"path": path, "bytes": size} for path, size in files_of(view.path)],
        }
    )
    assert isinstance(plain, dict)
    return plain


def duration_s(view: ExperimentView) -> float | None:
    """How long it ran, or has run so far, in seconds."""
    ended = view.record.completed_at
    if ended is None and view.status is Status.RUNNING:
        ended = datetime.now(UTC)
    return None if ended is None else max(0.0, (ended - view.record.timestamp).total_seconds())


def environment_of(view: ExperimentView) -> JsonObject | None:
    """What it ran on and with; None where nobody recorded it."""
    with contextlib.suppress(OSError, errors.DamagedFileError):
        return view.load_environment()
    return None


def files_of(folder: Path) -> list[tuple[str, int]]:
    """The files of an experiment with their sizes in bytes, by their path in its folder."""
    found = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(place, name)  # noqa: PTH118 - a folder may hold very many files
            with contextlib.suppress(OSError):
                found.append((os.path.relpath(path, folder), os.lstat(path).st_size))
    return found


def _lines(view: ExperimentView, described: JsonObject, width: int) -> list[str]:
    return [view.id]
