"""Progress of exports, imports and merges, reported to a hook of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbook.typing import ProgressHook


class Meter:
    """Counts the work done, and calls a hook: first with `(0, total)`, then with growing numbers up to the total.

    An exception from the hook ends the work as Ctrl-C does: nothing half-made is left.

    Args:
        hook: called with the amount that is done and the total; None calls nothing.
        total: the amount that is expected; files may grow or shrink while they are read.
    """

    def __init__(self, hook: ProgressHook | None, total: int) -> None:
        self._hook = hook
        self._total = total
        self._done = 0
        self._report()

    def advance(self, amount: int = 1) -> None:
        """Add to the amount that is done; what goes beyond the total does not count."""
        done = min(self._done + amount, self._total)
        if done > self._done:
            self._done = done
            self._report()

    def finish(self) -> None:
        """Report that everything is done, also where files turned out smaller than expected."""
        self.advance(self._total - self._done)

    def _report(self) -> None:
        if self._hook is not None:
            self._hook(self._done, self._total)
