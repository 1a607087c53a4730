"""`open`: the folder of an experiment, in the file manager."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NotPossibleError
from runbook.cli.options import experiment_argument

if TYPE_CHECKING:
    from pathlib import Path


@command(
    "open",
    json="an object with experiment_id and path; nothing is opened.",
    example="runbook open latest\nrunbook open baseline --print",
)
@experiment_argument(default="latest")
@click.option("--print", "is_printed", is_flag=True, help="Print the folder instead.")
def open_(context: Context, experiment: str, *, is_printed: bool) -> None:
    """Open the folder of an experiment in the file manager."""
    view = context.experiment(experiment)
    if context.as_json:
        context.print_json({"experiment_id": view.id, "path": str(view.path)})
    elif is_printed:
        context.print_path(view.path)
    else:
        _open_folder(view.path)


def _open_folder(folder: Path) -> None:
    if sys.platform == "win32":
        import os

        os.startfile(folder)  # noqa: S606 - a folder is no program
        return
    import shutil
    import subprocess

    name = "open" if sys.platform == "darwin" else "xdg-open"
    opener = shutil.which(name)
    if opener is None:
        raise NotPossibleError(f"there is no {name} on this machine to open {folder} with; --print shows the path")
    done = subprocess.run([opener, str(folder)], check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip() or f"exit code {done.returncode}"
        raise NotPossibleError(f"{name} could not open {folder} ({reason}); --print shows the path")
