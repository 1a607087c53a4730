"""Finds what dead processes left in a base directory: temporaries without a writer, locks without a holder."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final

from runbook import errors
from runbook.record.status import Status
from runbook.storage import current_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runbook.index import Index

OLD_S: Final = 3600.0
"""The age in seconds from which a file whose owner cannot be checked counts as abandoned."""

_TEMPORARY: Final = re.compile(r"\..+\.tmp")
_OF_A_PROCESS: Final = re.compile(r"\..+\.[0-9]+-[0-9]+\.tmp")


def list_temporaries(folder: Path, *, is_deep: bool) -> Iterator[Path]:
    """The files that may be temporaries of an unfinished write, by their names.

    Args:
        folder: the folder to search.
        is_deep: whether to search the folders in it as well; links are not followed.
    """
    for path in sorted(folder.rglob(".*.tmp") if is_deep else folder.glob(".*.tmp")):
        if _TEMPORARY.fullmatch(path.name):
            yield path


def is_ours(temporary: Path, registry_name: str) -> bool:
    """Whether a temporary has a name that only runbook gives; a user may have a file of another such name."""
    return _OF_A_PROCESS.fullmatch(temporary.name) is not None or temporary.name == f".{registry_name}.tmp"


def is_old(path: Path) -> bool:
    """Whether a file has not changed for so long that no process is at work on it; False if it is gone.

    The process id in the name of a temporary is no proof: it may be of another machine that shares the disk.
    """
    try:
        return time.time() - os.lstat(path).st_mtime > OLD_S
    except FileNotFoundError:
        return False


def list_run_locks(index: Index) -> list[Path]:
    """The lock files of experiments that run or have run."""
    try:
        return sorted(index.layout.run_locks.iterdir())
    except OSError:
        return []


def is_stale_lock(index: Index, path: Path) -> bool:
    """Whether the experiment of a run lock has ended."""
    try:
        return current_record.read_current(index.layout, path.name).status is not Status.RUNNING
    except FileNotFoundError:
        return is_old(path)
    except (OSError, errors.DamagedFileError, errors.NewerFormatError):
        return False
