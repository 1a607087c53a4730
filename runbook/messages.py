"""How runbook speaks to the person at the terminal: through the logger `runbook`, never by raising.

The `warnings` module would be the plain way, but a host that runs with ``-W error`` turns each
warning into an exception, and a tracker must not stop a training that runs.
"""

from __future__ import annotations

_said: set[str] = set()


def warn(message: str) -> None:
    """Say something that the user should know; without a logging set-up it appears on stderr."""
    # `logging` is imported here because it is a good part of the time that `import runbook` may cost.
    import logging

    from runbook.display import visible

    # It may hold names from the disk, and is shown on a terminal.
    logging.getLogger("runbook").warning("\n".join(visible(line) for line in message.split("\n")))


def warn_once(key: str, message: str) -> None:
    """Say it the first time that `key` comes up in this process."""
    if key not in _said:
        _said.add(key)
        warn(message)
