"""How far a long piece of work has come, told to whoever asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbook.typing import ProgressHook


class Meter:
    """Counts what is done and tells a hook: `(0, total)` first, never backwards, never beyond the total.

    What the hook raises ends the work as Ctrl-C does: nothing half-made is left.

    Args:
        hook: called with what is done and the total; None where nobody asked.
        total: how much there is to do, as it is known before; files may grow or shrink while they are read.
    """

    def __init__(self, hook: ProgressHook | None, total: int) -> None:
        self._hook = hook
        self._total = total
        self._done = 0
        self._tell()

    def advance(self, amount: int = 1) -> None:
        """Count some more."""
        done = min(self._done + amount, self._total)
        if done > self._done:
            self._done = done
            self._tell()

    def finish(self) -> None:
        """All is done, whatever was expected."""
        self.advance(self._total - self._done)

    def _tell(self) -> None:
        if self._hook is not None:
            self._hook(self._done, self._total)
