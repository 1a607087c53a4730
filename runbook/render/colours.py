"""The colours of statuses, the same in every table."""

from __future__ import annotations

from typing import Final

from runbook.record.status import Status

STATUS_COLOURS: Final = {
    Status.RUNNING.value: "cyan",
    Status.COMPLETED.value: "green",
    Status.FAILED.value: "red",
    Status.INTERRUPTED.value: "yellow",
}
"""The colour of each status where there are colours, as rich names them."""
