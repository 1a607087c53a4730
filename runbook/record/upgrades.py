"""Upgrades of files in older versions of our formats, one step at a time.

Step n of a format, counted from 1, is a function that takes the content of a file in version n and returns the same
content in version n + 1. A step is never changed after the release of its version. Each new step comes with a golden
folder of the former version among the tests.

Reading a file upgrades the content and leaves the file as it is. The file gets the present version when the experiment
writes it the next time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbook.typing import JsonObject

Step = Callable[["JsonObject"], "JsonObject"]

RECORD_STEPS: Final[tuple[Step, ...]] = ()
"""The steps of `experiment.json`, from version 1 on."""

ENVIRONMENT_STEPS: Final[tuple[Step, ...]] = ()
"""The steps of `logs/environment.json`, from version 1 on."""

MANIFEST_STEPS: Final[tuple[Step, ...]] = ()
"""The steps of `runbook-manifest.json`, from version 1 on; the record in it has steps of its own."""


def upgrade(data: JsonObject, steps: Sequence[Step]) -> JsonObject:
    """The content of a file in the present version.

    Args:
        data: the content of the file; it is not changed. Without a version it counts as version 1. Content in a newer
            version, or in one that is no number, is returned as it is.
        steps: the steps of its format.
    """
    found, present = data.get("format_version", 1), len(steps) + 1
    if not isinstance(found, int) or found >= present:
        return data
    for step in steps[max(found, 1) - 1 :]:
        data = step(data)
    return {**data, "format_version": present}
