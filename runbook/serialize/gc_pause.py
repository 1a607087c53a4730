"""Python's garbage collection, while very many objects are made that stay."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def pause_gc() -> Iterator[None]:
    """A block in which no garbage is looked for: of a million objects that stay, each look would find all of them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
