"""The base directory: made when it is needed, refused with a reason where it cannot be used."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from runbook import errors
from runbook.record.layout import REGISTRY_FILE
from runbook.storage import files

if TYPE_CHECKING:
    from pathlib import Path

    from runbook.record.layout import BaseLayout


def prepare(layout: BaseLayout) -> None:
    """Make the base directory and our own folder in it, unless they exist.

    Raises:
        BaseDirectoryError: if that cannot be done.
    """
    try:
        for folder in (layout.root, layout.private, layout.pending, layout.run_locks):
            files.ensure_directory(folder)
    except OSError as error:
        raise refused(layout.root, error) from error


def check(layout: BaseLayout) -> None:
    """Make the base directory if it is missing; one that is there is not touched, it may be for reading only.

    Raises:
        BaseDirectoryError: if there is none and none can be made.
        InvalidNameError: if there is a directory where the registry is to be.
    """
    try:
        if not layout.root.is_dir():
            files.ensure_directory(layout.root)
        is_directory = layout.registry.is_dir()
    except OSError as error:
        raise refused(layout.root, error) from error
    if is_directory and layout.registry.suffix != ".json":
        # One called like a registry is a damaged registry; any other is somebody's folder.
        raise errors.InvalidNameError("registry file name", layout.registry_name, "is a directory", REGISTRY_FILE)


def refused(root: Path, error: OSError) -> Exception:
    """The error that says why a base directory cannot be used.

    Args:
        root: the base directory.
        error: what the disk said.
    """
    if isinstance(error, FileExistsError | NotADirectoryError):
        return errors.BaseDirectoryError(root, "is, or lies below, a file")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return errors.BaseDirectoryError(root, f"cannot be written to ({error.strerror})")
    return errors.BaseDirectoryError(root, f"cannot be used ({error.strerror or error})")
