"""What the environment variables decide when the caller does not."""

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
        return _expanded(os.fspath(argument))
    return _expanded(os.environ.get(DIR_VARIABLE) or BASE_DIR)


def _expanded(path: str) -> str:
    # Path.expanduser would drop the legacy "./".
    return os.path.expanduser(path)  # noqa: PTH111


def is_disabled() -> bool:
    """Whether `RUNBOOK_MODE=disabled` asks for experiments that write nothing.

    Raises:
        UsageError: if the variable has any other value: it was meant to do something.
    """
    mode = os.environ.get(MODE_VARIABLE, "")
    if mode in {"", "enabled"}:
        return False
    if mode == "disabled":
        return True
    hint = hint_for_both("set it to 'disabled' or unset it")
    raise errors.UsageError(f"{MODE_VARIABLE}={mode!r} means nothing here", hint)
