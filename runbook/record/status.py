"""The closed sets of words for how experiments go and end."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What became of an experiment."""

    RUNNING = "running"
    """In progress, as far as anybody can prove."""
    COMPLETED = "completed"
    """It ended the way it was meant to."""
    FAILED = "failed"
    """An error ended it."""
    INTERRUPTED = "interrupted"
    """Something from outside ended it: a person, a signal, the machine."""
    UNKNOWN = "unknown"
    """Nobody recorded it: the record is missing or damaged. No run ever ends with this status."""


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
    """The program said so itself, by `mark_complete` or `finish`."""
    ABANDONED = "abandoned"
    """The program went on or ended without ever saying how the experiment ended."""
    MEMORY = "memory"
    """The process is gone, and the kernel killed one of its control group for lack of memory meanwhile."""
    VANISHED = "vanished"
    """The process is gone and nobody could write down why."""
