"""Files in older versions of our formats, brought to the present version one step at a time.

Step n of a format, counted from 1, is a function that takes what a file in version n holds and returns the same in
version n + 1. A step is never changed once a version has been released with it, and each new step comes with a golden
folder of the former version among the tests.

Reading upgrades what was read, and leaves the file as it is: it is rewritten in the present version when its
experiment writes it the next time.
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
    """What a file holds, in the version to which the last step leads.

    Args:
        data: what the file holds; it is not changed. Without a version it counts as version 1. In a newer version, or
            in one that is no number, it is returned as it is.
        steps: those of its format.
    """
    found, present = data.get("format_version", 1), len(steps) + 1
    if not isinstance(found, int) or found >= present:
        return data
    for step in steps[max(found, 1) - 1 :]:
        data = step(data)
    return {**data, "format_version": present}
