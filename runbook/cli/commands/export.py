"""`export`, `import` and `merge`: experiments on their way out of a base directory and into one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
import click

from runbook import errors
from runbook.cli.context import Context, command
from runbook.cli.exit_codes import DAMAGED, NothingFoundError, NotPossibleError
from runbook.cli.options import experiment_argument
from runbook.cli.outcomes import Outcomes, counted, required
from runbook.cli.progress_bar import progress_bar
from runbook.display import visible

if TYPE_CHECKING:
    from runbook.transfer.merge import MergeReport


@command(
    "export",
    json="an object with exported, an array of objects with experiment_id and path, and failed, an array of objects "
    "with given and error.",
    example="runbook export baseline latest shared/\nrunbook export baseline baseline.zip",
)
@experiment_argument("experiments", several=True)
@click.argument("target", type=click.Path(path_type=Path))
def export(context: Context, experiments: tuple[str, ...], target: Path) -> int:
    """Copy experiments into a folder, or one into a .zip file.

    TARGET is the folder, which is made if it is not there, and gets each under its id; or a file that ends in .zip and
    is not there yet, which gets a manifest of checksums as well.
    """
    required(experiments, "the experiments, then the folder or the .zip file that they go to")
    outcomes = Outcomes()
    views = outcomes.experiments(context, experiments)
    if len(views) > 1 and target.suffix.lower() == ".zip":
        raise NotPossibleError(f"a .zip file holds one experiment, not {len(views)}; name a folder, or one at a time")
    exported: list[dict[str, str]] = []
    for view in views:
        with outcomes.each(view.id):
            with progress_bar(f"exporting {visible(view.id)}") as progress:
                path = context.manager.export_experiment(view.id, target, progress=progress)
            exported.append({"experiment_id": view.id, "path": str(path)})
            if not context.as_json:
                context.print(f"{visible(view.id)}: exported to {visible(str(path))}")
    if context.as_json:
        context.print_json({"exported": exported, "failed": outcomes.failed})
    return outcomes.code


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
    required(tuple(map(str, paths)), "the .zip files, or the folders of experiments, that are to be imported")
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


@command(
    "merge",
    json="an object with added, skipped, updated and annotated, arrays of ids; renamed, an object from ids there to "
    "ids here; damaged, an object from ids to what is wrong.",
    example="runbook merge /mnt/cluster/experiments\nrunbook --dir all merge ./experiments",
)
@click.argument("other", metavar="OTHER_DIR", type=click.Path(path_type=Path))
def merge(context: Context, other: Path) -> int:
    """Take in all experiments of another base directory.

    The other one is only read. It is safe in any order, and as often as you like. Of two states of one experiment the
    later one is kept, and the earlier one goes into the trash; different experiments of one id are both kept.
    """
    if not other.is_dir():
        raise NothingFoundError(f"there is no folder {other}")
    try:
        with progress_bar("merging") as progress:
            report = context.writing_manager().merge(other, progress=progress)
    except errors.BaseDirectoryError as error:
        raise NotPossibleError(str(error).partition("; ")[0]) from error
    if context.as_json:
        context.print_json(attrs.asdict(report))
    else:
        _print(context, report)
    return DAMAGED if report.damaged else 0


def _print(context: Context, report: MergeReport) -> None:
    context.print(f"{counted(len(report.added) + len(report.renamed))} added")
    for before, now in report.renamed.items():
        context.print(f"  {visible(before)} as {visible(now)}")
    if report.updated:
        context.print(f"{counted(len(report.updated))} brought up to date")
    if report.skipped:
        noted = f", {len(report.annotated)} of them with new notes or tags" if report.annotated else ""
        context.print(f"{counted(len(report.skipped))} here already{noted}")
    if report.damaged:
        context.print(f"{counted(len(report.damaged))} damaged")
    for experiment_id, problem in report.damaged.items():
        context.print(f"  {visible(experiment_id)}: {visible(problem)}")
