"""What processes that died leave behind in a base directory: temporaries without a writer, locks without a holder."""

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
"""The age from which what cannot be asked after is nobody's any more."""

_TEMPORARY: Final = re.compile(r"\..+\.tmp")
_OF_A_PROCESS: Final = re.compile(r"\..+\.[0-9]+-[0-9]+\.tmp")


def temporaries(place: Path, *, is_deep: bool) -> Iterator[Path]:
    """What could be temporaries of an unfinished write, by their names.

    Args:
        place: where to look.
        is_deep: whether to look into the folders in it as well; links are not followed.
    """
    for path in sorted(place.rglob(".*.tmp") if is_deep else place.glob(".*.tmp")):
        if _TEMPORARY.fullmatch(path.name):
            yield path


def is_ours(temporary: Path, registry_name: str) -> bool:
    """Whether only we give a temporary such a name, and not a user to a file that matters."""
    return _OF_A_PROCESS.fullmatch(temporary.name) is not None or temporary.name == f".{registry_name}.tmp"


def is_old(path: Path) -> bool:
    """Whether nothing has changed it for so long that nobody is at work on it; False if it is gone.

    The process id in the name of a temporary says less: it may be one of another machine that shares the disk.
    """
    try:
        return time.time() - os.lstat(path).st_mtime > OLD_S
    except FileNotFoundError:
        return False


def run_locks(index: Index) -> list[Path]:
    """The lock files of experiments that run, or ran."""
    try:
        return sorted(index.layout.run_locks.iterdir())
    except OSError:
        return []


def is_stale_lock(index: Index, path: Path) -> bool:
    """Whether the experiment that held a lock has ended."""
    try:
        return current_record.read_current(index.layout, path.name).status is not Status.RUNNING
    except FileNotFoundError:
        return is_old(path)
    except (OSError, errors.DamagedFileError, errors.NewerFormatError):
        return False
