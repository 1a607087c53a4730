"""Taking experiments out of a base directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook import errors, files

if TYPE_CHECKING:
    from pathlib import Path

    from runbook.view import ExperimentView


def export_folder(view: ExperimentView, directory: Path) -> Path:
    """Copy an experiment's folder into a directory, whole or not at all.

    Args:
        view: the experiment.
        directory: where the copy goes, under the experiment's id; made if it does not exist.

    Returns:
        The path of the copy.

    Raises:
        TargetExistsError: if there is something of that name already.
        OSError: if it cannot be copied.
    """
    target = directory / view.id
    if target.exists() or target.is_symlink():
        raise errors.TargetExistsError(target)
    directory.mkdir(parents=True, exist_ok=True)
    files.copy_tree(view.path, target)
    return target
