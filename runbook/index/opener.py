"""Opening the index of a base directory: the one place that knows which engine it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbook.index.protocol import Index
    from runbook.record.layout import BaseLayout
    from runbook.typing import StrPath


def open_index(layout: BaseLayout, shown_base: str | None = None) -> Index:
    """The index of a base directory; nothing is read or made yet.

    Args:
        layout: the base directory.
        shown_base: the base directory as the user gave it, for the field `directory`; None takes its path.
    """
    from runbook.index.registry import JsonRegistry

    return JsonRegistry(layout, str(layout.root) if shown_base is None else shown_base)


def open_default_index(base_dir: StrPath | None = None) -> Index | None:
    """The index that an experiment goes into; None where tracking is disabled.

    Args:
        base_dir: None stands for `RUNBOOK_DIR`, else `./experiments`.
    """
    from pathlib import Path

    from runbook import environ
    from runbook.record.layout import BaseLayout

    if environ.is_disabled():
        return None
    shown = environ.base_dir(base_dir)
    # Absolute, because a program may change its working directory while the experiment runs.
    return open_index(BaseLayout(Path(shown).expanduser().absolute()), shown)
