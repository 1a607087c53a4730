"""Names for annotations."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, TypeAlias, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

StrPath: TypeAlias = str | PathLike[str]
"""A path as a string or as a path object."""

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
"""JSON-compatible data: string keys only, and neither NaN nor infinity among the floats."""

JsonObject: TypeAlias = dict[str, Json]
"""A JSON-compatible mapping, as most files hold one."""

Entry: TypeAlias = "Mapping[str, Any]"
"""The entry of an experiment in the registry. The legacy tool may have written it, so a value may be of any type."""

ProgressHook: TypeAlias = "Callable[[int, int], None]"
"""A function that is called with how much is done, from 0 up to all, and with how much there is to do."""


class ExperimentOptions(TypedDict, total=False):
    """The options of an experiment, besides its config; see `runbook.experiment`."""

    name: str | None
    description: str | None
    tags: Iterable[str] | str
    hash_exclude: Iterable[str]
    resume: str
    allow_config_change: bool
    rank: int | None
    redact: str | Callable[[JsonObject], Mapping[str, Any]]


class TrackedOptions(ExperimentOptions, total=False):
    """The options of `tracked`; see `runbook.tracked`."""

    config: object
    save_result: bool
    skip_completed: bool
