"""A progress bar for work that takes more than a second."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, TaskID

_PATIENCE_S: Final = 1.0


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A function that takes the work done and the whole work; it draws a bar after a second, on a terminal only.

    The bar is on stderr, and disappears when the block ends.

    Args:
        label: the name of the work, as harmless text.

    Example:
        >>> with progress_bar("exporting") as progress:  # doctest: +SKIP
        ...     manager.export_experiment(experiment_id, target, progress=progress)
    """
    bar = _Bar(label)
    try:
        yield bar.advance
    finally:
        bar.close()


class _Bar:
    def __init__(self, label: str) -> None:
        self._label = label
        self._begun = time.monotonic()
        self._is_on_a_terminal = sys.stderr.isatty()
        self._drawn: tuple[Progress, TaskID] | None = None

    def advance(self, done: int, total: int) -> None:
        if not self._is_on_a_terminal or time.monotonic() - self._begun < _PATIENCE_S:
            return
        if self._drawn is None:
            from rich.console import Console
            from rich.progress import Progress

            progress = Progress(console=Console(stderr=True), transient=True)
            self._drawn = progress, progress.add_task(self._label.replace("[", r"\["), total=total)
            progress.start()
        progress, task = self._drawn
        progress.update(task, completed=done, total=total)

    def close(self) -> None:
        if self._drawn is not None:
            self._drawn[0].stop()
