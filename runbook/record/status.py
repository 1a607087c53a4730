"""The statuses and end reasons of experiments, which are closed sets."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What became of an experiment."""

    RUNNING = "running"
    """It is in progress: nothing proves that its process is dead."""
    COMPLETED = "completed"
    """It came to its planned end."""
    FAILED = "failed"
    """An error ended it."""
    INTERRUPTED = "interrupted"
    """Something from outside ended it: a person, a signal, the machine."""
    UNKNOWN = "unknown"
    """Its status is not on record: the record is missing or damaged. No experiment ends with this status."""


class EndReason(StrEnum):
    """What ended an experiment, in one word."""

    RETURNED = "returned"
    """The block or the function came to its end."""
    EXCEPTION = "exception"
    """An exception left the block or the function."""
    EXIT = "exit"
    """`sys.exit` was called; code 0 counts as completed, any other as failed."""
    KEYBOARD = "keyboard"
    """Ctrl-C: a KeyboardInterrupt left the block or the function."""
    SIGTERM = "sigterm"
    """SIGTERM: `kill`, a scheduler's preemption, a container being stopped."""
    SIGHUP = "sighup"
    """SIGHUP: the terminal or the connection went away."""
    SIGNAL = "signal"
    """Another signal, reported by the exit code 128 + n."""
    CANCELLED = "cancelled"
    """The asynchronous task was cancelled."""
    CLOSED = "closed"
    """The generator was closed before its end."""
    MARKED = "marked"
    """The program called `mark_complete` or `finish`."""
    ABANDONED = "abandoned"
    """The program started another experiment or ended, and never called `mark_complete` or left the block."""
    MEMORY = "memory"
    """The process is gone, and the kernel has meanwhile killed a process of its control group for lack of memory."""
    VANISHED = "vanished"
    """The process is gone, and the reason is not on record."""
