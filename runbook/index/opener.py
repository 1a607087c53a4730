"""Opening the index of a base directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runbook import environ
from runbook.index.registry import JsonRegistry
from runbook.record.layout import REGISTRY_FILE, BaseLayout

if TYPE_CHECKING:
    from runbook.typing import StrPath


def registry_for(base_dir: StrPath | None = None, registry_file: str = REGISTRY_FILE) -> JsonRegistry | None:
    """The index of a base directory; None where tracking is disabled.

    Args:
        base_dir: None stands for `RUNBOOK_DIR`, else `./experiments`.
        registry_file: the name of the index in it.
    """
    if environ.is_disabled():
        return None
    shown = environ.base_dir(base_dir)
    # Absolute, because a program may change its working directory while the experiment runs.
    return JsonRegistry(BaseLayout(Path(shown).expanduser().absolute(), registry_file), shown)
