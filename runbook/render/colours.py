"""The colours of statuses, the same in every table, and whether to print in colours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from runbook.record.status import Status

if TYPE_CHECKING:
    from typing import TextIO

STATUS_COLOURS: Final = {
    Status.RUNNING.value: "cyan",
    Status.COMPLETED.value: "green",
    Status.FAILED.value: "red",
    Status.INTERRUPTED.value: "yellow",
}
"""The colour of each status, by the names that rich uses."""

BOLD: Final = "bold"
_CODES: Final = {BOLD: 1, "red": 31, "green": 32, "yellow": 33, "cyan": 36}
"""The parameters of the escape sequence (ECMA-48, Select Graphic Rendition)."""


def are_wanted(stream: TextIO) -> bool:
    """Whether to print in colours: on a terminal without `NO_COLOR` (https://no-color.org) and `TERM=dumb`."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str) -> str:
    """A text in bold type, or in the colour of a status.

    Args:
        text: harmless text.
        style: `BOLD`, a status, or "" for neither.
    """
    code = _CODES.get(STATUS_COLOURS.get(style, style))
    return text if code is None or not text else f"\x1b[{code}m{text}\x1b[0m"
