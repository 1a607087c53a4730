"""The end reasons as sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runbook.record.status import EndReason, Status

if TYPE_CHECKING:
    from runbook.read.view import ExperimentView

_SENTENCES: Final = {
    EndReason.RETURNED: "it came to its end",
    EndReason.EXCEPTION: "an exception ended it",
    EndReason.EXIT: "the program called sys.exit with another code than 0",
    EndReason.KEYBOARD: "somebody pressed Ctrl-C",
    EndReason.SIGTERM: "SIGTERM stopped it, as sent by `kill`, a scheduler or a container",
    EndReason.SIGHUP: "its terminal or connection went away (SIGHUP)",
    EndReason.SIGNAL: "a signal ended it",
    EndReason.CANCELLED: "its asynchronous task was cancelled",
    EndReason.CLOSED: "the generator was closed before its end",
    EndReason.MARKED: "the program recorded the status itself",
    EndReason.ABANDONED: "the program continued, or ended, without recording how it ended",
    EndReason.MEMORY: "its process is gone, and the kernel has killed for lack of memory meanwhile",
    EndReason.VANISHED: "its process is gone, and nobody could write down why: SIGKILL, a crash, or a power cut",
}


def explain_status(view: ExperimentView) -> str:
    """A sentence about why an experiment has its status."""
    if view.status is Status.RUNNING:
        return "it is running"
    if view.end_reason is None:
        return "nobody recorded how it ended"
    return _SENTENCES[view.end_reason]
