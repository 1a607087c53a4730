"""The environment variables of runbook: the default base directory, and whether tracking is disabled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from runbook import errors
from runbook.hints import hint_for_both

if TYPE_CHECKING:
    from runbook.typing import StrPath

BASE_DIR: Final = "./experiments"
DIR_VARIABLE: Final = "RUNBOOK_DIR"
MODE_VARIABLE: Final = "RUNBOOK_MODE"


def base_dir(argument: StrPath | None) -> str:
    """The base directory: the argument, else `RUNBOOK_DIR`, else `./experiments`."""
    if argument is not None:
        return _expand_user(os.fspath(argument))
    return _expand_user(os.environ.get(DIR_VARIABLE) or BASE_DIR)


def _expand_user(path: str) -> str:
    # Path.expanduser would drop the legacy "./".
    return os.path.expanduser(path)  # noqa: PTH111


def is_disabled() -> bool:
    """Whether `RUNBOOK_MODE=disabled` is set, so that experiments write nothing.

    Raises:
        UsageError: if the variable is neither disabled, enabled nor empty.
    """
    mode = os.environ.get(MODE_VARIABLE, "")
    if mode in {"", "enabled"}:
        return False
    if mode == "disabled":
        return True
    hint = hint_for_both("set it to 'disabled' or unset it")
    raise errors.UsageError(f"{MODE_VARIABLE}={mode!r} means nothing here", hint)
