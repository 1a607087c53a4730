"""`show`: one experiment on one screen."""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import TYPE_CHECKING, Final

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import DAMAGED, print_error_text
from runbook.cli.facts import damage_of, duration_s, environment_of, moment, status_of
from runbook.cli.options import experiment_argument
from runbook.display import duration, one_line, visible
from runbook.read.view import layout_of, record_of
from runbook.record.status import Status
from runbook.render import grid
from runbook.serialize.flatten import flatten
from runbook.serialize.jsonable import to_jsonable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runbook.read.view import ExperimentView
    from runbook.record.model import Attempt
    from runbook.typing import JsonObject

_FILES_SHOWN: Final = 20
_COMMIT_SHOWN: Final = 12
_KIB: Final = 1024


@command(
    "show",
    json="an object with the fields of the registry (experiment_id, timestamp, status, custom_name, description, "
    "config, directory, completed_at, notes, metrics, tags, end_reason, parent, host) and duration_s, function, "
    "failure (type, message, traceback; or null), attempts, environment (or null), files (each with path and bytes).",
    example="runbook show latest\nrunbook show baseline --json",
)
@experiment_argument(default="latest")
def show(context: Context, experiment: str) -> int | None:
    """Show all that is known about an experiment."""
    view = context.experiment(experiment)
    if context.as_json:
        context.print_json(describe(context, view))
    else:
        context.write_lines(_write_lines(context, view))
    damage = damage_of(view)
    if damage is None:
        return None
    print_error_text(f"runbook: this is what the registry has of it: {damage}")
    return DAMAGED


def describe(context: Context, view: ExperimentView) -> JsonObject:
    """All that is recorded about an experiment, as JSON-compatible data."""
    from runbook.record import schema

    entry = next(entry for entry in context.entries if entry["experiment_id"] == view.id)
    record = schema.to_json(record_of(view))
    data = to_jsonable(
        {
            **entry,
            "duration_s": duration_s(view),
            "function": record["function"],
            "failure": record["failure"],
            "attempts": record["attempts"],
            "environment": environment_of(view),
            "files": [{"path": path, "bytes": size} for path, size in list_files(view.path)],
        }
    )
    assert isinstance(data, dict)
    return data


def list_files(root: Path) -> list[tuple[str, int]]:
    """The files of an experiment: their paths in its folder, and their sizes in bytes."""
    found = []
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)  # noqa: PTH118 - a folder may hold very many files
            with contextlib.suppress(OSError):
                found.append((os.path.relpath(path, root), os.lstat(path).st_size))
    return found


def _write_lines(context: Context, view: ExperimentView) -> Iterator[str]:
    width = context.width
    yield context.title(visible(view.id))
    yield ""
    styles = {"status": view.status} if context.is_coloured else {}
    yield from grid.fact_lines(_list_facts(view), width, whole=("folder",), styles=styles)
    for title, values in (("config", record_of(view).config), ("metrics", record_of(view).metrics)):
        if values:
            yield f"\n{context.title(title)}"
            yield from grid.fact_lines(
                [(visible(key), one_line(value)) for key, value in flatten(values).items()], width
            )
    if len(record_of(view).attempts) > 1:
        yield f"\n{context.title('attempts')}"
        attempts = enumerate(record_of(view).attempts, start=1)
        yield from grid.fact_lines([(str(number), _describe_attempt(attempt)) for number, attempt in attempts], width)
    if view.notes:
        yield f"\n{context.title('notes')}"
        for note in view.notes.splitlines():
            yield from (f"  {line}" for line in grid.paragraph_lines(visible(note), width - 2))
    files = list_files(view.path)
    yield f"\n{context.title(f'files: {len(files)}, {_format_size(sum(size for _, size in files))}')}"
    yield from grid.fact_lines([(visible(path), _format_size(size)) for path, size in files[:_FILES_SHOWN]], width)
    if len(files) > _FILES_SHOWN:
        yield f"  and {len(files) - _FILES_SHOWN} more below {visible(str(view.path))}"


def _list_facts(view: ExperimentView) -> list[tuple[str, str]]:
    record = record_of(view)
    seconds = duration_s(view)
    facts = {
        "status": status_of(view),
        "error": "" if record.failure is None else f"{record.failure.type}: {record.failure.message}",
        "traceback": str(layout_of(view).traceback.relative_to(view.path))
        if layout_of(view).traceback.exists()
        else "",
        "evidence": (record.attempts[-1].evidence or "") if record.attempts else "",
        "name": record.custom_name or "",
        "description": record.description or "",
        "tags": ", ".join(record.tags),
        "started": moment(record.timestamp),
        "ended": "" if record.completed_at is None else moment(record.completed_at),
        "took so far" if view.status is Status.RUNNING else "took": "" if seconds is None else duration(seconds),
        "host": record.host or "",
        "inside": record.parent or "",
        "function": record.function or "",
        **_describe_origin(environment_of(view) or {}, view),
        "folder": str(view.path),
    }
    return [(name, visible(value)) for name, value in facts.items() if value]


def _describe_origin(environment: JsonObject, view: ExperimentView) -> dict[str, str]:
    """The command, the interpreter and the commit of an experiment, in words."""
    argv, git = environment.get("argv"), environment.get("git")
    facts = {"command": shlex.join(map(str, argv)) if isinstance(argv, list) else ""}
    if "python" in environment:
        facts["python"] = f"{environment['python']} on {environment.get('platform')}"
    if isinstance(git, dict):
        branch = f" on {git['branch']}" if git.get("branch") else ""
        changed = " with uncommitted changes" if git.get("dirty") else ""
        where = (
            f" ({layout_of(view).patch.relative_to(view.path)})" if changed and layout_of(view).patch.exists() else ""
        )
        facts["git"] = f"{str(git.get('commit') or 'no commit')[:_COMMIT_SHOWN]}{branch}{changed}{where}"
    return facts


def _describe_attempt(attempt: Attempt) -> str:
    ending = f"{attempt.end_reason} {moment(attempt.ended_at)}" if attempt.ended_at is not None else "running"
    evidence = f": {attempt.evidence}" if attempt.evidence else ""
    return visible(f"{moment(attempt.started_at)} on {attempt.owner.host}; {ending}{evidence}")


def _format_size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < _KIB:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _KIB
    return f"{count:.1f} TiB"
