"""`import`: experiments that were exported, into a base directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import click

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NothingFoundError
from runbook.cli.outcomes import Outcomes, check_given
from runbook.cli.progress_bar import progress_bar
from runbook.display import visible


@command(
    "import",
    json="an object with imported, an array of objects with path, experiment_id (null for what was left out), and "
    "failed, an array of objects with given and error.",
    example="runbook import baseline.zip shared/*\nrunbook import baseline.zip --on-conflict rename",
)
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@click.option(
    "--on-conflict",
    type=click.Choice(["error", "rename", "skip"]),
    default="error",
    show_default=True,
    help="What happens to one whose id another experiment has: rename gives it a free one, skip leaves it out.",
)
def import_(context: Context, paths: tuple[Path, ...], on_conflict: Literal["error", "rename", "skip"]) -> int:
    """Take in experiments that were exported.

    PATH is a .zip file or the folder of an experiment. Sizes and checksums are verified, and nothing is ever unpickled
    or run. The same experiment with the same content is left out.
    """
    check_given(tuple(map(str, paths)), "the .zip files, or the folders of experiments, that are to be imported")
    outcomes = Outcomes()
    imported: list[dict[str, Any]] = []
    for path in paths:
        with outcomes.each(str(path)):
            found = _import_one(context, path, on_conflict)
            imported.append({"path": str(path), "experiment_id": found})
            if not context.as_json:
                it = "it, or another one of its id," if on_conflict == "skip" else "it"
                what = f"left out, {it} is here already" if found is None else f"imported as {visible(found)}"
                context.print(f"{visible(str(path))}: {what}")
    if context.as_json:
        context.print_json({"imported": imported, "failed": outcomes.failed})
    return outcomes.code


def _import_one(context: Context, path: Path, on_conflict: Literal["error", "rename", "skip"]) -> str | None:
    if not os.path.lexists(path):
        raise NothingFoundError(f"there is nothing at {path}")
    with progress_bar(f"importing {visible(path.name)}") as progress:
        return context.writing_manager().import_experiment(path, on_conflict, progress=progress)
