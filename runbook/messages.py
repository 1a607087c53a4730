"""Warnings for the user, sent to the logger `runbook`.

The `warnings` module is not used, because a program that runs with ``-W error`` turns each of its warnings into an
exception, and a tracker must not stop a training that runs.
"""

from __future__ import annotations

_logged: set[str] = set()


def warn(message: str) -> None:
    """Log a warning; in a program that has not configured logging it appears on stderr."""
    # Imported here because `logging` would take a large part of the time of `import runbook`.
    import logging

    from runbook.display import visible

    # A name from the disk may contain characters that control the terminal.
    logging.getLogger("runbook").warning("\n".join(visible(line) for line in message.split("\n")))


def warn_once(key: str, message: str) -> None:
    """Log a warning, unless one with the same `key` was logged before in this process."""
    if key not in _logged:
        _logged.add(key)
        warn(message)
