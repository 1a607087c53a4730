"""Makes the base directory when it is needed, and raises an error with the reason where it cannot be used."""

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
    """Make the base directory and the `.runbook` folder in it, unless they exist.

    Raises:
        BaseDirectoryError: if that cannot be done.
    """
    try:
        for folder in (layout.root, layout.private, layout.pending, layout.run_locks):
            files.ensure_directory(folder)
    except OSError as error:
        raise build_error(layout.root, error) from error


def check(layout: BaseLayout) -> None:
    """Make the base directory if it is missing; one that exists is not changed, because it may be read-only.

    Raises:
        BaseDirectoryError: if there is none and none can be made.
        InvalidNameError: if a directory has the path of the registry.
    """
    try:
        if not layout.root.is_dir():
            files.ensure_directory(layout.root)
        is_directory = layout.registry.is_dir()
    except OSError as error:
        raise build_error(layout.root, error) from error
    if is_directory and layout.registry.suffix != ".json":
        # A directory that ends in .json counts as a damaged registry; any other is a user's folder.
        raise errors.InvalidNameError("registry file name", layout.registry_name, "is a directory", REGISTRY_FILE)


def build_error(root: Path, error: OSError) -> Exception:
    """The error that explains why a base directory cannot be used.

    Args:
        root: the base directory.
        error: the error of the file system.
    """
    if isinstance(error, FileExistsError | NotADirectoryError):
        return errors.BaseDirectoryError(root, "is, or lies below, a file")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return errors.BaseDirectoryError(root, f"cannot be written to ({error.strerror})")
    return errors.BaseDirectoryError(root, f"cannot be used ({error.strerror or error})")
